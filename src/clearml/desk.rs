//! What a person wants of the server.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::Client;
use super::events::stamp;
use super::failure::Failure;
use super::http::Request;
use super::queues::{PAGE, V};
use super::shape::{self, required_list};
use super::tasks::TASKS;
use crate::domain::ids::{QueueId, TaskId, UnixMillis};
use crate::engine::ports::{
    Desk, DeskLogEvent, DeskQueue, DeskTask, DeskTaskDetail, QueueMove, ServerError, Submission, TaskFilter,
};

/// What a list of tasks needs.
const TASK_FIELDS: [&str; 8] =
    ["id", "name", "type", "status", "status_reason", "status_message", "last_worker", "last_update"];

impl Client {
    async fn all_queues(&self) -> Result<Vec<DeskQueue>, Failure> {
        let mut queues = Vec::new();
        for page in 0.. {
            let parameters = json!({
                "only_fields": ["id", "name", "tags", "entries"], "order_by": ["name"], "search_hidden": true,
                "page": page, "page_size": PAGE,
            });
            let answer = self.call("queues.get_all", V, &parameters).await?;
            let found = required_list(&answer, "queues")?;
            for queue in found {
                queues.push(desk_queue(queue)?);
            }
            // A server that ignores `page` would send the same for ever.
            if found.len() != PAGE || page > 100 {
                break;
            }
        }
        Ok(queues)
    }

    async fn queue_id(&self, name_or_id: &str) -> Result<QueueId, Failure> {
        let found = self.find_queue(name_or_id).await?;
        let message = || format!("there is no queue `{}`", name_or_id.escape_debug());
        let missing = || Failure::Rejected { code: 400, subcode: 701, message: message() };
        found.map(|queue| queue.id).ok_or_else(missing)
    }

    async fn reposition(&self, queue: &str, task: &TaskId, to: QueueMove) -> Result<u64, Failure> {
        let queue = self.queue_id(queue).await?;
        let (name, count) = match to {
            QueueMove::Front => ("queues.move_task_to_front", None),
            QueueMove::Back => ("queues.move_task_to_back", None),
            QueueMove::Forward { count } => ("queues.move_task_forward", Some(count)),
            QueueMove::Backward { count } => ("queues.move_task_backward", Some(count)),
        };
        let mut parameters = json!({ "queue": queue, "task": task });
        if let Some(count) = count {
            parameters["count"] = json!(count);
        }
        let answer = self.session.call(&Request::json(name, V, &parameters).once()).await?;
        match answer.get("position").and_then(Value::as_i64) {
            Some(position) if position >= 0 => Ok(position.unsigned_abs()),
            // The end: the server counts it as -1.
            _ => self.position(&queue, task).await,
        }
    }

    async fn position(&self, queue: &QueueId, task: &TaskId) -> Result<u64, Failure> {
        let queues = self.all_queues().await?;
        let entries = queues.iter().find(|found| found.id == *queue).map(|queue| &queue.entries);
        let position = entries.and_then(|entries| entries.iter().position(|entry| entry == task));
        position.map(|position| position as u64).ok_or_else(|| Failure::odd("the task is in that queue no more"))
    }

    async fn list_tasks(&self, filter: &TaskFilter) -> Result<Vec<DeskTask>, Failure> {
        let mut parameters = json!({
            "only_fields": TASK_FIELDS, "order_by": ["-created"], "page": 0,
            "page_size": (filter.limit as usize).clamp(1, PAGE),
        });
        if !filter.statuses.is_empty() {
            parameters["status"] = json!(filter.statuses);
        }
        if let Some(name) = &filter.name {
            parameters["name"] = json!(name);
        }
        let answer = self.call("tasks.get_all", TASKS, &parameters).await?;
        required_list(&answer, "tasks")?.iter().map(desk_task).collect()
    }

