//! Console output.

use rusqlite::params;
use serde_json::{Value, json};

use crate::server::call::{ApiError, Call};
use crate::server::store::{self, Kind};
use crate::server::time::Moment;

const DEFAULT_BATCH: i64 = 5000;
/// No answer holds more, and no count goes higher.
const MAX_RETURNED: i64 = 10_000;

/// A stretch of a task's log.
struct Stretch {
    events: Vec<Value>,
    total: i64,
}

/// Leaves out what arrived too lately to be shown; nothing more than what is always asked, unless somebody wants that.
fn shown(call: &Call<'_>) -> String {
    let delay = i64::try_from(call.log_delay.as_millis()).unwrap_or(i64::MAX);
    if delay == 0 {
        return String::new();
    }
    // A stamp of ours has no quotes in it.
    let horizon = Moment::from_millis(call.now.millis().saturating_sub(delay)).event_text();
    format!("AND json_extract(doc, '$.\"@timestamp\"') <= '{horizon}'")
}

fn total(call: &Call<'_>, task: &str) -> Result<i64, ApiError> {
    let sql = format!("SELECT count(*) FROM events WHERE task = ? AND type = 'log' {}", shown(call));
    let count: i64 = call.documents.sql().query_row(&sql, params![task], |row| row.get(0))?;
    Ok(count.min(MAX_RETURNED))
}

/// At most `batch` events after `from` (before it, if `newest_first`), and all further ones of the last stamp.
fn read(call: &Call<'_>, task: &str, newest_first: bool, from: Option<i64>, batch: i64) -> Result<Stretch, ApiError> {
    let (relation, order) = if newest_first { ("<", "DESC") } else { (">", "ASC") };
    let edge = from.unwrap_or(if newest_first { i64::MAX } else { i64::MIN });
    let sql = format!(
        "SELECT timestamp, doc FROM events WHERE task = ? AND type = 'log' AND timestamp {relation} ? {}
         ORDER BY timestamp {order}, number {order}",
        shown(call)
    );
    let mut statement = call.documents.sql().prepare_cached(&sql)?;
    let mut rows = statement.query(params![task, edge])?;
    let mut events = Vec::new();
    let mut last = None;
    while let Some(row) = rows.next()? {
        let stamp: i64 = row.get(0)?;
        let full = i64::try_from(events.len()).unwrap_or(i64::MAX) >= batch;
        if full && last != Some(stamp) {
            break;
        }
        last = Some(stamp);
        events.push(store::parse(&row.get::<_, String>(1)?)?);
    }
    Ok(Stretch { events, total: total(call, task)? })
}

fn asked_task(call: &Call<'_>) -> Result<String, ApiError> {
    let id = call.required_text("task")?;
    // A model may have events too.
    if call.documents.get(Kind::Task, &id)?.is_none() && call.documents.get(Kind::Model, &id)?.is_none() {
        return Err(ApiError::no_task(&id));
    }
    Ok(id)
}

/// From API 2.9: by time stamps. Newest first, unless told otherwise.
pub(in crate::server) fn get_task_log(call: &Call<'_>) -> Result<Value, ApiError> {
    let task = asked_task(call)?;
    let batch = call.integer("batch_size")?.unwrap_or(DEFAULT_BATCH).clamp(1, MAX_RETURNED);
    let from = call.integer("from_timestamp")?;
    let earlier = call.flag("navigate_earlier", true)?;
    let newest_first = match call.text("order")?.as_deref() {
        Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(ApiError::invalid_field("order", "it is neither asc nor desc")),
        None => earlier,
    };
    // The direction says which events; the order only how they are laid out.
    let mut stretch = read(call, &task, earlier, from, batch)?;
    if earlier != newest_first {
        stretch.events.reverse();
    }
    Ok(json!({"returned": stretch.events.len(), "total": stretch.total, "events": stretch.events}))
}

/// Before API 2.9: by scrolling. Our `scroll_id` is the last stamp given.
pub(in crate::server) fn get_task_log_by_scroll(call: &Call<'_>) -> Result<Value, ApiError> {
    let task = asked_task(call)?;
    let batch = call.integer("batch_size")?.unwrap_or(DEFAULT_BATCH).clamp(1, MAX_RETURNED);
    let (order, end) = (call.text("order")?, call.text("from")?);
    let newest_first = order.map_or(end.as_deref() != Some("head"), |order| order != "asc");
    let from = match call.text("scroll_id")? {
        None => None,
        Some(scroll) if scroll.is_empty() => None,
        Some(scroll) => {
            let stamp = scroll.strip_prefix("log-").and_then(|stamp| stamp.parse().ok());
            Some(stamp.ok_or_else(|| ApiError::new(400, 1104, format!("Invalid scroll id: {scroll}")))?)
        }
    };
    let stretch = read(call, &task, newest_first, from, batch)?;
    let last = stretch.events.last().and_then(|event| event["timestamp"].as_i64()).or(from).unwrap_or(0);
    Ok(json!({
        "returned": stretch.events.len(), "total": stretch.total, "scroll_id": format!("log-{last}"),
        "events": stretch.events,
    }))
}

pub(in crate::server) fn clear_task_log(call: &Call<'_>) -> Result<Value, ApiError> {
    let task = asked_task(call)?;
    let before = call
        .integer("threshold_sec")?
        .map_or(i64::MAX, |seconds| call.now.millis().saturating_sub(seconds.saturating_mul(1000)));
    let sql = "DELETE FROM events WHERE task = ? AND type = 'log' AND timestamp <= ?";
    let deleted = call.documents.sql().execute(sql, params![task, before])?;
    Ok(json!({"deleted": deleted}))
}
