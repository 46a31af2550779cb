//! `workers.*`: entries that vanish when nobody renews them.

use serde_json::{Value, json};

use super::auth::{COMPANY_ID, COMPANY_NAME};
use super::call::{ApiError, Call, Object};
use super::store::{Kind, Narrow};
use super::tasks;
use super::time::Moment;

const DEFAULT_TIMEOUT_S: i64 = 600;
const DEFAULT_LAST_SEEN_S: i64 = 3600;

/// The user is part of the key: the same worker id under two users is two workers.
fn key(call: &Call<'_>, worker: &str) -> String {
    format!("worker_{COMPANY_ID}_{}_{worker}", call.who.user)
}

fn fresh(call: &Call<'_>, worker: &str, timeout_s: i64) -> Value {
    json!({
        "id": worker, "key": key(call, worker), "user": {"id": call.who.user, "name": call.who.user_name},
        "company": {"id": COMPANY_ID, "name": COMPANY_NAME}, "ip": call.peer, "queues": [], "tags": [],
        "system_tags": [], "register_time": call.now.text(), "register_timeout": timeout_s,
        "last_activity_time": call.now.text(), "expires_ms": call.now.millis() + timeout_s * 1000,
    })
}

fn save(call: &Call<'_>, worker: &Value) -> Result<(), ApiError> {
    call.documents.put(Kind::Worker, worker["key"].as_str().unwrap_or_default(), worker)
}

fn is_alive(worker: &Value, now: Moment) -> bool {
    worker["expires_ms"].as_i64().is_some_and(|expires| expires > now.millis())
}

/// The workers that have not expired, as they are stored. Those that have are forgotten here.
pub(super) fn alive(call: &Call<'_>) -> Result<Vec<Value>, ApiError> {
    let (alive, gone): (Vec<Value>, Vec<Value>) =
        call.documents.list(Kind::Worker, &Narrow::default())?.into_iter().partition(|w| is_alive(w, call.now));
    for worker in gone {
        call.documents.remove(Kind::Worker, worker["key"].as_str().unwrap_or_default())?;
    }
    Ok(alive)
}

pub(super) fn register(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.required_text("worker")?;
    let timeout_s = call.integer("timeout")?.unwrap_or(DEFAULT_TIMEOUT_S);
    if !(1..=MAX_TIMEOUT_S).contains(&timeout_s) {
        return Err(ApiError::new(400, 1002, format!("Worker failed registration: bad timeout {timeout_s}")));
    }
    let queues = call.texts("queues")?.unwrap_or_default();
    for queue in &queues {
        call.existing(Kind::Queue, queue)?;
    }
    let mut worker = fresh(call, &id, timeout_s);
    worker["queues"] = json!(queues);
    set_tags(call, &mut worker)?;
    save(call, &worker)?;
    Ok(json!({}))
}

/// A century; a larger number is a mistake and would not fit a time.
const MAX_TIMEOUT_S: i64 = 3_155_760_000;

fn set_tags(call: &Call<'_>, worker: &mut Value) -> Result<(), ApiError> {
    for field in ["tags", "system_tags"] {
        if let Some(tags) = call.texts(field)? {
            worker[field] = json!(tags);
        }
    }
    Ok(())
}

pub(super) fn unregister(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.required_text("worker")?;
    call.documents.remove(Kind::Worker, &key(call, &id))?;
    Ok(json!({}))
}

pub(super) fn status_report(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.required_text("worker")?;
    call.integer("timestamp")?.ok_or_else(|| ApiError::invalid_field("timestamp", "field is required!"))?;
    let known = call.documents.get(Kind::Worker, &key(call, &id))?.filter(|worker| is_alive(worker, call.now));
    let mut worker = known.unwrap_or_else(|| fresh(call, &id, DEFAULT_TIMEOUT_S));
    let timeout_s = worker["register_timeout"].as_i64().unwrap_or(DEFAULT_TIMEOUT_S);
    worker["expires_ms"] = json!(call.now.millis() + timeout_s * 1000);
    worker["last_activity_time"] = json!(call.now.text());
    worker["ip"] = json!(call.peer);
    set_tags(call, &mut worker)?;
    if let Some(queues) = call.texts("queues")?.filter(|queues| !queues.is_empty()) {
        worker["queues"] = json!(queues);
    }
    let statistics = call.object("machine_stats")?.map(stored_statistics);
    let fields = worker.as_object_mut().ok_or_else(|| ApiError::database("a worker is no object"))?;
    set_or_clear(fields, "queue", call.text("queue")?);
    let task_id = call.text("task")?;
    set_or_clear(fields, "task", task_id.clone());
    if let Some(statistics) = statistics {
        fields.insert("machine_stats".to_owned(), statistics);
    }
    if let Some(task_id) = task_id {
        let Some(mut task) = call.documents.get(Kind::Task, &task_id)? else {
            // The real server has written the worker before it looks for the task.
            fields.remove("task");
            save(call, &worker)?;
            return Err(ApiError::no_task(&task_id).keeping_changes());
        };
        for (field, value) in [
            ("last_worker", json!(id)),
            ("last_worker_report", json!(call.now.text())),
            ("last_update", json!(call.now.text())),
            ("last_change", json!(call.now.text())),
        ] {
            task[field] = value;
        }
        tasks::put(call.documents, &task)?;
    }
    worker["last_report_time"] = json!(call.now.text());
    save(call, &worker)?;
    Ok(json!({}))
}

