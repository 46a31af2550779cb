//! What older versions of the API call things. The stock agent reads tasks at 2.5.

use serde_json::{Value, json};

use crate::server::call::{Object, Version};

/// Adds to a task what clients of an old version look for.
pub(super) fn show_old_fields(task: &mut Value, version: Version) {
    if version < Version(2, 13) {
        show_container_and_models(task);
    }
    if version < Version(2, 9) {
        show_parameters(task);
    }
    if version < Version(2, 3) {
        let system = task["system_tags"].as_array().cloned().unwrap_or_default();
        if let Some(Value::Array(tags)) = task.get_mut("tags") {
            tags.extend(system);
        }
    }
}

fn show_container_and_models(task: &mut Value) {
    let container = |name: &str| task["container"][name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let command = [container("image"), container("arguments")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let input = task["models"]["input"].as_array().and_then(|models| models.first()?.get("model").cloned());
    let output = task["models"]["output"].as_array().and_then(|models| models.last()?.get("model").cloned());
    // A projection that left `execution` or `output` out must not get it back by this door.
    if let Some(Value::Object(execution)) = task.get_mut("execution") {
        if !command.is_empty() {
            execution.insert("docker_cmd".to_owned(), json!(command));
        }
        if let Some(input) = input {
            execution.insert("model".to_owned(), input);
        }
    }
    if let (Some(Value::Object(task_output)), Some(output)) = (task.get_mut("output"), output) {
        task_output.insert("model".to_owned(), output);
    }
}

fn show_parameters(task: &mut Value) {
    let is_legacy = |item: &&Value| item["type"] == "legacy";
    let pair = |item: &Value| Some((item["name"].as_str()?.to_owned(), item["value"].clone()));
    let sections = task["hyperparams"].as_object().into_iter().flat_map(Object::values);
    let items = sections.filter_map(Value::as_object).flat_map(Object::values);
    let parameters: Object = items.filter(is_legacy).filter_map(pair).collect();
    let configuration = task["configuration"].as_object().into_iter().flat_map(Object::values);
    let descriptions: Object = configuration.filter(is_legacy).filter_map(pair).collect();
    if let Some(Value::Object(execution)) = task.get_mut("execution") {
        if !parameters.is_empty() {
            execution.insert("parameters".to_owned(), Value::Object(parameters));
        }
        if !descriptions.is_empty() {
            execution.insert("model_desc".to_owned(), Value::Object(descriptions));
        }
    }
}

/// Moves what a client of an old version wrote to where it is kept.
pub(super) fn take_old_fields(fields: &mut Object, version: Version) {
    let Some(Value::Object(execution)) = fields.get_mut("execution") else {
        return;
    };
    let command = execution.remove("docker_cmd");
    let parameters = (version < Version(2, 9)).then(|| execution.remove("parameters")).flatten();
    if let Some(Value::String(command)) = command {
        let (image, arguments) = command.trim().split_once(' ').unwrap_or((command.trim(), ""));
        fields.insert("container".to_owned(), json!({"image": image, "arguments": arguments.trim()}));
    }
    if let Some(Value::Object(parameters)) = parameters {
        let mut sections = json!({});
        for (full, value) in parameters {
            let (section, name) = full.split_once('/').unwrap_or(("Args", full.as_str()));
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            sections[section][name] = json!({"section": section, "name": full, "value": text, "type": "legacy"});
        }
        fields.insert("hyperparams".to_owned(), sections);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_client_finds_the_container_where_it_used_to_be() {
        let task = json!({"execution": {}, "container": {"image": "i", "arguments": "-v x"}, "output": {}});
        let at = |version| {
            let mut task = task.clone();
            show_old_fields(&mut task, version);
            task["execution"].get("docker_cmd").cloned()
        };
        assert_eq!(at(Version(2, 5)), Some(json!("i -v x")));
        assert_eq!(at(Version(2, 13)), None);
    }
}
