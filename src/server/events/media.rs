//! Plots and debug images.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{asked_tasks, of_type};
use crate::server::call::{ApiError, Call};

fn series(event: &Value) -> (String, String) {
    let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
    (text("metric"), text("variant"))
}

/// The last `iters` events of every series.
fn last_of_each(events: Vec<Value>, iters: i64) -> Vec<Value> {
    let keep = usize::try_from(iters.max(1)).unwrap_or(1);
    let mut by_series: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    for event in events {
        by_series.entry(series(&event)).or_default().push(event);
    }
    by_series.into_values().flat_map(|events| events.into_iter().rev().take(keep)).collect()
}

pub(in crate::server) fn plots(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut plots = Vec::new();
    for task in asked_tasks(call)? {
        plots.extend(of_type(call, &task, "plot", |_| true)?);
    }
    let total = plots.len();
    let plots = last_of_each(plots, call.integer("iters")?.unwrap_or(1));
    Ok(json!({"returned": plots.len(), "total": total, "scroll_id": "", "plots": plots}))
}

/// Images by task, metric and iteration.
pub(in crate::server) fn debug_images(call: &Call<'_>) -> Result<Value, ApiError> {
    let iters = call.integer("iters")?.unwrap_or(1);
    let mut metrics = Vec::new();
    for wanted in call.objects("metrics")?.unwrap_or_default() {
        let Some(task) = wanted.get("task").and_then(Value::as_str) else { continue };
        let metric = wanted.get("metric").and_then(Value::as_str);
        let of_metric = |event: &Value| metric.is_none_or(|metric| event["metric"] == *metric);
        let images = last_of_each(of_type(call, task, "training_debug_image", of_metric)?, iters);
        let mut by_iteration: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
        for image in images {
            by_iteration.entry(image["iter"].as_i64().unwrap_or(0)).or_default().push(image);
        }
        let iterations: Vec<Value> =
            by_iteration.into_iter().rev().map(|(iter, events)| json!({"iter": iter, "events": events})).collect();
        metrics.push(json!({"task": task, "metric": metric, "iterations": iterations}));
    }
    Ok(json!({"metrics": metrics, "scroll_id": ""}))
}

/// All events of one type, oldest iteration first.
pub(in crate::server) fn task_events(call: &Call<'_>) -> Result<Value, ApiError> {
    let task = call.required_text("task")?;
    let kind = call.text("event_type")?.unwrap_or_else(|| "log".to_owned());
    let events = of_type(call, &task, &kind, |_| true)?;
    Ok(json!({"returned": events.len(), "total": events.len(), "scroll_id": "", "events": events}))
}