fn set_or_clear(fields: &mut Object, name: &str, value: Option<String>) {
    match value {
        Some(value) => fields.insert(name.to_owned(), json!(value)),
        None => fields.remove(name),
    };
}

const STATISTICS: [&str; 14] = [
    "cpu_usage",
    "cpu_temperature",
    "gpu_usage",
    "gpu_temperature",
    "gpu_memory_free",
    "gpu_memory_used",
    "memory_used",
    "memory_free",
    "network_tx",
    "network_rx",
    "disk_free_home",
    "disk_free_temp",
    "disk_read",
    "disk_write",
];

/// The last figures, for whoever looks at the worker; unknown names and empty values are dropped.
fn stored_statistics(sent: &Object) -> Value {
    let known = sent.iter().filter(|(name, value)| {
        STATISTICS.contains(&name.as_str()) && !value.is_null() && **value != json!(0) && **value != json!([])
    });
    Value::Object(known.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// The workers that a list call asks for.
fn asked(call: &Call<'_>, default_last_seen_s: i64) -> Result<Vec<Value>, ApiError> {
    let last_seen_s = call.integer("last_seen")?.unwrap_or(default_last_seen_s);
    let mut workers = alive(call)?;
    workers.retain(|worker| {
        let seen = worker["last_activity_time"].as_str().and_then(Moment::parse);
        last_seen_s <= 0 || seen.is_some_and(|seen| call.now.seconds() - seen.seconds() <= last_seen_s)
    });
    for field in ["tags", "system_tags"] {
        for wanted in call.texts(field)?.unwrap_or_default() {
            let has =
                |worker: &Value, tag: &str| worker[field].as_array().is_some_and(|tags| tags.contains(&json!(tag)));
            match wanted.strip_prefix('-') {
                Some(excluded) => workers.retain(|worker| !has(worker, excluded)),
                None => workers.retain(|worker| has(worker, &wanted)),
            }
        }
    }
    if let Some(glob) = call.text("worker_pattern")? {
        let pattern = format!("^{}$", regex::escape(&glob).replace(r"\*", ".*").replace(r"\?", "."));
        let pattern = regex::Regex::new(&pattern).map_err(ApiError::bad_value)?;
        workers.retain(|worker| worker["id"].as_str().is_some_and(|id| pattern.is_match(id)));
    }
    Ok(workers)
}

pub(super) fn get_all(call: &Call<'_>) -> Result<Value, ApiError> {
    let workers: Result<Vec<Value>, ApiError> =
        asked(call, DEFAULT_LAST_SEEN_S)?.into_iter().map(|worker| shown(call, worker)).collect();
    Ok(json!({"workers": workers?}))
}

pub(super) fn get_count(call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(json!({"count": asked(call, 0)?.len()}))
}

/// A worker with the names of its task and queues.
fn shown(call: &Call<'_>, mut worker: Value) -> Result<Value, ApiError> {
    let fields = worker.as_object_mut().ok_or_else(|| ApiError::database("a worker is no object"))?;
    fields.remove("expires_ms");
    if let Some(id) = fields.get("task").and_then(Value::as_str)
        && let Some(task) = call.documents.get(Kind::Task, id)?
    {
        let started = task["started"].as_str().and_then(Moment::parse).unwrap_or(call.now);
        if let Some(project) = task["project"].as_str() {
            let name = call.documents.get(Kind::Project, project)?.map(|project| project["name"].clone());
            fields.insert("project".to_owned(), json!({"id": project, "name": name}));
        }
        let summary = json!({
            "id": task["id"], "name": task["name"], "running_time": call.now.millis() - started.millis(),
            "last_iteration": task["last_iteration"],
        });
        fields.insert("task".to_owned(), summary);
    }
    if let Some(id) = fields.get("queue").and_then(Value::as_str).map(str::to_owned) {
        fields.insert("queue".to_owned(), shown_queue(call, &id)?);
    }
    let ids: Vec<String> =
        fields["queues"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    let queues: Result<Vec<Value>, ApiError> = ids.iter().map(|id| shown_queue(call, id)).collect();
    fields.insert("queues".to_owned(), Value::Array(queues?));
    Ok(worker)
}

fn shown_queue(call: &Call<'_>, id: &str) -> Result<Value, ApiError> {
    let Some(queue) = call.documents.get(Kind::Queue, id)? else {
        return Ok(json!({"id": id}));
    };
    let entries = queue["entries"].as_array().cloned().unwrap_or_default();
    let mut shown = json!({"id": id, "name": queue["name"], "num_tasks": entries.len()});
    if let Some(next) = entries.first().and_then(|entry| entry["task"].as_str()) {
        let name = call.documents.get(Kind::Task, next)?.map(|task| task["name"].clone());
        shown["next_task"] = json!({"id": next, "name": name});
    }
    Ok(shown)
}
