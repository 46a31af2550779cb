//! Copies of tasks.

use serde_json::{Value, json};

use super::{asked, document};
use crate::server::call::{ApiError, Call, new_id};
use crate::server::projects;

pub(in crate::server) fn clone(call: &Call<'_>) -> Result<Value, ApiError> {
    let source = asked(call)?;
    let name = call.text("new_task_name")?.unwrap_or_else(|| source["name"].as_str().unwrap_or_default().to_owned());
    document::check_name(&name)?;
    let mut task = document::fresh(call, &name, source["type"].as_str().unwrap_or("training"));
    for field in ["script", "execution", "container", "hyperparams", "configuration", "comment", "tags", "project"] {
        if let Some(value) = source.get(field).filter(|value| !value.is_null()) {
            task[field] = value.clone();
        }
    }
    task["models"]["input"] = source["models"]["input"].clone();
    if let Some(destination) = source["output"].get("destination") {
        task["output"]["destination"] = destination.clone();
    }
    task["parent"] = source.get("parent").filter(|parent| parent.is_string()).unwrap_or(&source["id"]).clone();
    let system_tags = source["system_tags"].as_array().cloned().unwrap_or_default();
    task["system_tags"] = system_tags.into_iter().filter(|tag| tag != "development" && tag != "archived").collect();
    if let Some(Value::Object(execution)) = task.get_mut("execution") {
        execution.remove("queue");
        if let Some(Value::Array(artifacts)) = execution.get_mut("artifacts") {
            artifacts.retain(|artifact| artifact["mode"] == "input");
        }
    }
    let new_project = override_fields(call, &mut task)?;
    task["id"] = json!(new_id());
    document::put(call.documents, &task)?;
    let mut answer = json!({"id": task["id"]});
    if let Some((id, name)) = new_project {
        answer["new_project"] = json!({"id": id, "name": name});
    }
    Ok(answer)
}

/// The `new_task_*` fields; the project that had to be made for one of them.
fn override_fields(call: &Call<'_>, task: &mut Value) -> Result<Option<(String, String)>, ApiError> {
    for field in ["comment", "parent", "project", "tags", "system_tags", "hyperparams", "configuration", "container"] {
        if let Some(value) = call.body.get(&format!("new_task_{field}")).filter(|value| !value.is_null()) {
            task[field] = value.clone();
        }
    }
    if let Some(models) = call.body.get("new_task_input_models").filter(|models| models.is_array()) {
        task["models"]["input"] = models.clone();
    }
    if let Some(overrides) = call.object("execution_overrides")? {
        for (name, value) in overrides {
            task["execution"][name] = value.clone();
        }
    }
    let Some(name) = call.text("new_project_name")? else {
        return Ok(None);
    };
    let id = projects::id_of(call, &name)?;
    task["project"] = json!(id);
    Ok(Some((id, name)))
}
