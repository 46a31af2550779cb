//! `tasks.*`: the document, its state machine, and what changes it.

pub(super) mod artifacts;
pub(super) mod clone;
mod document;
pub(super) mod edit;
mod legacy;
pub(super) mod many;
pub(super) mod parameters;
pub(super) mod queueing;
pub(super) mod read;
pub(super) mod remove;
pub(super) mod state;
pub(super) mod status;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

pub(super) use document::put;
pub(super) use queueing::back_to_before_the_queue;

use super::Shared;
use super::call::{ApiError, Call};
use super::store::{Documents, Kind, Narrow};
use super::time::Moment;
use crate::domain::task::TaskStatus;

const WATCHDOG_SILENCE_MS: i64 = 7_200_000;

/// The task that a call names, for a change of it.
pub(super) fn asked(call: &Call<'_>) -> Result<Value, ApiError> {
    call.existing(Kind::Task, &call.required_text("task")?)
}

/// The status of a task document.
pub(super) fn status_of(task: &Value) -> TaskStatus {
    TaskStatus::parse(task["status"].as_str().unwrap_or_default())
}

/// Stops, every quarter of an hour, the tasks that nobody has been heard of for two hours. Somebody may have given it
/// another clock.
pub(super) async fn watchdog(shared: Arc<Shared>) {
    let mut clock = shared.faults.watchdog();
    loop {
        let every = clock.borrow_and_update().every;
        // Cancel-safe both: a sleep has no state that matters, and a change that is not seen here is seen by the next.
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = clock.changed() => {}
        }
        let (now, ahead) = (Moment::now(), clock.borrow().ahead);
        // A failure here is the database's; the next call of a client will hear of it.
        let _ = shared.store.run(move |documents| stop_silent_tasks(documents, now, ahead)).await;
    }
}

fn stop_silent_tasks(documents: &Documents<'_>, now: Moment, ahead: Duration) -> Result<(), ApiError> {
    let by_its_clock = now.millis().saturating_add(i64::try_from(ahead.as_millis()).unwrap_or(i64::MAX));
    let narrow = Narrow { statuses: vec!["in_progress".to_owned()], ..Narrow::default() };
    for mut task in documents.list(Kind::Task, &narrow)? {
        let heard = task["last_update"].as_str().and_then(Moment::parse);
        if heard.is_some_and(|heard| by_its_clock.saturating_sub(heard.millis()) > WATCHDOG_SILENCE_MS) {
            for (field, value) in [
                ("status", "stopped".to_owned()),
                ("status_reason", "Forced stop (non-responsive)".to_owned()),
                ("status_message", "Forced stop (non-responsive)".to_owned()),
                ("status_changed", now.text()),
                ("last_update", now.text()),
                ("last_change", now.text()),
                ("completed", now.text()),
            ] {
                task[field] = json!(value);
            }
            put(documents, &task)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::Store;

    #[tokio::test]
    async fn the_watchdog_stops_what_has_been_silent_for_two_hours_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = Store::open(&directory.path().join("x.db")).expect("opened");
        let now = Moment::now();
        let task = move |id: &str, status: &str, silent_s: i64| {
            let heard = Moment::from_millis(now.millis() - silent_s * 1000).text();
            json!({"id": id, "status": status, "last_update": heard})
        };
        let statuses = store.run(move |documents| {
            for task in [task("a", "in_progress", 7300), task("b", "in_progress", 7100), task("c", "queued", 9000)] {
                put(documents, &task)?;
            }
            stop_silent_tasks(documents, now, Duration::ZERO)?;
            let tasks = documents.list(Kind::Task, &Narrow::default())?;
            Ok(tasks.iter().map(|task| task["status"].as_str().map(str::to_owned)).collect::<Vec<_>>())
        });
        let wanted = ["stopped", "in_progress", "queued"].map(|status| Some(status.to_owned()));
        assert_eq!(statuses.await.expect("run"), wanted);
    }
}
