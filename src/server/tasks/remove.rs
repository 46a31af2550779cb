//! Deleting a task, and what a task leaves behind.

use serde_json::{Value, json};

use super::{asked, status_of};
use crate::domain::task::TaskStatus;
use crate::server::call::{ApiError, Call};
use crate::server::store::{Kind, Narrow};
use crate::server::{events, queues};

/// What was deleted with a task.
#[derive(Debug, Default)]
pub(super) struct Traces {
    pub(super) events: usize,
    pub(super) models: usize,
    pub(super) model_urls: Vec<Value>,
}

/// The addresses of a task's output artifacts.
pub(super) fn artifact_urls(task: &Value) -> Vec<Value> {
    let artifacts = task["execution"]["artifacts"].as_array().into_iter().flatten();
    artifacts
        .filter(|artifact| artifact["mode"] != "input")
        .filter_map(|artifact| artifact.get("uri").cloned())
        .collect()
}

/// Deletes a task's events and, if wanted, the models it made. A published model forbids it without force.
pub(super) fn traces(call: &Call<'_>, id: &str, models: bool, force: bool) -> Result<Traces, ApiError> {
    let mut deleted = Traces::default();
    if models {
        let all = call.documents.list(Kind::Model, &Narrow::default())?;
        for model in all.into_iter().filter(|model| model["task"] == *id) {
            if model["ready"] == true && !force {
                return Err(ApiError::new(400, 123, format!("Task has published models: id={id}")));
            }
            call.documents.remove(Kind::Model, model["id"].as_str().unwrap_or_default())?;
            deleted.model_urls.extend(model.get("uri").cloned());
            deleted.models += 1;
        }
    }
    deleted.events = events::delete_of_task(call, id)?;
    Ok(deleted)
}

pub(in crate::server) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let task = asked(call)?;
    let id = call.required_text("task")?;
    let force = call.flag("force", false)?;
    let archived = task["system_tags"].as_array().is_some_and(|tags| tags.contains(&json!("archived")));
    if !force && !archived && status_of(&task) != TaskStatus::Created {
        return Err(ApiError::new(400, 123, format!("Task cannot be deleted: task={id}, status={}", task["status"])));
    }
    queues::remove_everywhere(call, &id, None)?;
    let urls = artifact_urls(&task);
    let deleted = traces(call, &id, call.flag("delete_output_models", true)?, force)?;
    call.documents.remove(Kind::Task, &id)?;
    let mut answer = json!({
        "deleted": true, "updated_children": 0, "updated_models": 0, "deleted_models": deleted.models,
        "events": {"deleted": deleted.events},
    });
    if call.flag("return_file_urls", false)? {
        answer["urls"] = json!({"model_urls": deleted.model_urls, "event_urls": [], "artifact_urls": urls});
    }
    Ok(answer)
}
