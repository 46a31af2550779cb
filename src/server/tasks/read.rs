//! Reading tasks.

use serde_json::{Value, json};

use super::{asked, document};
use crate::server::call::{ApiError, Call, Object};
use crate::server::query::{self, Listing};
use crate::server::store::Kind;

const LISTING: Listing = Listing {
    kind: Kind::Task,
    lists: &[
        "id",
        "tags",
        "system_tags",
        "status",
        "type",
        "user",
        "project",
        "parent",
        "execution.queue",
        "models.input.model",
        "models.output.model",
    ],
    patterns: &["name", "comment"],
    dates: &["status_changed", "last_update", "started", "completed", "created", "last_change"],
    roots: &[
        "id",
        "name",
        "user",
        "company",
        "project",
        "parent",
        "type",
        "status",
        "status_reason",
        "status_message",
        "status_changed",
        "comment",
        "report",
        "report_assets",
        "created",
        "started",
        "completed",
        "published",
        "active_duration",
        "last_worker",
        "last_worker_report",
        "last_update",
        "last_change",
        "last_changed_by",
        "last_iteration",
        "last_metrics",
        "unique_metrics",
        "metric_stats",
        "tags",
        "system_tags",
        "script",
        "container",
        "execution",
        "hyperparams",
        "configuration",
        "runtime",
        "models",
        "output",
        "enqueue_status",
        "company_origin",
        "failed",
    ],
};

pub(in crate::server) fn get_by_id(call: &Call<'_>) -> Result<Value, ApiError> {
    let task = asked(call)?;
    Ok(json!({"task": document::shown(call.version, query::project(call, task)?)}))
}

pub(in crate::server) fn get_all(call: &Call<'_>) -> Result<Value, ApiError> {
    let tasks = found(call)?.0;
    answer(call, tasks)
}

pub(in crate::server) fn get_all_ex(call: &Call<'_>) -> Result<Value, ApiError> {
    let (mut tasks, _) = found(call)?;
    for task in &mut tasks {
        for (field, kind) in [("project", Kind::Project), ("parent", Kind::Task)] {
            if let Some(id) = task[field].as_str().map(str::to_owned) {
                let name = call.documents.get(kind, &id)?.map(|document| document["name"].clone());
                task[field] = json!({"id": id, "name": name});
            }
        }
        task["user"] = json!({"id": task["user"], "name": call.who.user_name});
    }
    answer(call, tasks)
}

fn found(call: &Call<'_>) -> Result<(Vec<Value>, Option<String>), ApiError> {
    let (mut tasks, scroll_id) = query::select(call, &LISTING)?;
    if !call.flag("search_hidden", false)? && !call.body.contains_key("id") {
        tasks.retain(|task| !task["system_tags"].as_array().is_some_and(|tags| tags.contains(&json!("hidden"))));
    }
    Ok((tasks, scroll_id))
}

fn answer(call: &Call<'_>, tasks: Vec<Value>) -> Result<Value, ApiError> {
    let shown: Result<Vec<Value>, ApiError> =
        tasks.into_iter().map(|task| Ok(document::shown(call.version, query::project(call, task)?))).collect();
    Ok(json!({"tasks": shown?}))
}

pub(in crate::server) fn get_types(_: &Call<'_>) -> Result<Value, ApiError> {
    Ok(json!({"types": document::types()}))
}

/// Hyperparameters as a list, by section and name.
pub(in crate::server) fn get_hyper_params(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut params = Vec::new();
    for id in call.required_texts("tasks")? {
        let Some(task) = call.documents.get(Kind::Task, &id)? else { continue };
        let sections = task["hyperparams"].as_object().into_iter().flat_map(Object::values);
        let items: Vec<&Value> = sections.filter_map(Value::as_object).flat_map(Object::values).collect();
        params.push(json!({"task": id, "hyperparams": items}));
    }
    Ok(json!({"params": params}))
}

pub(in crate::server) fn get_configurations(call: &Call<'_>) -> Result<Value, ApiError> {
    let names = call.texts("names")?;
    let mut configurations = Vec::new();
    for id in call.required_texts("tasks")? {
        let Some(task) = call.documents.get(Kind::Task, &id)? else { continue };
        let items = task["configuration"].as_object().into_iter().flatten();
        let wanted = items.filter(|(name, _)| names.as_ref().is_none_or(|names| names.contains(name)));
        let items: Vec<&Value> = wanted.map(|(_, item)| item).collect();
        configurations.push(json!({"task": id, "configuration": items}));
    }
    Ok(json!({"configurations": configurations}))
}

pub(in crate::server) fn get_configuration_names(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut configurations = Vec::new();
    for id in call.required_texts("tasks")? {
        let Some(task) = call.documents.get(Kind::Task, &id)? else { continue };
        let names: Vec<&String> = task["configuration"].as_object().into_iter().flat_map(Object::keys).collect();
        configurations.push(json!({"task": id, "names": names}));
    }
    Ok(json!({"configurations": configurations}))
}