    async fn detail(&self, task: &TaskId) -> Result<Option<DeskTaskDetail>, Failure> {
        let Some(raw) = self.raw_task(task).await? else { return Ok(None) };
        let project = match shape::word(&raw, "project") {
            Some(id) => {
                // For its name only: a task can be shown without.
                let answer = self.call("projects.get_by_id", V, &json!({ "project": id })).await;
                let name = answer.ok().and_then(|answer| shape::word(answer.get("project")?, "name"));
                Some(name.unwrap_or(id))
            }
            None => None,
        };
        let mut detail = task_detail(&raw, project)?;
        detail.web_url = (!self.identity.web_url.is_empty()).then(|| {
            let project = shape::word(&raw, "project").unwrap_or_else(|| "*".to_owned());
            format!("{}/projects/{project}/experiments/{task}/output/log", self.identity.web_url)
        });
        Ok(Some(detail))
    }

    async fn copy_task(&self, task: &TaskId, name: Option<&str>) -> Result<TaskId, Failure> {
        let mut parameters = json!({ "task": task });
        if let Some(name) = name {
            parameters["new_task_name"] = json!(name);
        }
        let answer = self.session.call(&Request::json("tasks.clone", TASKS, &parameters).once()).await?;
        shape::id(&answer, "id")
    }

    async fn add_to_queue(&self, task: &TaskId, queue: &str) -> Result<(), Failure> {
        let queue = self.queue_id(queue).await?;
        self.enqueue_by_id(task, &queue).await
    }

    async fn enqueue_by_id(&self, task: &TaskId, queue: &QueueId) -> Result<(), Failure> {
        let note = json!({ "task": task, "queue": queue, "status_reason": "enqueued by clearmlctl" });
        self.call("tasks.enqueue", TASKS, &note).await.map(drop)
    }

    async fn create_and_enqueue(&self, submission: &Submission) -> Result<TaskId, Failure> {
        // The queue first: a task that cannot be queued need not be made.
        let queue = match &submission.queue {
            Some(queue) => Some(self.queue_id(queue).await?),
            None => None,
        };
        let project = self.project(submission.project.as_deref().unwrap_or(DEFAULT_PROJECT)).await?;
        let parameters = new_task(submission, &project);
        let answer = self.session.call(&Request::json("tasks.create", TASKS, &parameters).once()).await?;
        let task: TaskId = shape::id(&answer, "id")?;
        if let Some(queue) = queue {
            let made = |failure| told(&format!("task {task} is made, but not queued: "), failure);
            self.enqueue_by_id(&task, &queue).await.map_err(made)?;
        }
        Ok(task)
    }

    /// A project's id by its name; it is made when there is none.
    async fn project(&self, name: &str) -> Result<String, Failure> {
        let pattern = format!("^{}$", regex::escape(name));
        let parameters = json!({ "name": pattern, "only_fields": ["id", "name"], "search_hidden": true });
        let answer = self.call("projects.get_all", V, &parameters).await?;
        let same = |project: &&Value| shape::text(project, "name") == name;
        if let Some(id) = shape::list(&answer, "projects").iter().find(same).and_then(|found| shape::word(found, "id"))
        {
            return Ok(id);
        }
        let parameters = json!({ "name": name, "description": "" });
        let answer = self.session.call(&Request::json("projects.create", V, &parameters).once()).await?;
        shape::word(&answer, "id").ok_or_else(|| Failure::odd("projects.create gave no id"))
    }

    async fn read_log(&self, task: &TaskId, after: Option<UnixMillis>, limit: u32) -> Result<Vec<Value>, Failure> {
        self.log_page(task, after, (limit as usize).clamp(1, 10_000)).await
    }
}

/// `Task.init` of the SDK needs a task to have a project.
const DEFAULT_PROJECT: &str = "clearmld";

