//! Tasks: reading their specs and states, telling what becomes of them.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Client;
use super::failure::Failure;
use super::queues::PAGE;
use super::shape::{self, required_list};
use crate::domain::ids::TaskId;
use crate::domain::task::{AbortCallback, TaskScript, TaskSnapshot, TaskState, TaskStatus};
use crate::engine::ports::StatusNote;

/// From this version on a task has `container` and `hyperparams` of its own; the server rewrites it for older ones.
pub(super) const TASKS: &str = "/v2.13";

const STATE_FIELDS: [&str; 5] = ["id", "status", "status_message", "last_worker", "runtime"];

impl Client {
    /// The raw task, for the engine and for people.
    pub(super) async fn raw_task(&self, task: &TaskId) -> Result<Option<Value>, Failure> {
        match self.call("tasks.get_by_id", TASKS, &json!({ "task": task })).await {
            Ok(mut answer) => {
                let raw = answer.get_mut("task").map(Value::take).unwrap_or_default();
                let id: TaskId = shape::id(&raw, "id")?;
                if id == *task { Ok(Some(raw)) } else { Err(Failure::odd(format!("it has task {id} for {task}"))) }
            }
            Err(Failure::Rejected { code: 400, subcode: 101, .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn snapshot(&self, task: &TaskId) -> Result<Option<TaskSnapshot>, Failure> {
        Ok(self.raw_task(task).await?.map(|raw| snapshot(task, &raw)))
    }

    pub(super) async fn states(&self, tasks: &[TaskId]) -> Result<Vec<TaskState>, Failure> {
        let mut states = Vec::with_capacity(tasks.len());
        // No ids would mean all tasks.
        for tasks in tasks.chunks(PAGE) {
            let parameters = json!({
                "id": tasks, "only_fields": STATE_FIELDS, "search_hidden": true, "page": 0, "page_size": PAGE,
            });
            let answer = self.call("tasks.get_all", TASKS, &parameters).await?;
            for raw in required_list(&answer, "tasks")? {
                let id = shape::id(raw, "id")?;
                if tasks.contains(&id) {
                    states.push(state(id, raw));
                }
            }
        }
        Ok(states)
    }

    /// All these calls overwrite reason and message, and may be repeated: a status may always change to itself.
    pub(super) async fn tell(&self, call: &'static str, task: &TaskId, note: &StatusNote) -> Result<(), Failure> {
        let StatusNote { reason, message, force } = note;
        let parameters = json!({ "task": task, "status_reason": reason, "status_message": message, "force": force });
        self.call(call, TASKS, &parameters).await.map(drop)
    }

    /// `tasks.edit` replaces the whole of `runtime`, where the SDK keeps its own.
    pub(super) async fn write_host(&self, task: &TaskId, host: &str) -> Result<(), Failure> {
        const KEY: &str = "_exec_agent_hostname";
        let parameters = json!({ "id": [task], "only_fields": ["id", "runtime"], "search_hidden": true });
        let answer = self.call("tasks.get_all", TASKS, &parameters).await?;
        let Some(raw) = required_list(&answer, "tasks")?.first() else {
            return Err(Failure::Rejected { code: 400, subcode: 101, message: format!("there is no task {task}") });
        };
        let mut runtime = raw.get("runtime").and_then(Value::as_object).cloned().unwrap_or_default();
        let host = Value::from(host);
        if runtime.get(KEY) == Some(&host) {
            return Ok(());
        }
        runtime.insert(KEY.to_owned(), host);
        self.edit(task, "runtime", Value::Object(runtime)).await
    }

    pub(super) async fn write_commit(&self, task: &TaskId, commit: &str) -> Result<(), Failure> {
        self.edit(task, "script", json!({ "version_num": commit })).await
    }

    async fn edit(&self, task: &TaskId, field: &str, value: Value) -> Result<(), Failure> {
        let parameters = json!({ "task": task, "force": true, (field): value });
        self.call("tasks.edit", TASKS, &parameters).await.map(drop)
    }

    pub(super) async fn write_requirements(
        &self,
        task: &TaskId,
        frozen: &[String],
        original: Option<&str>,
    ) -> Result<(), Failure> {
        let mut requirements = Map::from_iter([("pip".to_owned(), json!(frozen))]);
        if let Some(original) = original {
            requirements.insert("org_pip".to_owned(), json!(original));
        }
        let parameters = json!({ "task": task, "requirements": requirements });
        self.call("tasks.set_requirements", TASKS, &parameters).await.map(drop)
    }
}

fn snapshot(id: &TaskId, raw: &Value) -> TaskSnapshot {
    let null = Value::Null;
    let script = raw.get("script").unwrap_or(&null);
    TaskSnapshot {
        id: id.clone(),
        name: shape::text(raw, "name"),
        status: TaskStatus::parse(&shape::text(raw, "status")),
        last_worker: shape::word(raw, "last_worker"),
        script: TaskScript {
            binary: shape::word(script, "binary"),
            repository: shape::word(script, "repository"),
            tag: shape::word(script, "tag"),
            branch: shape::word(script, "branch"),
            version_num: shape::word(script, "version_num"),
            entry_point: shape::word(script, "entry_point"),
            working_dir: shape::word(script, "working_dir"),
            pip_requirements: shape::lines(script.pointer("/requirements/pip")),
            original_pip_requirements: shape::lines(script.pointer("/requirements/org_pip")),
            // Not trimmed: its first and last characters belong to the patch or the program.
            diff: Some(shape::text(script, "diff")).filter(|diff| !diff.trim().is_empty()),
        },
        environment: section(raw, "Environment"),
        properties: section(raw, "properties"),
        container_image: raw.get("container").and_then(|container| shape::word(container, "image")),
    }
}

fn section(raw: &Value, name: &str) -> BTreeMap<String, String> {
    let section = raw.get("hyperparams").and_then(|all| all.get(name)).and_then(Value::as_object);
    let read = |(name, item): (&String, &Value)| (name.clone(), shape::text(item, "value"));
    section.into_iter().flatten().map(read).collect()
}

fn state(id: TaskId, raw: &Value) -> TaskState {
    TaskState {
        id,
        status: TaskStatus::parse(&shape::text(raw, "status")),
        status_message: shape::text(raw, "status_message"),
        last_worker: shape::word(raw, "last_worker"),
        abort_callback: raw.get("runtime").and_then(abort_callback),
    }
}

fn abort_callback(runtime: &Value) -> Option<AbortCallback> {
    let timeout_s = shape::seconds(runtime.get("_abort_callback_timeout")).filter(|seconds| *seconds > 0)?;
    Some(AbortCallback {
        timeout_s,
        poll_s: shape::seconds(runtime.get("_abort_poll_freq")).unwrap_or(0),
        completed: shape::truthy(runtime.get("_abort_callback_completed")),
    })
}
