//! `models.*`.

use serde_json::{Value, json};

use super::auth::COMPANY_ID;
use super::call::{ApiError, Call, Version, new_id, required_text_of};
use super::query::{self, Listing};
use super::store::Kind;
use super::tasks;

const LISTING: Listing = Listing {
    kind: Kind::Model,
    lists: &["id", "tags", "system_tags", "user", "project", "task", "parent", "framework", "uri", "ready"],
    patterns: &["name", "comment"],
    dates: &["created", "last_update"],
    roots: &[
        "id",
        "name",
        "user",
        "company",
        "project",
        "task",
        "parent",
        "created",
        "last_update",
        "tags",
        "system_tags",
        "comment",
        "framework",
        "design",
        "labels",
        "uri",
        "ready",
        "ui_cache",
        "metadata",
        "stats",
        "last_iteration",
        "last_metrics",
        "unique_metrics",
    ],
};

const WRITABLE: [&str; 14] = [
    "name",
    "uri",
    "comment",
    "tags",
    "system_tags",
    "framework",
    "design",
    "labels",
    "ready",
    "project",
    "parent",
    "task",
    "metadata",
    "ui_cache",
];

fn asked(call: &Call<'_>) -> Result<Value, ApiError> {
    call.existing(Kind::Model, &call.required_text("model")?)
}

fn put(call: &Call<'_>, model: &Value) -> Result<(), ApiError> {
    call.documents.put(Kind::Model, model["id"].as_str().unwrap_or_default(), model)
}

fn fresh(call: &Call<'_>, name: &str, uri: &str) -> Value {
    let now = call.now.text();
    json!({
        "id": new_id(), "name": name, "uri": uri, "user": call.who.user, "company": COMPANY_ID, "created": now,
        "last_update": now, "last_change": now, "tags": [], "system_tags": [], "labels": {}, "design": {},
        "ready": true, "ui_cache": {}, "metadata": {}, "last_metrics": {}, "last_iteration": 0,
    })
}

/// Writes the fields of the call into a model; those that were written.
fn write_fields(call: &Call<'_>, model: &mut Value) -> Result<Value, ApiError> {
    let mut fields = json!({});
    for field in WRITABLE {
        let Some(value) = call.body.get(field).filter(|value| !value.is_null()) else { continue };
        let kept = if field == "metadata" { metadata_map(value)? } else { value.clone() };
        model[field] = kept.clone();
        fields[field] = kept;
    }
    Ok(fields)
}

/// Metadata comes as a list of items and is kept by key.
fn metadata_map(sent: &Value) -> Result<Value, ApiError> {
    let Some(items) = sent.as_array() else {
        return Ok(sent.clone());
    };
    let mut map = json!({});
    for item in items.iter().filter_map(Value::as_object) {
        map[required_text_of(item, "key")?] = Value::Object(item.clone());
    }
    Ok(map)
}

pub(super) fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let (name, uri) = (call.required_text("name")?, call.required_text("uri")?);
    let mut model = fresh(call, &name, &uri);
    write_fields(call, &mut model)?;
    if let Some(task) = call.text("task")? {
        call.existing(Kind::Task, &task)?;
    }
    put(call, &model)?;
    Ok(json!({"id": model["id"], "created": true}))
}

/// `edit` and `update` alike.
pub(super) fn edit(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut model = asked(call)?;
    let mut fields = write_fields(call, &mut model)?;
    let updated = i32::from(fields != json!({}));
    model["last_update"] = json!(call.now.text());
    fields["last_update"] = json!(call.now.text());
    put(call, &model)?;
    note_iteration(call, model["task"].as_str())?;
    Ok(json!({"updated": updated, "fields": fields}))
}

fn note_iteration(call: &Call<'_>, task: Option<&str>) -> Result<(), ApiError> {
    let (Some(iteration), Some(id)) = (call.integer("iteration")?, task) else {
        return Ok(());
    };
    if let Some(mut task) = call.documents.get(Kind::Task, id)? {
        let last = task["last_iteration"].as_i64().unwrap_or(0);
        task["last_iteration"] = json!(last.max(iteration));
        tasks::put(call.documents, &task)?;
    }
    Ok(())
}

