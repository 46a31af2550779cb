//! `events.*`: what tasks report.

pub(super) mod log;
pub(super) mod media;
mod metrics;
pub(super) mod scalars;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;
use serde_json::{Value, json};

use super::call::{ApiError, Call, integer_from, new_id};
use super::store::Kind;
use super::tasks;

/// The types the store takes; a space in a name counts as `_`.
const TYPES: [&str; 5] = ["log", "training_stats_scalar", "training_stats_vector", "training_debug_image", "plot"];

/// The iteration of values that have none.
pub(super) const NO_ITERATION: i64 = -2_147_483_648;

/// More than 2000 series of one task are not summed up in its document.
const MAX_SERIES: usize = 2000;

/// Events that were not taken, by reason.
#[derive(Debug, Default)]
struct Tally {
    added: usize,
    errors: BTreeMap<String, usize>,
}

pub(super) fn add(call: &Call<'_>) -> Result<Value, ApiError> {
    store_events(call, &[Value::Object(call.body.clone())])
}

pub(super) fn add_batch(call: &Call<'_>) -> Result<Value, ApiError> {
    if call.lines.is_empty() {
        return Err(ApiError::new(400, 17, "Batch request contains no items"));
    }
    store_events(call, &call.lines)
}

fn store_events(call: &Call<'_>, events: &[Value]) -> Result<Value, ApiError> {
    let mut tally = Tally::default();
    let mut touched: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut owners: BTreeMap<String, Owner> = BTreeMap::new();
    for event in events {
        match prepare(call, event, &mut owners) {
            Ok(event) => {
                insert(call, &event)?;
                tally.added += 1;
                touched.entry(event["task"].as_str().unwrap_or_default().to_owned()).or_default().push(event);
            }
            Err(Refused::Event(reason)) => *tally.errors.entry(reason).or_default() += 1,
            Err(Refused::Call(error)) => return Err(error),
        }
    }
    let errors: usize = tally.errors.values().sum();
    if tally.added == 0 {
        let reasons = tally.errors.iter().map(|(reason, count)| format!("{reason}={count}")).collect::<Vec<_>>();
        return Err(ApiError::new(400, 131, format!("Events not added: {}", reasons.join(", "))));
    }
    for (id, events) in touched {
        if let Some(mut task) = call.documents.get(Kind::Task, &id)? {
            metrics::note(&mut task, &events);
            task["last_update"] = json!(call.now.text());
            tasks::put(call.documents, &task)?;
        }
    }
    Ok(json!({"added": tally.added, "errors": errors, "errors_info": tally.errors}))
}

/// Who an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Open,
    /// Published: takes no events unless `allow_locked`.
    Locked,
    Nobody,
}

enum Refused {
    Event(String),
    Call(ApiError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Call(error)
    }
}

fn owner_of(call: &Call<'_>, id: &str, owners: &mut BTreeMap<String, Owner>) -> Result<Owner, ApiError> {
    if let Some(owner) = owners.get(id) {
        return Ok(*owner);
    }
    let owner = match call.documents.get(Kind::Task, id)? {
        Some(task) if task["status"] == "publishing" || task["status"] == "published" => Owner::Locked,
        Some(_) => Owner::Open,
        None if call.documents.get(Kind::Model, id)?.is_some() => Owner::Open,
        None => Owner::Nobody,
    };
    owners.insert(id.to_owned(), owner);
    Ok(owner)
}

