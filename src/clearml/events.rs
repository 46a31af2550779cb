//! Log events: sent in batches that server and proxies can bear, and found again.

use serde_json::{Value, json};

use super::Client;
use super::failure::{Failure, tame};
use super::http::Request;
use super::queues::V;
use super::shape::{self, required_list};
use crate::domain::ids::{TaskId, UnixMillis, WorkerName};
use crate::engine::ports::{LogEvent, LogLevel};

/// Most bytes of text in one event.
const MESSAGE_BYTES: usize = 64 * 1024;
/// Most bytes of one request; one event, however escaped, is smaller.
const REQUEST_BYTES: usize = 1024 * 1024;
/// Events in one answer of `events.get_task_log`.
const LOG_PAGE: usize = 5000;
/// Pages of our own log that are read; it is only read after an outage, from the last stamp that was acknowledged.
const MOST_PAGES: usize = 200;

impl Client {
    pub(super) async fn send_events(
        &self,
        task: &TaskId,
        worker: &WorkerName,
        events: &[LogEvent],
    ) -> Result<(), Failure> {
        let lines = events.iter().flat_map(|event| event_lines(task, worker, event));
        for (sent, (count, body)) in batches(lines, REQUEST_BYTES).into_iter().enumerate() {
            let result = self.send_batch(count, body).await;
            match result {
                Ok(()) => {}
                // What went before is stored, so that "nothing was done" would be untrue.
                Err(Failure::Unreachable { reason, .. }) if sent > 0 => {
                    return Err(Failure::Unreachable { reason, maybe_done: true });
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    async fn send_batch(&self, count: usize, body: Vec<u8>) -> Result<(), Failure> {
        // The exact type is the server's switch; a parameter behind it would break the batch. A repeated event is a
        // second event, so it is the caller who finds out what arrived.
        let content_type = "application/json-lines";
        let request = Request { name: "events.add_batch", version: "", content_type, body, repeatable: false };
        let answer = self.session.call(&request).await?;
        let added = answer.get("added").and_then(Value::as_u64);
        if added.is_none_or(|added| added >= count as u64) {
            return Ok(());
        }
        let why = answer.get("errors_info").map(Value::to_string).unwrap_or_default();
        let message = format!("only {} of {count} log events were stored: {}", added.unwrap_or(0), tame(&why));
        Err(Failure::Rejected { code: 200, subcode: 0, message })
    }

    pub(super) async fn stamps(
        &self,
        task: &TaskId,
        worker: &WorkerName,
        after: UnixMillis,
    ) -> Result<Vec<UnixMillis>, Failure> {
        let mut stamps = Vec::new();
        let mut from = after;
        for _ in 0..MOST_PAGES {
            let events = self.log_page(task, Some(from), LOG_PAGE).await?;
            for event in &events {
                let stamp = stamp(event);
                if stamp > after && shape::text(event, "worker") == worker.as_str() {
                    stamps.push(stamp);
                }
            }
            match events.last().map(stamp) {
                Some(last) if last > from && events.len() >= LOG_PAGE => from = last,
                _ => return Ok(stamps),
            }
        }
        Err(Failure::odd(format!("the log of task {task} does not end")))
    }

    /// Console log, oldest first. The server adds all further events of the last stamp, so that none is lost between
    /// pages.
    pub(super) async fn log_page(
        &self,
        task: &TaskId,
        after: Option<UnixMillis>,
        size: usize,
    ) -> Result<Vec<Value>, Failure> {
        let mut parameters = json!({ "task": task, "batch_size": size, "navigate_earlier": false, "order": "asc" });
        if let Some(after) = after {
            parameters["from_timestamp"] = json!(after);
        }
        let answer = self.call("events.get_task_log", V, &parameters).await?;
        let mut events = required_list(&answer, "events")?.to_vec();
        events.sort_by_key(stamp);
        Ok(events)
    }
}

/// An event's `timestamp`; 0 when it has none.
pub(super) fn stamp(event: &Value) -> UnixMillis {
    let stamp = event.get("timestamp");
    let number = stamp.and_then(Value::as_u64).or_else(|| stamp?.as_f64().map(|number| number as u64));
    UnixMillis(number.unwrap_or(0))
}

fn event_lines(task: &TaskId, worker: &WorkerName, event: &LogEvent) -> Vec<String> {
    let level = match event.level {
        LogLevel::Debug => "DEBUG",
        LogLevel::Info => "INFO",
        LogLevel::Warning => "WARNING",
        LogLevel::Error => "ERROR",
    };
    let line = |text: &str| {
        let event = json!({
            "type": "log", "level": level, "task": task, "worker": worker, "msg": text, "timestamp": event.stamp,
        });
        format!("{event}\n")
    };
    pieces(&event.text, MESSAGE_BYTES).into_iter().map(line).collect()
}

/// Cuts a text into pieces of at most `most` bytes, between characters.
fn pieces(text: &str, most: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > most {
        let (piece, further) = rest.split_at(rest.floor_char_boundary(most));
        pieces.push(piece);
        rest = further;
    }
    pieces.push(rest);
    pieces
}

/// Packs lines into bodies of at most `most` bytes, in order; a body holds at least one line.
fn batches(lines: impl Iterator<Item = String>, most: usize) -> Vec<(usize, Vec<u8>)> {
    let mut batches: Vec<(usize, Vec<u8>)> = Vec::new();
    for line in lines {
        match batches.last_mut() {
            Some((count, body)) if body.len() + line.len() <= most => {
                *count += 1;
                body.extend_from_slice(line.as_bytes());
            }
            _ => batches.push((1, line.into_bytes())),
        }
    }
    batches
}
