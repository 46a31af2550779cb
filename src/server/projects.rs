//! `projects.*`.

use serde_json::{Value, json};

use super::auth::COMPANY_ID;
use super::call::{ApiError, Call, new_id};
use super::query::{self, Listing};
use super::store::{Kind, Narrow};

const LISTING: Listing = Listing {
    kind: Kind::Project,
    lists: &["id", "tags", "system_tags", "user", "parent"],
    patterns: &["name", "basename", "description"],
    dates: &["created", "last_update"],
    roots: &[
        "id",
        "name",
        "basename",
        "description",
        "user",
        "company",
        "created",
        "tags",
        "system_tags",
        "default_output_destination",
        "last_update",
        "parent",
        "path",
        "stats",
    ],
};

/// The project of this path; it and its parents are made if they are missing.
pub(super) fn id_of(call: &Call<'_>, name: &str) -> Result<String, ApiError> {
    let segments: Vec<&str> = name.split('/').map(str::trim).filter(|segment| !segment.is_empty()).collect();
    if segments.is_empty() || segments.len() > 20 {
        return Err(ApiError::new(400, 407, format!("Invalid project name: name={name}")));
    }
    let mut path: Vec<String> = Vec::new();
    let mut full = String::new();
    for segment in segments {
        if !full.is_empty() {
            full.push('/');
        }
        full.push_str(segment);
        let id = match call.documents.named(Kind::Project, &full)? {
            Some(project) => project["id"].as_str().unwrap_or_default().to_owned(),
            None => make(call, &full, segment, &path)?,
        };
        path.push(id);
    }
    Ok(path.pop().unwrap_or_default())
}

fn make(call: &Call<'_>, name: &str, basename: &str, path: &[String]) -> Result<String, ApiError> {
    let id = new_id();
    let now = call.now.text();
    let mut project = json!({
        "id": id, "name": name, "basename": basename, "description": "", "user": call.who.user, "company": COMPANY_ID,
        "created": now, "last_update": now, "tags": [], "system_tags": [], "path": path,
    });
    if let Some(parent) = path.last() {
        project["parent"] = json!(parent);
    }
    call.documents.put(Kind::Project, &id, &project)?;
    Ok(id)
}

const WRITABLE: [&str; 4] = ["description", "tags", "system_tags", "default_output_destination"];

fn write_fields(call: &Call<'_>, project: &mut Value) -> Value {
    let mut fields = json!({});
    for field in WRITABLE {
        if let Some(value) = call.body.get(field).filter(|value| !value.is_null()) {
            project[field] = value.clone();
            fields[field] = value.clone();
        }
    }
    fields
}

pub(super) fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let name = call.required_text("name")?;
    if call.documents.named(Kind::Project, name.trim())?.is_some() {
        return Err(ApiError::new(400, 801, format!("Value combination already exists: name={name}")));
    }
    let id = id_of(call, &name)?;
    let mut project = call.existing(Kind::Project, &id)?;
    write_fields(call, &mut project);
    call.documents.put(Kind::Project, &id, &project)?;
    Ok(json!({"id": id}))
}

pub(super) fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.required_text("project")?;
    let mut project = call.existing(Kind::Project, &id)?;
    let mut fields = write_fields(call, &mut project);
    if let Some(name) = call.text("name")? {
        project["basename"] = json!(name.rsplit('/').next());
        project["name"] = json!(name);
        fields["name"] = json!(name);
    }
    project["last_update"] = json!(call.now.text());
    call.documents.put(Kind::Project, &id, &project)?;
    Ok(json!({"updated": i32::from(fields != json!({})), "fields": fields}))
}

pub(super) fn get_by_id(call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(json!({"project": call.existing(Kind::Project, &call.required_text("project")?)?}))
}

pub(super) fn get_all(call: &Call<'_>) -> Result<Value, ApiError> {
    let (mut projects, scroll_id) = query::select(call, &LISTING)?;
    if call.flag("shallow_search", false)? && !call.body.contains_key("parent") {
        projects.retain(|project| project["parent"].is_null());
    }
    if !call.flag("search_hidden", false)? && !call.body.contains_key("id") {
        projects
            .retain(|project| !project["system_tags"].as_array().is_some_and(|tags| tags.contains(&json!("hidden"))));
    }
    let shown: Result<Vec<Value>, ApiError> =
        projects.into_iter().map(|project| query::project(call, project)).collect();
    let mut answer = json!({"projects": shown?});
    if let Some(scroll_id) = scroll_id {
        answer["scroll_id"] = json!(scroll_id);
    }
    Ok(answer)
}

pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.required_text("project")?;
    call.existing(Kind::Project, &id)?;
    let narrow = Narrow { projects: vec![id.clone()], ..Narrow::default() };
    let tasks = call.documents.list(Kind::Task, &narrow)?;
    if !tasks.is_empty() && !call.flag("force", false)? {
        return Err(ApiError::new(
            400,
            402,
            format!("Project has associated tasks, use force=true to delete: id={id}"),
        ));
    }
    for mut task in tasks.clone() {
        if let Some(fields) = task.as_object_mut() {
            fields.remove("project");
        }
        super::tasks::put(call.documents, &task)?;
    }
    call.documents.remove(Kind::Project, &id)?;
    Ok(json!({"deleted": 1, "disassociated_tasks": tasks.len()}))
}