fn new_task(submission: &Submission, project: &str) -> Value {
    let Submission {
        name,
        project: _,
        kind,
        binary,
        repository,
        branch,
        commit,
        working_dir,
        entry_point,
        diff,
        requirements,
        arguments,
        queue: _,
    } = submission;
    let mut script = json!({
        "binary": binary, "repository": repository.as_deref().unwrap_or(""), "working_dir": working_dir,
        "entry_point": entry_point,
    });
    for (field, value) in [("branch", branch), ("version_num", commit), ("diff", diff)] {
        if let Some(value) = value {
            script[field] = json!(value);
        }
    }
    if let Some(requirements) = requirements {
        script["requirements"] = json!({ "pip": requirements });
    }
    let mut parameters = json!({ "name": name, "type": kind, "project": project, "script": script });
    if !arguments.is_empty() {
        let item = |(name, value): &(String, String)| {
            (name.clone(), json!({ "section": "Args", "name": name, "value": value }))
        };
        parameters["hyperparams"] = json!({ "Args": arguments.iter().map(item).collect::<serde_json::Map<_, _>>() });
    }
    parameters
}

fn told(what: &str, failure: Failure) -> Failure {
    match failure {
        Failure::Unreachable { reason, maybe_done } => {
            Failure::Unreachable { reason: format!("{what}{reason}"), maybe_done }
        }
        Failure::Unauthorized { reason } => Failure::Unauthorized { reason: format!("{what}{reason}") },
        Failure::Rejected { code, subcode, message } => {
            Failure::Rejected { code, subcode, message: format!("{what}{message}") }
        }
        Failure::Incomprehensible { reason } => Failure::odd(format!("{what}{reason}")),
    }
}

fn desk_queue(queue: &Value) -> Result<DeskQueue, Failure> {
    let entries = shape::list(queue, "entries").iter().map(|entry| shape::id(entry, "task"));
    Ok(DeskQueue {
        id: shape::id(queue, "id")?,
        name: shape::text(queue, "name"),
        tags: shape::texts(queue, "tags"),
        entries: entries.collect::<Result<_, _>>()?,
    })
}

fn desk_task(raw: &Value) -> Result<DeskTask, Failure> {
    Ok(DeskTask {
        id: shape::id(raw, "id")?,
        name: shape::text(raw, "name"),
        kind: shape::text(raw, "type"),
        status: shape::text(raw, "status"),
        status_reason: shape::text(raw, "status_reason"),
        status_message: shape::text(raw, "status_message"),
        last_worker: shape::word(raw, "last_worker"),
        last_update: shape::word(raw, "last_update"),
    })
}

fn task_detail(raw: &Value, project: Option<String>) -> Result<DeskTaskDetail, Failure> {
    let null = Value::Null;
    let script = raw.get("script").unwrap_or(&null);
    Ok(DeskTaskDetail {
        task: desk_task(raw)?,
        project,
        created: shape::word(raw, "created"),
        started: shape::word(raw, "started"),
        completed: shape::word(raw, "completed"),
        active_duration_s: shape::seconds(raw.get("active_duration")),
        repository: shape::word(script, "repository"),
        commit: shape::word(script, "version_num"),
        entry_point: shape::word(script, "entry_point"),
        requirements: shape::lines(script.pointer("/requirements/pip")),
        hyperparameters: hyperparameters(raw),
        last_scalars: last_scalars(raw),
        artifacts: artifacts(raw),
        web_url: None,
    })
}

fn children<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    value.get(key).and_then(Value::as_object).into_iter().flatten()
}

fn hyperparameters(raw: &Value) -> Vec<(String, String, String)> {
    let of_section = |(section, items): (&String, &Value)| {
        let item = |(name, item): (&String, &Value)| (section.clone(), name.clone(), shape::text(item, "value"));
        items.as_object().into_iter().flatten().map(item).collect::<Vec<_>>()
    };
    children(raw, "hyperparams").flat_map(of_section).collect()
}

