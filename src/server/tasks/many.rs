//! The same for many tasks; each may be refused by itself.

use serde_json::{Value, json};

use super::{document, edit, queueing, remove, status};
use crate::server::call::{ApiError, Call};
use crate::server::store::Kind;

type One = fn(&Call<'_>) -> Result<Value, ApiError>;

fn each(call: &Call<'_>, one: One) -> Result<Value, ApiError> {
    let (mut succeeded, mut failed) = (Vec::new(), Vec::new());
    for id in call.required_texts("ids")? {
        let mut body = call.body.clone();
        body.insert("task".to_owned(), json!(id));
        match one(&call.with_body(body)) {
            Ok(mut answer) => {
                answer["id"] = json!(id);
                succeeded.push(answer);
            }
            Err(error) => failed.push(json!({
                "id": id,
                "error": {"codes": [error.code, error.subcode], "msg": error.message, "data": {}},
            })),
        }
    }
    Ok(json!({"succeeded": succeeded, "failed": failed}))
}

pub(in crate::server) fn stop(call: &Call<'_>) -> Result<Value, ApiError> {
    each(call, status::stop)
}

pub(in crate::server) fn enqueue(call: &Call<'_>) -> Result<Value, ApiError> {
    each(call, queueing::enqueue)
}

pub(in crate::server) fn dequeue(call: &Call<'_>) -> Result<Value, ApiError> {
    each(call, queueing::dequeue)
}

pub(in crate::server) fn reset(call: &Call<'_>) -> Result<Value, ApiError> {
    each(call, queueing::reset)
}

pub(in crate::server) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    each(call, remove::delete)
}

pub(in crate::server) fn publish(call: &Call<'_>) -> Result<Value, ApiError> {
    each(call, status::publish)
}

pub(in crate::server) fn archive(call: &Call<'_>) -> Result<Value, ApiError> {
    each(call, |call| set_archived(call, true))
}

pub(in crate::server) fn unarchive(call: &Call<'_>) -> Result<Value, ApiError> {
    each(call, |call| set_archived(call, false))
}

/// `tasks.archive` has a shape of its own.
pub(in crate::server) fn archive_listed(call: &Call<'_>) -> Result<Value, ApiError> {
    let ids = call.required_texts("tasks")?;
    for id in &ids {
        let mut body = call.body.clone();
        body.insert("task".to_owned(), json!(id));
        set_archived(&call.with_body(body), true)?;
    }
    Ok(json!({"archived": ids.len()}))
}

fn set_archived(call: &Call<'_>, archived: bool) -> Result<Value, ApiError> {
    let mut task = super::asked(call)?;
    if let Some(Value::Array(tags)) = task.get_mut("system_tags") {
        tags.retain(|tag| tag != "archived");
        if archived {
            tags.push(json!("archived"));
        }
    }
    document::put(call.documents, &task)?;
    Ok(json!({"archived": archived}))
}

/// Adds and removes tags.
pub(in crate::server) fn update_tags(call: &Call<'_>) -> Result<Value, ApiError> {
    let added = call.texts("add_tags")?.unwrap_or_default();
    let removed = call.texts("remove_tags")?.unwrap_or_default();
    let ids = call.required_texts("ids")?;
    for id in &ids {
        let task = call.existing(Kind::Task, id)?;
        let mut tags: Vec<Value> = task["tags"].as_array().cloned().unwrap_or_default();
        tags.retain(|tag| !tag.as_str().is_some_and(|tag| removed.iter().any(|gone| gone == tag)));
        tags.extend(added.iter().map(|tag| json!(tag)));
        let mut body = crate::server::call::Object::new();
        body.insert("task".to_owned(), json!(id));
        body.insert("tags".to_owned(), json!(tags));
        edit::update(&call.with_body(body))?;
    }
    Ok(json!({"updated": ids.len()}))
}
