//! `queues.*`.

use serde_json::{Value, json};

use super::auth::COMPANY_ID;
use super::call::{ApiError, Call, Version, new_id};
use super::query::{self, Listing};
use super::store::{Documents, Kind, Narrow};
use super::tasks;
use super::time::Moment;

const LISTING: Listing = Listing {
    kind: Kind::Queue,
    lists: &["id", "tags", "system_tags"],
    patterns: &["name", "display_name"],
    dates: &["created", "last_update"],
    roots: &[
        "id",
        "name",
        "display_name",
        "company",
        "user",
        "created",
        "tags",
        "system_tags",
        "entries",
        "last_update",
        "metadata",
    ],
};

/// A fresh server has one queue.
pub(super) fn ensure_default(documents: &Documents<'_>, now: Moment) -> Result<(), ApiError> {
    if documents.list(Kind::Queue, &Narrow::default())?.is_empty() {
        put(documents, &new_queue("default", vec!["default".to_owned()], now))?;
    }
    Ok(())
}

fn new_queue(name: &str, system_tags: Vec<String>, now: Moment) -> Value {
    json!({
        "id": new_id(), "name": name, "company": COMPANY_ID, "created": now.text(), "tags": [],
        "system_tags": system_tags, "entries": [], "last_update": now.text(), "metadata": {},
    })
}

pub(super) fn put(documents: &Documents<'_>, queue: &Value) -> Result<(), ApiError> {
    documents.put(Kind::Queue, queue["id"].as_str().unwrap_or_default(), queue)
}

/// The tasks of a queue, first to last.
fn entries(queue: &Value) -> Vec<Value> {
    queue["entries"].as_array().cloned().unwrap_or_default()
}

fn position(entries: &[Value], task: &str) -> Option<usize> {
    entries.iter().position(|entry| entry["task"] == task)
}

fn save_entries(call: &Call<'_>, mut queue: Value, entries: Vec<Value>) -> Result<(), ApiError> {
    queue["entries"] = Value::Array(entries);
    queue["last_update"] = json!(call.now.text());
    put(call.documents, &queue)
}

fn asked_queue(call: &Call<'_>) -> Result<Value, ApiError> {
    call.existing(Kind::Queue, &call.required_text("queue")?)
}

/// The queue as this version of the API shows it.
fn shown(call: &Call<'_>, mut queue: Value) -> Result<Value, ApiError> {
    if let Some(most) = call.integer("max_task_entries")?
        && let Some(Value::Array(entries)) = queue.get_mut("entries")
    {
        entries.truncate(usize::try_from(most).unwrap_or(0));
    }
    if call.version <= Version(2, 16) && queue.get("metadata").is_some() {
        queue["metadata"] = json!([]);
    }
    Ok(queue)
}

pub(super) fn get_all(call: &Call<'_>) -> Result<Value, ApiError> {
    let (mut queues, scroll_id) = query::select(call, &LISTING)?;
    let all = call.flag("search_hidden", false)? || call.body.contains_key("id") || call.body.contains_key("name");
    if !all {
        let hidden = json!("k8s-glue");
        queues.retain(|queue| !queue["system_tags"].as_array().is_some_and(|tags| tags.contains(&hidden)));
    }
    let shown: Result<Vec<Value>, ApiError> =
        queues.into_iter().map(|queue| query::project(call, shown(call, queue)?)).collect();
    let mut answer = json!({"queues": shown?});
    if let Some(scroll_id) = scroll_id {
        answer["scroll_id"] = json!(scroll_id);
    }
    Ok(answer)
}

pub(super) fn get_all_ex(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut answer = get_all(call)?;
    let workers = super::workers::alive(call)?;
    for queue in answer["queues"].as_array_mut().into_iter().flatten() {
        let id = queue["id"].clone();
        for entry in queue["entries"].as_array_mut().into_iter().flatten() {
            let task_id = entry["task"].as_str().unwrap_or_default().to_owned();
            let task = call.documents.get(Kind::Task, &task_id)?;
            entry["task"] = json!({"id": task_id, "name": task.map(|task| task["name"].clone())});
        }
        let of_queue = workers.iter().filter(|worker| worker["queues"].as_array().is_some_and(|ids| ids.contains(&id)));
        queue["workers"] = of_queue
            .map(|worker| json!({"name": worker["id"], "ip": worker["ip"], "key": worker["key"], "task": worker["task"]}))
            .collect();
    }
    Ok(answer)
}

pub(super) fn get_by_id(call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(json!({"queue": shown(call, asked_queue(call)?)?}))
}

