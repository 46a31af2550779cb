//! Into a queue, out of it, and back to the start.

use serde_json::{Value, json};

use super::status::{self, Change};
use super::{asked, document, remove, status_of};
use crate::domain::task::TaskStatus;
use crate::server::call::{ApiError, Call, Object};
use crate::server::queues;
use crate::server::store::Kind;

/// The queue that an enqueue names: by id, by name (made if it is missing), or the default.
fn wanted_queue(call: &Call<'_>) -> Result<String, ApiError> {
    let queue = match (call.text("queue")?, call.text("queue_name")?) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid_field("queue", "only one of queue and queue_name may be given"));
        }
        (Some(id), None) => call.existing(Kind::Queue, &id)?,
        (None, Some(name)) => match call.documents.named(Kind::Queue, name.trim())? {
            Some(queue) => queue,
            None => {
                let queue = queues::create_named(call, &name)?;
                queues::put(call.documents, &queue)?;
                queue
            }
        },
        (None, None) => queues::default_queue(call)?,
    };
    Ok(queue["id"].as_str().unwrap_or_default().to_owned())
}

pub(in crate::server) fn enqueue(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    let id = call.required_text("task")?;
    let queue = wanted_queue(call)?;
    let before = status_of(&task);
    let mut change = Change::asked(call, TaskStatus::Queued)?;
    if before != TaskStatus::Queued {
        change.extra.insert("enqueue_status".to_owned(), json!(before.as_str()));
    }
    if let Some(Value::Array(tags)) = task.get_mut("system_tags") {
        tags.retain(|tag| tag != "development");
    }
    if call.flag("update_execution_queue", true)? {
        change.extra.insert("execution.queue".to_owned(), json!(queue));
    }
    let fields = status::apply(call, &mut task, change)?;
    // An error here takes the change of status back with it, as the real server does by hand.
    queues::append(call, &queue, &id)?;
    queues::remove_everywhere(call, &id, Some(&queue))?;
    let mut answer = json!({"queued": 1, "updated": 1, "fields": fields});
    if call.flag("verify_watched_queue", false)? {
        let watched = crate::server::workers::alive(call)?
            .iter()
            .any(|worker| worker["queues"].as_array().is_some_and(|queues| queues.contains(&json!(queue))));
        answer["queue_watched"] = json!(watched);
    }
    Ok(answer)
}

pub(in crate::server) fn dequeue(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.required_text("task")?;
    let Some(mut task) = call.documents.get(Kind::Task, &id)? else {
        return Ok(json!({"dequeued": 1, "updated": 0}));
    };
    let queue = task["execution"]["queue"].as_str().map(str::to_owned);
    if call.flag("remove_from_all_queues", false)? {
        queues::remove_everywhere(call, &id, None)?;
    } else if let Some(queue) = queue {
        queues::remove_from(call, &queue, &id)?;
    }
    let current = status_of(&task);
    if !matches!(current, TaskStatus::Queued | TaskStatus::InProgress) {
        return Ok(json!({"dequeued": 1, "updated": 0}));
    }
    let wanted = call.text("new_status")?;
    let before = task["enqueue_status"].as_str().map(str::to_owned);
    let to = TaskStatus::parse(wanted.or(before).as_deref().unwrap_or("created"));
    let mut change = Change { force: true, ..Change::asked(call, to)? };
    change.extra.insert("enqueue_status".to_owned(), Value::Null);
    let fields = status::apply(call, &mut task, change)?;
    Ok(json!({"dequeued": 1, "updated": 1, "fields": fields}))
}

/// What becomes of a task whose place in a queue is gone.
pub(in crate::server) fn back_to_before_the_queue(call: &Call<'_>, id: &str, reason: &str) -> Result<(), ApiError> {
    let Some(mut task) = call.documents.get(Kind::Task, id)? else {
        return Ok(());
    };
    if status_of(&task) != TaskStatus::Queued {
        return Ok(());
    }
    let to = TaskStatus::parse(task["enqueue_status"].as_str().unwrap_or("created"));
    if let Some(Value::Object(execution)) = task.get_mut("execution") {
        execution.remove("queue");
    }
    let mut change =
        Change { to, reason: reason.to_owned(), message: String::new(), force: true, extra: Object::new() };
    change.extra.insert("enqueue_status".to_owned(), Value::Null);
    status::apply(call, &mut task, change).map(drop)
}

/// Back to `created`, as if it had never run.
pub(in crate::server) fn reset(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    let id = call.required_text("task")?;
    let force = call.flag("force", false)?;
    if !force && matches!(status_of(&task), TaskStatus::Published | TaskStatus::Publishing) {
        return Err(ApiError::new(400, 110, format!("Invalid task status: task is published: id={id}")));
    }
    let dequeued = queues::remove_everywhere(call, &id, None)?;
    let urls = remove::artifact_urls(&task);
    let deleted = remove::traces(call, &id, call.flag("delete_output_models", true)?, force)?;
    if let Some(fields) = task.as_object_mut() {
        for name in [
            "last_worker",
            "last_worker_report",
            "started",
            "completed",
            "published",
            "active_duration",
            "enqueue_status",
        ] {
            fields.remove(name);
        }
        for name in ["runtime", "last_metrics", "metric_stats"] {
            fields.insert(name.to_owned(), json!({}));
        }
        fields.insert("unique_metrics".to_owned(), json!([]));
        fields.insert("last_iteration".to_owned(), json!(0));
    }
    task["models"]["output"] = json!([]);
    if let Some(Value::Object(execution)) = task.get_mut("execution") {
        execution.remove("queue");
        if let Some(Value::Array(artifacts)) = execution.get_mut("artifacts") {
            artifacts.retain(|artifact| artifact["mode"] == "input");
        }
    }
    if call.flag("clear_all", false)? {
        task["execution"] =
            json!({"test_split": 0, "parameters": {}, "model_desc": {}, "model_labels": {}, "artifacts": []});
        if let Some(fields) = task.as_object_mut() {
            fields.remove("script");
        }
    }
    let change = Change { force: true, ..Change::asked(call, TaskStatus::Created)? };
    let fields = status::apply(call, &mut task, change)?;
    document::put(call.documents, &task)?;
    let mut answer = json!({
        "updated": 1, "fields": fields, "dequeued": {"removed": dequeued},
        "events": {"deleted": deleted.events}, "deleted_models": deleted.models,
    });
    if call.flag("return_file_urls", false)? {
        answer["urls"] = json!({"model_urls": deleted.model_urls, "event_urls": [], "artifact_urls": urls});
    }
    Ok(answer)
}