/// An event as it is kept.
fn prepare(call: &Call<'_>, event: &Value, owners: &mut BTreeMap<String, Owner>) -> Result<Value, Refused> {
    let refuse = |reason: &str| Refused::Event(reason.to_owned());
    let mut event = event.clone();
    let kind = event["type"].as_str().map(|kind| kind.replace(' ', "_"));
    let kind = kind.filter(|kind| TYPES.contains(&kind.as_str())).ok_or_else(|| refuse("Invalid event type"))?;
    let task = event["task"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
    let task = task.ok_or_else(|| refuse("Event must have a 'task' field"))?;
    match owner_of(call, &task, owners)? {
        Owner::Open => {}
        Owner::Locked if event["allow_locked"] == true => {}
        Owner::Locked | Owner::Nobody => return Err(refuse("Invalid task id")),
    }
    let fields = event.as_object_mut().ok_or_else(|| refuse("Event is no object"))?;
    // Words to the server, and what the SDK adds to every body of a GET.
    for word in ["allow_locked", "method", "_id", "_index"] {
        fields.remove(word);
    }
    let timestamp = fields.get("timestamp").and_then(integer_from).unwrap_or_else(|| call.now.millis());
    let worker = call.worker.clone().unwrap_or_else(|| "<unknown>".to_owned());
    fields.insert("type".to_owned(), json!(kind));
    fields.insert("timestamp".to_owned(), json!(timestamp));
    fields.insert("@timestamp".to_owned(), json!(call.now.event_text()));
    if fields.get("worker").is_none_or(Value::is_null) {
        fields.insert("worker".to_owned(), json!(worker));
    }
    for name in ["metric", "variant"] {
        if !fields.get(name).is_some_and(Value::is_string) {
            fields.insert(name.to_owned(), json!(""));
        }
    }
    fields.entry("model_event").or_insert(json!(false));
    if kind != "log" {
        let iteration = fields.get("iter").and_then(integer_from).unwrap_or(0);
        fields.insert("iter".to_owned(), json!(iteration));
    }
    if kind == "training_stats_scalar" && !fields.get("value").is_some_and(Value::is_number) {
        return Err(refuse("Event must have a numeric 'value' field"));
    }
    Ok(event)
}

/// Log events are kept each by itself; others replace the one of the same series and iteration.
fn insert(call: &Call<'_>, event: &Value) -> Result<(), ApiError> {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let iteration = event["iter"].as_i64().unwrap_or(0);
    let key = if text("type") == "log" {
        new_id()
    } else {
        let image = event["key"].as_str().or_else(|| event["url"].as_str()).unwrap_or_default();
        json!([text("task"), text("type"), text("metric"), text("variant"), iteration, image]).to_string()
    };
    let mut statement = call.documents.sql().prepare_cached(
        "INSERT OR REPLACE INTO events (key, task, type, timestamp, metric, variant, iter, doc)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute(params![
        key,
        text("task"),
        text("type"),
        event["timestamp"].as_i64().unwrap_or(0),
        text("metric"),
        text("variant"),
        iteration,
        event.to_string()
    ])?;
    Ok(())
}

/// Deletes all events of a task; how many there were.
pub(super) fn delete_of_task(call: &Call<'_>, task: &str) -> Result<usize, ApiError> {
    Ok(call.documents.sql().execute("DELETE FROM events WHERE task = ?", params![task])?)
}

pub(super) fn delete_for_task(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.required_text("task")?;
    call.existing(Kind::Task, &id)?;
    Ok(json!({"deleted": delete_of_task(call, &id)?}))
}

/// Events of a task, of one type, in the order of their arrival in the series.
fn of_type(call: &Call<'_>, task: &str, kind: &str, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>, ApiError> {
    let mut statement = call
        .documents
        .sql()
        .prepare_cached("SELECT doc FROM events WHERE task = ? AND type = ? ORDER BY metric, variant, iter, number")?;
    let rows = statement.query_map(params![task, kind], |row| row.get::<_, String>(0))?;
    let mut events = Vec::new();
    for row in rows {
        let event = super::store::parse(&row?)?;
        if wanted(&event) {
            events.push(event);
        }
    }
    Ok(events)
}

/// The tasks a reading call names, in whichever of the two ways.
fn asked_tasks(call: &Call<'_>) -> Result<BTreeSet<String>, ApiError> {
    let mut ids: BTreeSet<String> = call.texts("tasks")?.unwrap_or_default().into_iter().collect();
    ids.extend(call.text("task")?);
    Ok(ids)
}
