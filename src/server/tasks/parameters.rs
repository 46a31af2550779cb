//! Hyperparameters and configuration objects, one by one.

use serde_json::{Value, json};

use super::{asked, document, status_of};
use crate::domain::task::TaskStatus;
use crate::server::call::{ApiError, Call, Object, required_text_of};

/// How much of what is there a write replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replace {
    None,
    Section,
    All,
}

impl Replace {
    fn asked(call: &Call<'_>, field: &str) -> Result<Self, ApiError> {
        match call.text(field)?.as_deref() {
            None | Some("none") => Ok(Self::None),
            Some("section") => Ok(Self::Section),
            Some("all") => Ok(Self::All),
            Some(_) => Err(ApiError::invalid_field(field, "it is none of none, section, all")),
        }
    }
}

/// `created` only; with force also while it runs; the user's own properties always.
fn check_status(call: &Call<'_>, task: &Value, only_properties: bool) -> Result<(), ApiError> {
    let status = status_of(task);
    let force = call.flag("force", false)?;
    if only_properties || status == TaskStatus::Created || (force && status == TaskStatus::InProgress) {
        return Ok(());
    }
    Err(ApiError::new(400, 110, format!("Invalid task status: status={}", status.as_str())))
}

fn is_properties(section: &str) -> bool {
    section.eq_ignore_ascii_case("properties")
}

fn save(call: &Call<'_>, mut task: Value) -> Result<Value, ApiError> {
    task["last_update"] = json!(call.now.text());
    task["last_change"] = json!(call.now.text());
    task["last_changed_by"] = json!(call.who.user);
    document::put(call.documents, &task)?;
    Ok(json!({"updated": 1}))
}

pub(in crate::server) fn edit_hyper_params(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    let mut items = Vec::new();
    for mut item in call.required_objects("hyperparams")? {
        let (section, name) = (required_text_of(&item, "section")?, required_text_of(&item, "name")?);
        if let Some(value) = item.get_mut("value").filter(|value| !value.is_string() && !value.is_null()) {
            *value = json!(value.to_string());
        }
        items.push((section, name, Value::Object(item)));
    }
    check_status(call, &task, !items.is_empty() && items.iter().all(|(section, _, _)| is_properties(section)))?;
    match Replace::asked(call, "replace_hyperparams")? {
        Replace::None => {}
        Replace::Section => items.iter().for_each(|(section, _, _)| task["hyperparams"][section] = json!({})),
        Replace::All => task["hyperparams"] = json!({}),
    }
    for (section, name, item) in items {
        task["hyperparams"][section][name] = item;
    }
    save(call, task)
}

pub(in crate::server) fn delete_hyper_params(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    let keys = call.required_objects("hyperparams")?;
    let section_of = |key: &Object| required_text_of(key, "section");
    let sections: Result<Vec<String>, ApiError> = keys.iter().map(section_of).collect();
    check_status(call, &task, sections?.iter().all(|section| is_properties(section)))?;
    for key in &keys {
        let section = section_of(key)?;
        let Some(Value::Object(all)) = task.get_mut("hyperparams") else { continue };
        match key.get("name").and_then(Value::as_str) {
            Some(name) => {
                if let Some(Value::Object(items)) = all.get_mut(&section) {
                    items.remove(name);
                }
            }
            None => {
                all.remove(&section);
            }
        }
    }
    save(call, task).map(|_| json!({"deleted": 1}))
}

pub(in crate::server) fn edit_configuration(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    check_status(call, &task, false)?;
    if call.flag("replace_configuration", false)? {
        task["configuration"] = json!({});
    }
    for item in call.required_objects("configuration")? {
        let name = required_text_of(&item, "name")?;
        task["configuration"][name] = Value::Object(item);
    }
    save(call, task)
}

pub(in crate::server) fn delete_configuration(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut task = asked(call)?;
    check_status(call, &task, false)?;
    for name in call.required_texts("configuration")? {
        if let Some(Value::Object(all)) = task.get_mut("configuration") {
            all.remove(&name);
        }
    }
    save(call, task).map(|_| json!({"deleted": 1}))
}