/// `last_metrics`: two levels, keyed by hashes of metric and variant.
fn last_scalars(raw: &Value) -> Vec<(String, String, f64)> {
    let variants = children(raw, "last_metrics").flat_map(|(_, metric)| metric.as_object().into_iter().flatten());
    let read = |(_, variant): (&String, &Value)| {
        let value = variant.get("value")?.as_f64()?;
        Some((shape::text(variant, "metric"), shape::text(variant, "variant"), value))
    };
    let mut scalars: Vec<_> = variants.filter_map(read).collect();
    scalars.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    scalars
}

fn artifacts(raw: &Value) -> Vec<(String, String, String)> {
    let artifacts = raw.get("execution").map(|execution| shape::list(execution, "artifacts")).unwrap_or_default();
    let read =
        |artifact: &Value| (shape::text(artifact, "key"), shape::text(artifact, "type"), shape::text(artifact, "uri"));
    artifacts.iter().map(read).collect()
}

fn log_event(raw: &Value) -> DeskLogEvent {
    DeskLogEvent {
        stamp: stamp(raw),
        level: shape::text(raw, "level"),
        worker: shape::text(raw, "worker"),
        text: shape::text(raw, "msg"),
    }
}

fn of(call: &'static str) -> impl FnOnce(Failure) -> ServerError {
    move |failure| failure.of(call)
}

#[async_trait]
impl Desk for Client {
    async fn queues(&self) -> Result<Vec<DeskQueue>, ServerError> {
        self.all_queues().await.map_err(of("queues.get_all"))
    }

    async fn create_queue(&self, name: &str) -> Result<DeskQueue, ServerError> {
        // Here, unlike for a worker's queue, one that exists already is the person's mistake.
        let request = Request::json("queues.create", V, &json!({ "name": name })).once();
        let answer = self.session.call(&request).await.map_err(of("queues.create"))?;
        let id = shape::id(&answer, "id").map_err(of("queues.create"))?;
        Ok(DeskQueue { id, name: name.to_owned(), tags: Vec::new(), entries: Vec::new() })
    }

    async fn move_task(&self, queue: &str, task: &TaskId, to: QueueMove) -> Result<u64, ServerError> {
        self.reposition(queue, task, to).await.map_err(of("queues.move_task"))
    }

    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<DeskTask>, ServerError> {
        self.list_tasks(filter).await.map_err(of("tasks.get_all"))
    }

    async fn task(&self, task: &TaskId) -> Result<Option<DeskTaskDetail>, ServerError> {
        self.detail(task).await.map_err(of("tasks.get_by_id"))
    }

    async fn clone_task(&self, task: &TaskId, name: Option<&str>) -> Result<TaskId, ServerError> {
        self.copy_task(task, name).await.map_err(of("tasks.clone"))
    }

    async fn reset(&self, task: &TaskId, force: bool) -> Result<(), ServerError> {
        let parameters = json!({ "task": task, "force": force });
        self.call("tasks.reset", TASKS, &parameters).await.map(drop).map_err(of("tasks.reset"))
    }

    async fn enqueue(&self, task: &TaskId, queue: &str) -> Result<(), ServerError> {
        self.add_to_queue(task, queue).await.map_err(of("tasks.enqueue"))
    }

    async fn abort(&self, task: &TaskId, force: bool) -> Result<(), ServerError> {
        let parameters = json!({ "task": task, "force": force, "status_reason": "aborted by clearmlctl" });
        self.call("tasks.stop", TASKS, &parameters).await.map(drop).map_err(of("tasks.stop"))
    }

    async fn submit(&self, submission: &Submission) -> Result<TaskId, ServerError> {
        self.create_and_enqueue(submission).await.map_err(of("tasks.create"))
    }

    async fn log(
        &self,
        task: &TaskId,
        after: Option<UnixMillis>,
        limit: u32,
    ) -> Result<Vec<DeskLogEvent>, ServerError> {
        let events = self.read_log(task, after, limit).await.map_err(of("events.get_task_log"))?;
        Ok(events.iter().map(log_event).collect())
    }
}
