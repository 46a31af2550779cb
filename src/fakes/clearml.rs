//! A ClearML server in memory, with its state machine's rules where the engine leans on them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use secrecy::SecretString;

use crate::domain::ids::{QueueId, TaskId, UnixMillis, WorkerName};
use crate::domain::schedule::Force;
use crate::domain::task::{QueueView, TaskScript, TaskSnapshot, TaskState, TaskStatus};
use crate::domain::worker::QueueRef;
use crate::engine::ports::{
    ClearMl, Forced, LogEvent, PayloadToken, ServerError, ServerIdentity, StatusNote, Whereabouts, WorkerReport,
};

#[derive(Debug, Default)]
pub(crate) struct Task {
    pub(crate) status: Option<TaskStatus>,
    pub(crate) message: String,
    pub(crate) reasons: Vec<String>,
    pub(crate) last_worker: Option<String>,
    pub(crate) log: Vec<(u64, String)>,
    pub(crate) requirements: Vec<String>,
    pub(crate) ends: u32,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) queues: BTreeMap<QueueId, VecDeque<TaskId>>,
    pub(crate) tags: BTreeMap<QueueId, Vec<String>>,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    pub(crate) workers: BTreeSet<WorkerName>,
    /// Runtime properties `force`; none is a server that has no such properties.
    pub(crate) forced: Option<BTreeMap<WorkerName, Force>>,
    /// Asking for them fails.
    pub(crate) unforced: bool,
    pub(crate) tokens: u32,
    pub(crate) revoked: u32,
    /// Queues show what is first in them, and do not give it.
    pub(crate) grudging: bool,
    /// Every call fails as if the server were not there.
    pub(crate) down: bool,
    /// So many calls do their work, and lose the answer.
    pub(crate) lose_answers: u32,
    /// The poller's next call is a defect.
    pub(crate) broken: bool,
    pub(crate) calls: BTreeMap<&'static str, u32>,
}

#[derive(Debug, Default)]
pub(crate) struct FakeClearMl {
    state: Mutex<State>,
}

impl FakeClearMl {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds this")
    }

    pub(crate) fn queue(&self, name: &str) -> QueueId {
        let id = QueueId::new(name).expect("an id");
        self.lock().queues.entry(id.clone()).or_default();
        id
    }

    pub(crate) fn enqueue(&self, queue: &str, task: &str) -> TaskId {
        let (queue, id) = (self.queue(queue), TaskId::new(task).expect("an id"));
        let mut state = self.lock();
        state.tasks.entry(id.clone()).or_default().status = Some(TaskStatus::Queued);
        state.queues.entry(queue).or_default().push_back(id.clone());
        id
    }

    fn call<T>(
        &self,
        name: &'static str,
        work: impl FnOnce(&mut State) -> Result<T, ServerError>,
    ) -> Result<T, ServerError> {
        let mut state = self.lock();
        *state.calls.entry(name).or_default() += 1;
        let lost = |maybe_done| ServerError::Unreachable { call: name, reason: "a test said so".into(), maybe_done };
        if state.down {
            return Err(lost(false));
        }
        let done = work(&mut state)?;
        if state.lose_answers > 0 {
            state.lose_answers -= 1;
            return Err(lost(true));
        }
        Ok(done)
    }

    fn end(&self, name: &'static str, task: &TaskId, note: &StatusNote, status: TaskStatus) -> Result<(), ServerError> {
        self.call(name, |state| {
            let task = known(name, state, task)?;
            let legal = matches!(task.status, Some(TaskStatus::InProgress)) || task.status == Some(status);
            if !legal && !note.force {
                return Err(rejected(name, 110));
            }
            if task.status != Some(status) {
                task.ends += 1;
            }
            task.status = Some(status);
            task.reasons.push(note.reason.clone());
            task.message.clone_from(&note.message);
            Ok(())
        })
    }
}

fn rejected(call: &'static str, subcode: u32) -> ServerError {
    ServerError::Rejected { call, code: 400, subcode, message: "a test said so".into() }
}

fn known<'a>(call: &'static str, state: &'a mut State, task: &TaskId) -> Result<&'a mut Task, ServerError> {
    state.tasks.get_mut(task).ok_or_else(|| rejected(call, 101))
}

