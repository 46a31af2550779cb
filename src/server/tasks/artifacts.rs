//! What a task made or was given: artifacts and models.

use serde_json::{Value, json};

use super::{asked, document, status_of};
use crate::domain::task::TaskStatus;
use crate::server::call::{ApiError, Call, Object, required_text_of};

/// These may be written while the task is made and while it runs.
fn check_status(task: &Value) -> Result<(), ApiError> {
    match status_of(task) {
        TaskStatus::Created | TaskStatus::InProgress => Ok(()),
        status => Err(ApiError::new(400, 110, format!("Invalid task status: status={}", status.as_str()))),
    }
}

/// Key and mode name an artifact.
fn same(left: &Value, right: &Object) -> bool {
    let mode = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("output").to_owned();
    left.get("key") == right.get("key") && mode(left.get("mode")) == mode(right.get("mode"))
}

fn artifacts_of(task: &Value) -> Vec<Value> {
    task["execution"]["artifacts"].as_array().cloned().unwrap_or_default()
}

fn save(call: &Call<'_>, mut task: Value) -> Result<(), ApiError> {
    task["last_update"] = json!(call.now.text());
    task["last_change"] = json!(call.now.text());
    document::put(call.documents, &task)
}

pub(in crate::server) fn add_or_update(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    check_status(&task)?;
    let sent = call.required_objects("artifacts")?;
    let mut kept = artifacts_of(&task);
    for mut artifact in sent {
        required_text_of(&artifact, "key")?;
        required_text_of(&artifact, "type")?;
        artifact.entry("mode").or_insert(json!("output"));
        kept.retain(|old| !same(old, &artifact));
        kept.push(Value::Object(artifact));
    }
    document::sort_artifacts(&mut kept);
    task["execution"]["artifacts"] = Value::Array(kept);
    save(call, task)?;
    Ok(json!({"updated": 1}))
}

pub(in crate::server) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    check_status(&task)?;
    let mut kept = artifacts_of(&task);
    for key in call.required_objects("artifacts")? {
        kept.retain(|artifact| !same(artifact, &key));
    }
    task["execution"]["artifacts"] = Value::Array(kept);
    save(call, task)?;
    Ok(json!({"deleted": 1}))
}

pub(in crate::server) fn add_or_update_model(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    check_status(&task)?;
    let (name, model, side) = (call.required_text("name")?, call.required_text("model")?, call.required_text("type")?);
    if side != "input" && side != "output" {
        return Err(ApiError::invalid_field("type", "it is neither input nor output"));
    }
    call.existing(crate::server::store::Kind::Model, &model)?;
    put_model(&mut task, &side, &name, &model, &call.now.text());
    if let Some(iteration) = call.integer("iteration")? {
        let last = task["last_iteration"].as_i64().unwrap_or(0);
        task["last_iteration"] = json!(last.max(iteration));
    }
    save(call, task)?;
    Ok(json!({"updated": 1}))
}

/// Puts a model beside the others of a task; the name decides which it replaces.
pub(in crate::server) fn put_model(task: &mut Value, side: &str, name: &str, model: &str, now: &str) {
    let item = json!({"name": name, "model": model, "updated": now});
    let slot = &mut task["models"][side];
    match slot.as_array_mut() {
        Some(models) => match models.iter_mut().find(|old| old["name"] == *name) {
            Some(old) => *old = item,
            None => models.push(item),
        },
        None => *slot = json!([item]),
    }
}

pub(in crate::server) fn delete_models(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    check_status(&task)?;
    for key in call.required_objects("models")? {
        let (name, side) = (required_text_of(&key, "name")?, required_text_of(&key, "type")?);
        if let Some(Value::Array(models)) = task["models"].get_mut(&side) {
            models.retain(|model| model["name"] != *name);
        }
    }
    save(call, task)?;
    Ok(json!({"deleted": 1}))
}