/// The queue that is used where none is named.
pub(super) fn default_queue(call: &Call<'_>) -> Result<Value, ApiError> {
    let default = json!("default");
    let mut queues = call.documents.list(Kind::Queue, &Narrow::default())?;
    queues.retain(|queue| queue["system_tags"].as_array().is_some_and(|tags| tags.contains(&default)));
    match (queues.pop(), queues.is_empty()) {
        (None, _) => Err(ApiError::new(400, 707, "No queue is tagged as the default queue for this company")),
        (Some(queue), true) => Ok(queue),
        (Some(_), false) => Err(ApiError::new(400, 708, "More than one queue is tagged as the default queue")),
    }
}

pub(super) fn get_default(call: &Call<'_>) -> Result<Value, ApiError> {
    let queue = default_queue(call)?;
    Ok(json!({"id": queue["id"], "name": queue["name"]}))
}

/// Makes a queue; its name must be new and at least three characters long.
pub(super) fn create_named(call: &Call<'_>, name: &str) -> Result<Value, ApiError> {
    let name = name.trim();
    if name.chars().count() < 3 {
        return Err(ApiError::new(
            400,
            800,
            format!("Data validation error (name must be at least 3 characters): name={name}"),
        ));
    }
    if call.documents.named(Kind::Queue, name)?.is_some() {
        return Err(ApiError::new(
            400,
            801,
            format!(
                "Value combination already exists (unique field already contains this value): name={name}, company={COMPANY_ID}"
            ),
        ));
    }
    Ok(new_queue(name, Vec::new(), call.now))
}

const WRITABLE: [&str; 5] = ["name", "display_name", "tags", "system_tags", "metadata"];

pub(super) fn create(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut queue = create_named(call, &call.required_text("name")?)?;
    for field in WRITABLE.iter().filter(|field| **field != "name") {
        if let Some(value) = call.body.get(*field).filter(|value| !value.is_null()) {
            queue[*field] = value.clone();
        }
    }
    put(call.documents, &queue)?;
    Ok(json!({"id": queue["id"]}))
}

pub(super) fn update(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut queue = asked_queue(call)?;
    let mut fields = json!({});
    for field in WRITABLE {
        let Some(value) = call.body.get(field).filter(|value| !value.is_null()) else { continue };
        if field == "name" && queue[field] != *value {
            create_named(call, &call.required_text("name")?)?;
        }
        queue[field] = value.clone();
        fields[field] = value.clone();
    }
    let updated = i32::from(fields != json!({}));
    put(call.documents, &queue)?;
    Ok(json!({"updated": updated, "fields": fields}))
}

pub(super) fn delete(call: &Call<'_>) -> Result<Value, ApiError> {
    let queue = asked_queue(call)?;
    let id = call.required_text("queue")?;
    let tasks = entries(&queue);
    if !tasks.is_empty() && !call.flag("force", false)? {
        return Err(ApiError::new(400, 702, format!("Queue is not empty, use force=true to delete: id={id}")));
    }
    for entry in tasks {
        tasks::back_to_before_the_queue(call, entry["task"].as_str().unwrap_or_default(), "queue was deleted")?;
    }
    call.documents.remove(Kind::Queue, &id)?;
    Ok(json!({"deleted": 1}))
}

/// Pops the first entry. The task's status is left alone: the caller says `tasks.started`.
pub(super) fn get_next_task(call: &Call<'_>) -> Result<Value, ApiError> {
    let queue = asked_queue(call)?;
    let only = call.text("task")?;
    let mut waiting = entries(&queue);
    let Some(first) = waiting.first().cloned() else {
        return Ok(json!({}));
    };
    if only.is_some_and(|wanted| first["task"] != *wanted) {
        return Ok(json!({}));
    }
    waiting.remove(0);
    save_entries(call, queue, waiting)?;
    let id = first["task"].as_str().unwrap_or_default();
    let mut answer = json!({"entry": first});
    let Some(mut task) = call.documents.get(Kind::Task, id)? else {
        return Ok(answer);
    };
    if task["status"] == "stopped" {
        task["status"] = json!("queued");
        tasks::put(call.documents, &task)?;
    }
    if call.flag("get_task_info", false)? {
        answer["task_info"] = json!({"company": task["company"], "user": task["user"]});
    }
    Ok(answer)
}

/// Appends a task to a queue; 706 if it is there already.
pub(super) fn append(call: &Call<'_>, queue_id: &str, task: &str) -> Result<(), ApiError> {
    let queue = call.existing(Kind::Queue, queue_id)?;
    let mut waiting = entries(&queue);
    if position(&waiting, task).is_some() {
        return Err(ApiError::new(400, 706, format!("Task is already queued: task={task}")));
    }
    waiting.push(json!({"task": task, "added": call.now.text()}));
    save_entries(call, queue, waiting)
}

