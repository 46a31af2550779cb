//! A task's document: its defaults, what may be written, what is shown.

use serde_json::{Value, json};

use super::legacy;
use crate::server::auth::COMPANY_ID;
use crate::server::call::{ApiError, Call, Object, Version, new_id};
use crate::server::store::{Documents, Kind};

/// Writes a task.
pub(in crate::server) fn put(documents: &Documents<'_>, task: &Value) -> Result<(), ApiError> {
    documents.put(Kind::Task, task["id"].as_str().unwrap_or_default(), task)
}

/// A task that nothing has happened to yet.
pub(super) fn fresh(call: &Call<'_>, name: &str, kind: &str) -> Value {
    let now = call.now.text();
    json!({
        "id": new_id(), "company": COMPANY_ID, "user": call.who.user, "name": name, "type": kind, "status": "created",
        "report_assets": [], "created": now, "output": {},
        "execution": {"test_split": 0, "parameters": {}, "model_desc": {}, "model_labels": {}, "artifacts": []},
        "script": script(),
        "tags": [], "system_tags": [], "last_update": now, "last_change": now, "last_changed_by": call.who.user,
        "last_iteration": 0, "last_metrics": {}, "unique_metrics": [], "metric_stats": {}, "hyperparams": {},
        "configuration": {}, "runtime": {}, "models": {"input": [], "output": []}, "container": {},
    })
}

/// A script of which nothing is known. A task always has one: the SDK's datasets count on it.
fn script() -> Value {
    json!({"binary": "python", "repository": "", "entry_point": "", "requirements": {}})
}

const TYPES: [&str; 12] = [
    "training",
    "testing",
    "inference",
    "data_processing",
    "application",
    "monitor",
    "controller",
    "optimizer",
    "service",
    "qc",
    "custom",
    "report",
];

/// The types a task may have.
pub(super) fn check_type(kind: &str) -> Result<(), ApiError> {
    if TYPES.contains(&kind) {
        return Ok(());
    }
    Err(ApiError::new(400, 126, format!("Invalid task type: type={}", kind.chars().take(80).collect::<String>())))
}

/// The names of all types.
pub(super) fn types() -> &'static [&'static str] {
    &TYPES
}

/// The fields that a client may write, brought into the form in which they are kept.
pub(super) fn writable(call: &Call<'_>) -> Result<Object, ApiError> {
    let mut fields = Object::new();
    for name in ["name", "type", "project", "parent", "comment", "output_dest"] {
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
    for name in ["script", "execution", "container", "hyperparams", "configuration", "models", "runtime"] {
        if let Some(object) = call.object(name)? {
            fields.insert(name.to_owned(), Value::Object(object.clone()));
        }
    }
    if call.version < Version(2, 13) {
        legacy::take_old_fields(&mut fields, call.version);
    }
    check(call, &mut fields)?;
    Ok(fields)
}

fn check(call: &Call<'_>, fields: &mut Object) -> Result<(), ApiError> {
    if let Some(name) = fields.get("name").and_then(Value::as_str) {
        check_name(name)?;
    }
    if let Some(kind) = fields.get("type").and_then(Value::as_str) {
        check_type(kind)?;
    }
    for (field, kind) in [("parent", Kind::Task), ("project", Kind::Project)] {
        if let Some(id) = fields.get(field).and_then(Value::as_str).filter(|id| !id.is_empty())
            && call.documents.get(kind, id)?.is_none()
        {
            return Err(ApiError::bad_value(format!("{field} does not exist: {id}")));
        }
    }
    if let Some(Value::Object(script)) = fields.get_mut("script") {
        trim_script(script);
    }
    if let Some(Value::Object(execution)) = fields.get_mut("execution") {
        // The wire form is a list; what else a client sends would break every reader.
        if execution.get("artifacts").is_some_and(|artifacts| !artifacts.is_array()) {
            return Err(ApiError::invalid_field("execution.artifacts", "expected a list"));
        }
    }
    if let Some(Value::Object(sections)) = fields.get_mut("hyperparams") {
        for section in sections.values_mut() {
            let items = section.as_object_mut().filter(|items| items.values().all(Value::is_object));
            texts_only(items.ok_or_else(|| ApiError::invalid_field("hyperparams", "expected sections of items"))?);
        }
    }
    for (field, lists) in [("models", ["input", "output"].as_slice()), ("configuration", &[])] {
        let Some(Value::Object(inner)) = fields.get(field) else { continue };
        let as_it_must_be = |(name, value): (&String, &Value)| {
            if lists.contains(&name.as_str()) { value.is_array() } else { value.is_object() }
        };
        // The SDK cannot read a task at all in which one of these is of another type.
        if !inner.iter().all(as_it_must_be) {
            return Err(ApiError::invalid_field(field, "an item of it is of the wrong type"));
        }
    }
    Ok(())
}

pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    if name.trim().chars().count() < 3 {
        return Err(ApiError::new(400, 800, format!("Data validation error (String value is too short): name={name}")));
    }
    Ok(())
}

/// The values of all hyperparameters are texts, whatever was sent.
fn texts_only(section: &mut Object) {
    for item in section.values_mut().filter_map(Value::as_object_mut) {
        if let Some(value) = item.get_mut("value").filter(|value| !value.is_string() && !value.is_null()) {
            *value = json!(value.to_string());
        }
    }
}

fn trim_script(script: &mut Object) {
    for name in ["binary", "repository", "tag", "branch", "version_num", "entry_point", "working_dir"] {
        if let Some(Value::String(text)) = script.get_mut(name) {
            *text = text.trim().to_owned();
        }
    }
}

/// Puts written fields into a task: `script`, `execution` and `models` one level deep, the others whole.
pub(super) fn merge(task: &mut Value, fields: Object) {
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("output_dest", destination) => task["output"]["destination"] = destination,
            ("script" | "execution" | "models", Value::Object(inner)) => {
                if name == "script" && task.get("script").is_none() {
                    task["script"] =
                        json!({"binary": "python", "repository": "", "entry_point": "", "requirements": {}});
                }
                for (key, value) in inner {
                    task[&name][key] = value;
                }
            }
            (_, value) => task[&name] = value,
        }
    }
    if let Some(Value::Array(artifacts)) = task["execution"].get_mut("artifacts") {
        sort_artifacts(artifacts);
    }
}

/// Artifacts are listed by key.
pub(super) fn sort_artifacts(artifacts: &mut [Value]) {
    artifacts.sort_by(|left, right| left["key"].as_str().cmp(&right["key"].as_str()));
}

/// A task as this version of the API shows it.
pub(super) fn shown(version: Version, mut task: Value) -> Value {
    if let Some(fields) = task.as_object_mut() {
        fields.remove("enqueue_status");
    }
    legacy::show_old_fields(&mut task, version);
    task
}
