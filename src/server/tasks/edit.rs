//! Making tasks and writing their fields.

use serde_json::{Value, json};

use super::{asked, document, status_of};
use crate::domain::task::TaskStatus;
use crate::server::call::{ApiError, Call, Object};

pub(in crate::server) fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let (name, kind) = (call.required_text("name")?, call.required_text("type")?);
    document::check_name(&name)?;
    document::check_type(&kind)?;
    let fields = document::writable(call)?;
    let mut task = document::fresh(call, &name, &kind);
    document::merge(&mut task, fields);
    document::put(call.documents, &task)?;
    Ok(json!({"id": task["id"]}))
}

pub(in crate::server) fn validate(call: &Call<'_>) -> Result<Value, ApiError> {
    document::check_name(&call.required_text("name")?)?;
    document::check_type(&call.required_text("type")?)?;
    document::writable(call)?;
    Ok(json!({}))
}

/// What a user may write without the task counting as active.
const USERS_OWN: [&str; 5] = ["name", "tags", "system_tags", "comment", "project"];

pub(in crate::server) fn edit(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    let status = status_of(&task);
    if status != TaskStatus::Created && !call.flag("force", false)? {
        return Err(ApiError::new(
            400,
            110,
            format!("Invalid task status: expected=created, status={}", status.as_str()),
        ));
    }
    let mut fields = document::writable(call)?;
    if let Some(wanted) = call.text("status")? {
        let known = TaskStatus::parse(&wanted);
        if known == TaskStatus::Unknown {
            return Err(ApiError::invalid_field("status", "it is no status"));
        }
        fields.insert("status".to_owned(), json!(known.as_str()));
    }
    if fields.is_empty() {
        return Ok(json!({"updated": 0, "fields": {}}));
    }
    let shown = fields.clone();
    let active = fields.keys().any(|name| !USERS_OWN.contains(&name.as_str()));
    document::merge(&mut task, fields);
    finish(call, task, shown, active)
}

/// Stamps and keeps a written task; the answer.
fn finish(call: &Call<'_>, mut task: Value, mut shown: Object, active: bool) -> Result<Value, ApiError> {
    let now = json!(call.now.text());
    let mut stamps = vec![("last_change", now.clone()), ("last_changed_by", json!(call.who.user))];
    if active {
        stamps.push(("last_update", now));
    }
    for (name, value) in stamps {
        task[name] = value.clone();
        shown.insert(name.to_owned(), value);
    }
    document::put(call.documents, &task)?;
    Ok(json!({"updated": 1, "fields": shown}))
}

/// Writes a few fields in any status.
pub(in crate::server) fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    let mut fields = Object::new();
    for name in ["name", "comment", "project", "status_message", "created"] {
        if let Some(text) = call.text(name)? {
            fields.insert(name.to_owned(), json!(text));
        }
    }
    for name in ["tags", "system_tags"] {
        if let Some(mut tags) = call.texts(name)? {
            tags.sort();
            tags.dedup();
            fields.insert(name.to_owned(), json!(tags));
        }
    }
    if let Some(error) = call.text("output__error")? {
        task["output"]["error"] = json!(error);
        fields.insert("output.error".to_owned(), json!(error));
    }
    if fields.is_empty() {
        return Ok(json!({"updated": 0, "fields": {}}));
    }
    for (name, value) in fields.iter().filter(|(name, _)| name.as_str() != "output.error") {
        task[name] = value.clone();
    }
    finish(call, task, fields, false)
}

pub(in crate::server) fn update_batch(call: &Call<'_>) -> Result<Value, ApiError> {
    if call.lines.is_empty() {
        return Err(ApiError::new(400, 17, "Batch request contains no items"));
    }
    let mut updated = 0;
    for line in &call.lines {
        let answer = update(&call.with_body(line.as_object().cloned().unwrap_or_default()))?;
        updated += answer["updated"].as_i64().unwrap_or(0);
    }
    Ok(json!({"updated": updated}))
}

pub(in crate::server) fn set_requirements(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    let requirements = call
        .object("requirements")?
        .cloned()
        .ok_or_else(|| ApiError::invalid_field("requirements", "field is required!"))?;
    if task.get("script").is_none_or(Value::is_null) {
        return Err(ApiError::new(400, 122, format!("Task has no script field: task={}", task["id"])));
    }
    let requirements = Value::Object(requirements);
    task["script"]["requirements"] = requirements;
    task["last_update"] = json!(call.now.text());
    task["last_change"] = json!(call.now.text());
    if status_of(&task) == TaskStatus::InProgress {
        super::status::note_activity(&mut task, call.now);
    }
    document::put(call.documents, &task)?;
    // The recorded server names no field here, whatever its documentation says.
    Ok(json!({"updated": 1, "fields": {}}))
}

/// Moves a task to a project, made if it is missing.
pub(in crate::server) fn move_tasks(call: &Call<'_>) -> Result<Value, ApiError> {
    let ids = call.texts("ids")?.unwrap_or_default();
    let project = match call.text("project_name")? {
        Some(name) => Some(crate::server::projects::id_of(call, &name)?),
        None => call.text("project")?,
    };
    for id in &ids {
        let mut task = call.existing(crate::server::store::Kind::Task, id)?;
        task["project"] = json!(project);
        document::put(call.documents, &task)?;
    }
    Ok(json!({"project_id": project, "moved": ids.len()}))
}