fn state_of(id: &TaskId, task: &Task) -> TaskState {
    TaskState {
        id: id.clone(),
        status: task.status.unwrap_or(TaskStatus::Created),
        status_message: task.message.clone(),
        last_worker: task.last_worker.clone(),
        abort_callback: None,
    }
}

#[async_trait]
impl ClearMl for FakeClearMl {
    async fn resolve_queue(&self, name: &str) -> Result<Option<QueueRef>, ServerError> {
        self.call("resolve_queue", |state| {
            let found = state.queues.keys().find(|id| id.as_str() == name);
            Ok(found.map(|id| QueueRef { id: id.clone(), name: name.to_owned() }))
        })
    }

    async fn create_queue(&self, name: &str) -> Result<QueueRef, ServerError> {
        self.call("create_queue", |state| {
            let id = QueueId::new(name).map_err(|_| rejected("create_queue", 800))?;
            state.queues.entry(id.clone()).or_default();
            Ok(QueueRef { id, name: name.to_owned() })
        })
    }

    async fn queue_heads(&self, queues: &[QueueId]) -> Result<Vec<QueueView>, ServerError> {
        let broken = self.lock().broken;
        assert!(!broken, "a test broke the poller");
        self.call("queue_heads", |state| {
            let view = |id: &QueueId| {
                let entries = state.queues.get(id)?;
                let tags = state.tags.get(id).cloned().unwrap_or_default();
                Some(QueueView { id: id.clone(), name: id.to_string(), tags, head: entries.front().cloned() })
            };
            Ok(queues.iter().filter_map(view).collect())
        })
    }

    async fn pop(&self, queue: &QueueId, head: &TaskId) -> Result<Option<TaskId>, ServerError> {
        self.call("pop", |state| {
            if state.grudging {
                return Err(rejected("pop", 22));
            }
            let entries = state.queues.get_mut(queue).ok_or_else(|| rejected("pop", 701))?;
            Ok(if entries.front() == Some(head) { entries.pop_front() } else { None })
        })
    }

    async fn put_back(&self, queue: &QueueId, task: &TaskId, _reason: &str) -> Result<(), ServerError> {
        self.call("put_back", |state| {
            known("put_back", state, task)?.status = Some(TaskStatus::Queued);
            state.queues.entry(queue.clone()).or_default().push_front(task.clone());
            Ok(())
        })
    }

    async fn enqueue(&self, queue: &QueueId, task: &TaskId, note: &StatusNote) -> Result<(), ServerError> {
        self.call("enqueue", |state| {
            let found = known("enqueue", state, task)?;
            let legal = [TaskStatus::Created, TaskStatus::Stopped, TaskStatus::Failed, TaskStatus::Queued];
            if !found.status.is_some_and(|status| legal.contains(&status)) {
                return Err(rejected("enqueue", 110));
            }
            found.status = Some(TaskStatus::Queued);
            found.reasons.push(note.reason.clone());
            found.message.clone_from(&note.message);
            let entries = state.queues.get_mut(queue).ok_or_else(|| rejected("enqueue", 701))?;
            if !entries.contains(task) {
                entries.push_back(task.clone());
            }
            Ok(())
        })
    }

    async fn to_front(&self, queue: &QueueId, task: &TaskId) -> Result<(), ServerError> {
        self.call("to_front", |state| {
            let entries = state.queues.get_mut(queue).ok_or_else(|| rejected("to_front", 701))?;
            if let Some(at) = entries.iter().position(|entry| entry == task) {
                entries.remove(at);
                entries.push_front(task.clone());
            }
            Ok(())
        })
    }

    async fn whereabouts(&self, task: &TaskId, _queue: &QueueId) -> Result<Whereabouts, ServerError> {
        self.call("whereabouts", |state| {
            let queued_in = state.queues.iter().find(|(_, entries)| entries.contains(task)).map(|(id, _)| id.clone());
            Ok(Whereabouts { state: state.tasks.get(task).map(|found| state_of(task, found)), queued_in })
        })
    }

    async fn register(&self, worker: &WorkerName, _queues: &[QueueId]) -> Result<(), ServerError> {
        self.call("register", |state| {
            state.workers.insert(worker.clone());
            Ok(())
        })
    }

    async fn unregister(&self, worker: &WorkerName) -> Result<(), ServerError> {
        self.call("unregister", |state| {
            state.workers.remove(worker);
            Ok(())
        })
    }