/// Takes a task out of every queue but `except`; how many held it.
pub(super) fn remove_everywhere(call: &Call<'_>, task: &str, except: Option<&str>) -> Result<usize, ApiError> {
    let mut held = 0;
    for queue in call.documents.list(Kind::Queue, &Narrow::default())? {
        let mut waiting = entries(&queue);
        if except.is_some_and(|id| queue["id"] == *id) {
            continue;
        }
        if let Some(index) = position(&waiting, task) {
            waiting.remove(index);
            save_entries(call, queue, waiting)?;
            held += 1;
        }
    }
    Ok(held)
}

/// Takes a task out of one queue; whether it was there.
pub(super) fn remove_from(call: &Call<'_>, queue_id: &str, task: &str) -> Result<bool, ApiError> {
    let Some(queue) = call.documents.get(Kind::Queue, queue_id)? else {
        return Ok(false);
    };
    let mut waiting = entries(&queue);
    let Some(index) = position(&waiting, task) else {
        return Ok(false);
    };
    waiting.remove(index);
    save_entries(call, queue, waiting)?;
    Ok(true)
}

pub(super) fn add_task(call: &Call<'_>) -> Result<Value, ApiError> {
    let (queue, task) = (call.required_text("queue")?, call.required_text("task")?);
    append(call, &queue, &task)?;
    if call.flag("update_execution_queue", true)?
        && let Some(mut document) = call.documents.get(Kind::Task, &task)?
    {
        document["execution"]["queue"] = json!(queue);
        tasks::put(call.documents, &document)?;
    }
    Ok(json!({"added": 1}))
}

fn not_queued(queue: &str, task: &str) -> ApiError {
    ApiError::new(400, 703, format!("Invalid queue id or task not in queue: queue={queue}, task={task}"))
}

pub(super) fn remove_task(call: &Call<'_>) -> Result<Value, ApiError> {
    let (queue, task) = (call.required_text("queue")?, call.required_text("task")?);
    call.existing(Kind::Queue, &queue)?;
    if !remove_from(call, &queue, &task)? {
        return Err(not_queued(&queue, &task));
    }
    if call.flag("update_task_status", false)? {
        tasks::back_to_before_the_queue(call, &task, "task was removed from its queue")?;
    }
    Ok(json!({"removed": 1}))
}

pub(super) fn clear_queue(call: &Call<'_>) -> Result<Value, ApiError> {
    let queue = asked_queue(call)?;
    let ids: Vec<Value> = entries(&queue).into_iter().map(|entry| entry["task"].clone()).collect();
    save_entries(call, queue, Vec::new())?;
    for id in &ids {
        tasks::back_to_before_the_queue(call, id.as_str().unwrap_or_default(), "queue was cleared")?;
    }
    Ok(json!({"removed_tasks": ids}))
}

pub(super) fn peek_task(call: &Call<'_>) -> Result<Value, ApiError> {
    let queue = asked_queue(call)?;
    Ok(json!({"task": entries(&queue).first().map(|entry| entry["task"].clone())}))
}

pub(super) fn get_num_entries(call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(json!({"num": entries(&asked_queue(call)?).len()}))
}

/// Moves a task to where `target` says, given its place and the last one.
fn reposition(call: &Call<'_>, target: impl FnOnce(usize, usize) -> usize) -> Result<Value, ApiError> {
    let (queue_id, task) = (call.required_text("queue")?, call.required_text("task")?);
    let queue = call.existing(Kind::Queue, &queue_id)?;
    let mut waiting = entries(&queue);
    let from = position(&waiting, &task).ok_or_else(|| not_queued(&queue_id, &task))?;
    let to = target(from, waiting.len() - 1);
    let entry = waiting.remove(from);
    waiting.insert(to, entry);
    save_entries(call, queue, waiting)?;
    Ok(json!({"position": to}))
}

fn step(call: &Call<'_>) -> Result<usize, ApiError> {
    let count = call.integer("count")?.unwrap_or(1);
    usize::try_from(count)
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| ApiError::invalid_field("count", "it must be positive"))
}

pub(super) fn move_task_forward(call: &Call<'_>) -> Result<Value, ApiError> {
    let count = step(call)?;
    reposition(call, |from, _| from.saturating_sub(count))
}

pub(super) fn move_task_backward(call: &Call<'_>) -> Result<Value, ApiError> {
    let count = step(call)?;
    reposition(call, |from, last| from.saturating_add(count).min(last))
}

pub(super) fn move_task_to_front(call: &Call<'_>) -> Result<Value, ApiError> {
    reposition(call, |_, _| 0)
}

pub(super) fn move_task_to_back(call: &Call<'_>) -> Result<Value, ApiError> {
    reposition(call, |_, last| last)
}
