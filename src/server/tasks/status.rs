//! The calls that change a task's status.

use serde_json::{Value, json};

use super::state::{Verdict, judge};
use super::{asked, document, status_of};
use crate::domain::task::TaskStatus;
use crate::server::call::{ApiError, Call, Object};
use crate::server::queues;
use crate::server::time::Moment;

/// A worker is taken for live if the task was heard of since.
const LIVE_MS: i64 = 600_000;

/// A change of status, as the calls ask for it.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) to: TaskStatus,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) force: bool,
    /// Further fields, which the answer names too.
    pub(super) extra: Object,
}

// === impl Change ===

impl Change {
    /// What the call's own words ask for.
    pub(super) fn asked(call: &Call<'_>, to: TaskStatus) -> Result<Self, ApiError> {
        Ok(Self {
            to,
            reason: call.text("status_reason")?.unwrap_or_default(),
            message: call.text("status_message")?.unwrap_or_default(),
            force: call.flag("force", false)?,
            extra: Object::new(),
        })
    }

    fn with(mut self, field: &str, value: Value) -> Self {
        self.extra.insert(field.to_owned(), value);
        self
    }
}

/// Changes the status of a task and keeps it; the answer's `fields`.
///
/// The task was read in the same transaction, so the real server's lost race (400/121) cannot happen here; tests ask
/// for it by a fault.
pub(super) fn apply(call: &Call<'_>, task: &mut Value, change: Change) -> Result<Value, ApiError> {
    let from = status_of(task);
    match judge(from, change.to, change.force) {
        Verdict::Allowed => {}
        Verdict::Refused => {
            return Err(ApiError::new(
                400,
                110,
                format!("Invalid task status: current_status={}, new_status={}", from.as_str(), change.to.as_str()),
            ));
        }
        Verdict::NoTable => {
            return Err(ApiError::new(500, 1, "Internal server error: the task's status is unknown"));
        }
    }
    if from == TaskStatus::InProgress && change.to != TaskStatus::InProgress {
        note_activity(task, call.now);
    }
    let now = call.now.text();
    let mut fields = json!({
        "status": change.to.as_str(), "status_reason": change.reason, "status_message": change.message,
        "status_changed": now, "last_update": now, "last_change": now, "last_changed_by": call.who.user,
    });
    for (name, value) in change.extra {
        fields[name] = value;
    }
    for (name, value) in fields.as_object().into_iter().flatten() {
        match name.split_once('.') {
            Some((parent, child)) => task[parent][child] = value.clone(),
            None => task[name] = value.clone(),
        }
    }
    document::put(call.documents, task)?;
    Ok(fields)
}

/// How long a task has been running, in whole seconds.
pub(super) fn note_activity(task: &mut Value, now: Moment) {
    if let Some(started) = task["started"].as_str().and_then(Moment::parse) {
        task["active_duration"] = json!((now.millis() - started.millis()).max(0) / 1000);
    }
}

pub(in crate::server) fn started(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    let mut change = Change::asked(call, TaskStatus::InProgress)?;
    if task["started"].is_null() {
        change = change.with("started", json!(call.now.text()));
        task["active_duration"] = json!(0);
    }
    let fields = apply(call, &mut task, change)?;
    Ok(json!({"updated": 1, "started": 1, "fields": fields}))
}

pub(in crate::server) fn stopped(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    let change = Change::asked(call, TaskStatus::Stopped)?.with("completed", json!(call.now.text()));
    let fields = apply(call, &mut task, change)?;
    Ok(json!({"updated": 1, "fields": fields}))
}

pub(in crate::server) fn failed(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    let fields = apply(call, &mut task, Change::asked(call, TaskStatus::Failed)?)?;
    Ok(json!({"updated": 1, "fields": fields}))
}

pub(in crate::server) fn close(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    let fields = apply(call, &mut task, Change::asked(call, TaskStatus::Closed)?)?;
    Ok(json!({"updated": 1, "fields": fields}))
}

pub(in crate::server) fn completed(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    let change = Change::asked(call, TaskStatus::Completed)?.with("completed", json!(call.now.text()));
    let mut fields = apply(call, &mut task, change)?;
    let publish = call.flag("publish", false)?;
    if publish {
        fields = published(call, &mut task)?;
    }
    Ok(json!({"updated": 1, "published": i32::from(publish), "fields": fields}))
}

pub(in crate::server) fn publish(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    if status_of(&task) == TaskStatus::Published {
        return Err(ApiError::new(400, 110, "Invalid task status: the task is published already"));
    }
    let fields = published(call, &mut task)?;
    Ok(json!({"updated": 1, "committed_versions_results": [], "fields": fields}))
}

fn published(call: &Call<'_>, task: &mut Value) -> Result<Value, ApiError> {
    let change = Change::asked(call, TaskStatus::Published)?.with("published", json!(call.now.text()));
    apply(call, task, change)
}

/// The user's abort: at once where no worker is at it, else by the message `stopping`, which the worker has to see.
pub(in crate::server) fn stop(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    let from = status_of(&task);
    let reason = call.text("status_reason")?.unwrap_or_default();
    let force = call.flag("force", false)?;
    let by_hand = task["system_tags"].as_array().is_some_and(|tags| tags.contains(&json!("development")));
    let heard = task["last_update"].as_str().and_then(Moment::parse);
    let live = task["last_worker"].as_str().is_some_and(|worker| !worker.is_empty())
        && heard.is_some_and(|heard| call.now.millis() - heard.millis() < LIVE_MS);
    let at_once = from == TaskStatus::Queued || by_hand || !live;
    if judge(from, TaskStatus::Stopped, force) == Verdict::Refused {
        let message = format!("Invalid task status: current_status={}, new_status=stopped", from.as_str());
        return Err(ApiError::new(400, 110, message));
    }
    let fields = if at_once {
        if from == TaskStatus::Queued {
            queues::remove_everywhere(call, task["id"].as_str().unwrap_or_default(), None)?;
        }
        let message = format!("Stopped by {}", call.who.user_name);
        let change = Change { to: TaskStatus::Stopped, reason, message, force, extra: Object::new() };
        apply(call, &mut task, change.with("completed", json!(call.now.text())))?
    } else {
        let message = "stopping".to_owned();
        apply(call, &mut task, Change { to: from, reason, message, force, extra: Object::new() })?
    };
    Ok(json!({"updated": 1, "fields": fields}))
}

/// A sign of life. An unknown task is no error.
pub(in crate::server) fn ping(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.required_text("task")?;
    if let Some(mut task) = call.documents.get(crate::server::store::Kind::Task, &id)? {
        if status_of(&task) == TaskStatus::InProgress {
            note_activity(&mut task, call.now);
        }
        task["last_update"] = json!(call.now.text());
        document::put(call.documents, &task)?;
    }
    Ok(json!({}))
}