    async fn forced(&self, worker: &WorkerName) -> Result<Forced, ServerError> {
        self.call("forced", |state| {
            if state.unforced {
                return Err(rejected("forced", 0));
            }
            let properties = state.forced.as_ref();
            Ok(properties.map_or(Forced::Unsupported, |properties| Forced::Is(properties.get(worker).copied())))
        })
    }

    async fn report(&self, report: &WorkerReport) -> Result<(), ServerError> {
        self.call("report", |state| {
            if let Some((task, _)) = &report.task {
                known("report", state, task)?.last_worker = Some(report.worker.to_string());
            }
            Ok(())
        })
    }

    async fn task(&self, task: &TaskId) -> Result<Option<TaskSnapshot>, ServerError> {
        self.call("task", |state| {
            Ok(state.tasks.get(task).map(|found| TaskSnapshot {
                id: task.clone(),
                name: format!("task {task}"),
                status: found.status.unwrap_or(TaskStatus::Created),
                last_worker: found.last_worker.clone(),
                script: TaskScript::default(),
                environment: BTreeMap::new(),
                properties: std::collections::BTreeMap::new(),
                container_image: None,
            }))
        })
    }

    async fn task_states(&self, tasks: &[TaskId]) -> Result<Vec<TaskState>, ServerError> {
        self.call("task_states", |state| {
            Ok(tasks.iter().filter_map(|id| Some(state_of(id, state.tasks.get(id)?))).collect())
        })
    }

    async fn started(&self, task: &TaskId, note: &StatusNote) -> Result<(), ServerError> {
        self.call("started", |state| {
            let task = known("started", state, task)?;
            task.status = Some(TaskStatus::InProgress);
            task.message.clone_from(&note.message);
            Ok(())
        })
    }

    async fn completed(&self, task: &TaskId, note: &StatusNote) -> Result<(), ServerError> {
        self.end("completed", task, note, TaskStatus::Completed)
    }

    async fn failed(&self, task: &TaskId, note: &StatusNote) -> Result<(), ServerError> {
        self.end("failed", task, note, TaskStatus::Failed)
    }

    async fn stopped(&self, task: &TaskId, note: &StatusNote) -> Result<(), ServerError> {
        self.end("stopped", task, note, TaskStatus::Stopped)
    }

    async fn ping(&self, _task: &TaskId) -> Result<(), ServerError> {
        self.call("ping", |_| Ok(()))
    }

    async fn set_host(&self, _task: &TaskId, _host: &str) -> Result<(), ServerError> {
        self.call("set_host", |_| Ok(()))
    }

    async fn set_commit(&self, _task: &TaskId, _commit: &str) -> Result<(), ServerError> {
        self.call("set_commit", |_| Ok(()))
    }

    async fn set_requirements(
        &self,
        task: &TaskId,
        frozen: &[String],
        _original: Option<&str>,
    ) -> Result<(), ServerError> {
        self.call("set_requirements", |state| {
            known("set_requirements", state, task)?.requirements = frozen.to_vec();
            Ok(())
        })
    }

    async fn send_log(&self, task: &TaskId, _worker: &WorkerName, events: &[LogEvent]) -> Result<(), ServerError> {
        self.call("send_log", |state| {
            let task = known("send_log", state, task)?;
            task.log.extend(events.iter().map(|event| (event.stamp.0, event.text.clone())));
            Ok(())
        })
    }

    async fn log_stamps(
        &self,
        task: &TaskId,
        _worker: &WorkerName,
        after: UnixMillis,
    ) -> Result<Vec<UnixMillis>, ServerError> {
        self.call("log_stamps", |state| {
            let task = known("log_stamps", state, task)?;
            Ok(task.log.iter().map(|(stamp, _)| UnixMillis(*stamp)).filter(|stamp| *stamp > after).collect())
        })
    }

    async fn payload_token(&self) -> Result<PayloadToken, ServerError> {
        self.call("payload_token", |state| {
            state.tokens += 1;
            Ok(PayloadToken { token: SecretString::from(format!("token-{}", state.tokens)) })
        })
    }

    async fn revoke(&self, _token: &PayloadToken) -> Result<(), ServerError> {
        self.call("revoke", |state| {
            state.revoked += 1;
            Ok(())
        })
    }

    fn identity(&self) -> ServerIdentity {
        ServerIdentity { api_url: "http://fake".to_owned(), ..ServerIdentity::default() }
    }
}
