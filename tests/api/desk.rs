//! The scripted server, as the door sees it.

use async_trait::async_trait;
use clearmld::domain::ids::{QueueId, TaskId, UnixMillis};
use clearmld::engine::ports::{
    Desk, DeskLogEvent, DeskQueue, DeskTask, DeskTaskDetail, QueueMove, ServerError, Submission, TaskFilter,
};

use super::{BAD_TASK, BUSY, GONE_OUTPUT, Script, TASK, id};

fn rejected(call: &'static str, subcode: u32, message: &str) -> ServerError {
    ServerError::Rejected { call, code: 400, subcode, message: message.into() }
}

#[async_trait]
impl Desk for Script {
    async fn queues(&self) -> Result<Vec<DeskQueue>, ServerError> {
        Ok(vec![DeskQueue { id: id("q1"), name: "default".into(), tags: vec![], entries: vec![id(TASK)] }])
    }

    async fn create_queue(&self, name: &str) -> Result<DeskQueue, ServerError> {
        self.note(format!("create {name}"));
        match name {
            "default" => Err(rejected("queues.create", 801, "Expected unique data")),
            _ => Ok(DeskQueue {
                id: QueueId::new("q2").expect("an id"),
                name: name.into(),
                tags: vec![],
                entries: vec![],
            }),
        }
    }

    async fn move_task(&self, queue: &str, task: &TaskId, to: QueueMove) -> Result<u64, ServerError> {
        self.note(format!("move {queue} {task} {to:?}"));
        Ok(0)
    }

    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<DeskTask>, ServerError> {
        self.note(format!("tasks {filter:?}"));
        Ok(vec![self.task_now(&id(TASK))])
    }

    async fn task(&self, task: &TaskId) -> Result<Option<DeskTaskDetail>, ServerError> {
        if ![TASK, BAD_TASK].contains(&task.as_str()) {
            return Ok(None);
        }
        Ok(Some(DeskTaskDetail {
            task: self.task_now(task),
            project: Some("demo".into()),
            created: None,
            started: None,
            completed: None,
            active_duration_s: Some(61),
            repository: None,
            commit: None,
            entry_point: Some("train.py".into()),
            requirements: Some("clearml\n".into()),
            hyperparameters: vec![("Args".into(), "lr".into(), "0.1".into())],
            last_scalars: vec![("loss".into(), "train".into(), 0.25)],
            artifacts: vec![("model".into(), "pickle".into(), "http://127.0.0.1:8081/demo/model.pkl".into())],
            web_url: Some("http://127.0.0.1:8080/task".into()),
        }))
    }

    async fn clone_task(&self, task: &TaskId, name: Option<&str>) -> Result<TaskId, ServerError> {
        self.note(format!("clone {task} {name:?}"));
        Ok(id(BAD_TASK))
    }

    async fn reset(&self, task: &TaskId, force: bool) -> Result<(), ServerError> {
        self.note(format!("reset {task} {force}"));
        if force { Ok(()) } else { Err(rejected("tasks.reset", 110, "Invalid task status")) }
    }

    async fn enqueue(&self, task: &TaskId, queue: &str) -> Result<(), ServerError> {
        self.note(format!("enqueue {task} {queue}"));
        if queue == "nowhere" { Err(rejected("tasks.enqueue", 701, "Invalid queue id")) } else { Ok(()) }
    }

    async fn abort(&self, task: &TaskId, force: bool) -> Result<(), ServerError> {
        self.note(format!("abort {task} {force}"));
        Ok(())
    }

    async fn submit(&self, submission: &Submission) -> Result<TaskId, ServerError> {
        self.note(format!("submit {submission:?}"));
        Ok(if submission.name == "bad" { id(BAD_TASK) } else { id(TASK) })
    }

    async fn log(&self, _: &TaskId, after: Option<UnixMillis>, _: u32) -> Result<Vec<DeskLogEvent>, ServerError> {
        let events = GONE_OUTPUT.lines().zip(1..).map(|(line, stamp)| DeskLogEvent {
            stamp: UnixMillis(stamp),
            level: "INFO".into(),
            worker: BUSY.into(),
            text: line.into(),
        });
        Ok(events.filter(|event| after.is_none_or(|after| event.stamp > after)).collect())
    }
}