/// The model that a task has just saved: a new one, or an existing one named by `override_model_id`.
pub(super) fn update_for_task(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.required_text("task")?;
    let mut task = call.existing(Kind::Task, &id)?;
    let (model, created) = match (call.text("override_model_id")?, call.text("uri")?) {
        (Some(model), _) => (call.existing(Kind::Model, &model)?, false),
        (None, Some(uri)) => {
            let name = match call.text("name")? {
                Some(name) => name,
                None => task["name"].as_str().unwrap_or_default().to_owned(),
            };
            let mut model = fresh(call, &name, &uri);
            model["task"] = json!(id);
            model["project"] = task["project"].clone();
            model["ready"] = json!(false);
            (model, true)
        }
        (None, None) => return Err(ApiError::invalid_field("uri", "uri or override_model_id is required")),
    };
    let mut model = model;
    write_fields(call, &mut model)?;
    model["task"] = json!(id);
    put(call, &model)?;
    let name = model["name"].as_str().unwrap_or_default().to_owned();
    let model_id = model["id"].as_str().unwrap_or_default().to_owned();
    tasks::artifacts::put_model(&mut task, "output", &name, &model_id, &call.now.text());
    tasks::put(call.documents, &task)?;
    note_iteration(call, Some(&id))?;
    Ok(json!({"id": model_id, "created": created, "updated": 1, "fields": {}}))
}

fn shown(version: Version, mut model: Value) -> Value {
    if version <= Version(2, 16) && model.get("metadata").is_some() {
        model["metadata"] = json!([]);
    }
    model
}

pub(super) fn get_by_id(call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(json!({"model": shown(call.version, asked(call)?)}))
}

pub(super) fn get_by_task_id(call: &Call<'_>) -> Result<Value, ApiError> {
    let task = call.existing(Kind::Task, &call.required_text("task")?)?;
    let model = task["models"]["output"].as_array().and_then(|models| models.last()?["model"].as_str());
    let model = model.ok_or_else(|| ApiError::new(400, 122, "Task has no output model"))?;
    Ok(json!({"model": shown(call.version, call.existing(Kind::Model, model)?)}))
}

pub(super) fn get_all(call: &Call<'_>) -> Result<Value, ApiError> {
    let (models, scroll_id) = query::select(call, &LISTING)?;
    let shown: Result<Vec<Value>, ApiError> =
        models.into_iter().map(|model| query::project(call, shown(call.version, model))).collect();
    let mut answer = json!({"models": shown?});
    if let Some(scroll_id) = scroll_id {
        answer["scroll_id"] = json!(scroll_id);
    }
    Ok(answer)
}

pub(super) fn set_ready(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut model = asked(call)?;
    model["ready"] = json!(true);
    put(call, &model)?;
    Ok(json!({"updated": 1, "published_task": {}}))
}

pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let model = asked(call)?;
    if model["ready"] == true && !call.flag("force", false)? && model.get("task").is_some_and(Value::is_string) {
        return Err(ApiError::new(400, 203, format!("Model is ready: id={}", model["id"])));
    }
    call.documents.remove(Kind::Model, model["id"].as_str().unwrap_or_default())?;
    Ok(json!({"deleted": true, "url": model["uri"]}))
}

pub(super) fn add_or_update_metadata(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut model = asked(call)?;
    if call.flag("replace_metadata", false)? || !model["metadata"].is_object() {
        model["metadata"] = json!({});
    }
    for item in call.required_objects("metadata")? {
        let key = required_text_of(&item, "key")?;
        model["metadata"][key] = Value::Object(item);
    }
    put(call, &model)?;
    Ok(json!({"updated": 1}))
}

pub(super) fn delete_metadata(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut model = asked(call)?;
    for key in call.required_texts("keys")? {
        if let Some(Value::Object(metadata)) = model.get_mut("metadata") {
            metadata.remove(&key);
        }
    }
    put(call, &model)?;
    Ok(json!({"updated": 1}))
}

pub(super) fn archive_many(call: &Call<'_>) -> Result<Value, ApiError> {
    let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
    for id in call.required_texts("ids")? {
        match call.existing(Kind::Model, &id) {
            Ok(mut model) => {
                if let Some(Value::Array(tags)) = model.get_mut("system_tags") {
                    tags.retain(|tag| tag != "archived");
                    tags.push(json!("archived"));
                }
                put(call, &model)?;
                succeeded.push(json!({"id": id, "archived": true}));
            }
            Err(error) => failed.push(json!({
                "id": id, "error": {"codes": [error.code, error.subcode], "msg": error.message, "data": {}},
            })),
        }
    }
    Ok(json!({"succeeded": succeeded, "failed": failed}))
}
