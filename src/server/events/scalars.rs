//! Reading scalars back.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{NO_ITERATION, asked_tasks, of_type};
use crate::server::call::{ApiError, Call, Object};
use crate::server::store::Kind;
use crate::server::time::Moment;

const SCALAR: &str = "training_stats_scalar";
const DEFAULT_SAMPLES: i64 = 6000;
const MAX_BATCH: i64 = 10_000;

fn text<'v>(event: &'v Value, name: &str) -> &'v str {
    event[name].as_str().unwrap_or_default()
}

/// The metrics (and variants) that a call narrows by; empty is all.
struct Wanted(Vec<(String, Vec<String>)>);

impl Wanted {
    fn asked(call: &Call<'_>) -> Result<Self, ApiError> {
        let metrics = call.objects("metrics")?.unwrap_or_default();
        let pair = |metric: &Object| {
            let variants = metric.get("variants").and_then(Value::as_array).into_iter().flatten();
            let variants = variants.filter_map(Value::as_str).map(str::to_owned).collect();
            Some((metric.get("metric")?.as_str()?.to_owned(), variants))
        };
        Ok(Self(metrics.iter().filter_map(pair).collect()))
    }

    fn takes(&self, event: &Value) -> bool {
        let of_metric = |(metric, variants): &(String, Vec<String>)| {
            metric == text(event, "metric")
                && (variants.is_empty() || variants.iter().any(|variant| variant == text(event, "variant")))
        };
        self.0.is_empty() || self.0.iter().any(of_metric)
    }
}

/// The curves of one task: `{metric: {variant: {name, x, y}}}`, averaged down to `samples` points.
fn curves(call: &Call<'_>, task: &str) -> Result<Value, ApiError> {
    let wanted = Wanted::asked(call)?;
    let key = call.text("key")?.unwrap_or_else(|| "iter".to_owned());
    let samples = call.integer("samples")?.unwrap_or(DEFAULT_SAMPLES).clamp(1, DEFAULT_SAMPLES);
    let samples = usize::try_from(samples).unwrap_or(1);
    let events = of_type(call, task, SCALAR, |event| event["iter"] != NO_ITERATION && wanted.takes(event))?;
    let mut series: BTreeMap<(&str, &str), Vec<&Value>> = BTreeMap::new();
    for event in &events {
        series.entry((text(event, "metric"), text(event, "variant"))).or_default().push(event);
    }
    let mut answer = json!({});
    for ((metric, variant), mut events) in series {
        if key != "iter" {
            events.sort_by_key(|event| event["timestamp"].as_i64());
        }
        let size = events.len().div_ceil(samples);
        let (x, y): (Vec<Value>, Vec<Value>) = events.chunks(size).map(|bin| point(bin, &key)).unzip();
        answer[metric][variant] = json!({"name": variant, "x": x, "y": y});
    }
    Ok(answer)
}

fn point(bin: &[&Value], key: &str) -> (Value, Value) {
    let first = bin.first().copied().unwrap_or(&Value::Null);
    let x = match key {
        "timestamp" => first["timestamp"].clone(),
        "iso_time" => json!(Moment::from_millis(first["timestamp"].as_i64().unwrap_or(0)).event_text()),
        _ => first["iter"].clone(),
    };
    let values: Vec<f64> = bin.iter().filter_map(|event| event["value"].as_f64()).collect();
    #[expect(clippy::cast_precision_loss, reason = "a bin is far smaller than 2^53")]
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    (x, json!(mean))
}

pub(in crate::server) fn iter_histogram(call: &Call<'_>) -> Result<Value, ApiError> {
    let task = call.required_text("task")?;
    if call.documents.get(Kind::Model, &task)?.is_none() {
        call.existing(Kind::Task, &task)?;
    }
    curves(call, &task)
}

/// `{metric: {variant: {task: {name, x, y}}}}`.
pub(in crate::server) fn multi_task_iter_histogram(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut answer = json!({});
    for id in asked_tasks(call)? {
        let task = call.existing(Kind::Task, &id)?;
        let curves = curves(call, &id)?;
        for (metric, variants) in curves.as_object().into_iter().flatten() {
            for (variant, curve) in variants.as_object().into_iter().flatten() {
                answer[metric][variant][&id] = json!({"name": task["name"], "x": curve["x"], "y": curve["y"]});
            }
        }
    }
    Ok(answer)
}

/// The raw events of one metric, in batches.
pub(in crate::server) fn raw(call: &Call<'_>) -> Result<Value, ApiError> {
    let (task, metric) = (call.required_text("task")?, call.required_text("metric")?);
    call.existing(Kind::Task, &task)?;
    let batch = usize::try_from(call.integer("batch_size")?.unwrap_or(1000).clamp(1, MAX_BATCH)).unwrap_or(1);
    let start: usize = match call.text("scroll_id")? {
        Some(scroll) if !scroll.is_empty() => scroll
            .strip_prefix("at-")
            .and_then(|place| place.parse().ok())
            .ok_or_else(|| ApiError::new(400, 1104, format!("Invalid scroll id: {scroll}")))?,
        Some(_) | None => 0,
    };
    let all = of_type(call, &task, SCALAR, |event| text(event, "metric") == metric)?;
    let total = all.len();
    let events: Vec<Value> = all.into_iter().skip(start).take(batch).collect();
    let next = start.saturating_add(events.len());
    Ok(json!({"returned": events.len(), "total": total, "scroll_id": format!("at-{next}"), "events": events}))
}

/// The names of the metrics that tasks have reported.
pub(in crate::server) fn task_metrics(call: &Call<'_>) -> Result<Value, ApiError> {
    let kind = call.required_text("event_type")?;
    let mut metrics = Vec::new();
    for task in asked_tasks(call)? {
        let events = of_type(call, &task, &kind, |_| true)?;
        let names: BTreeSet<&str> = events.iter().map(|event| text(event, "metric")).collect();
        metrics.push(json!({"task": task, "metrics": names}));
    }
    Ok(json!({"metrics": metrics}))
}

/// `{metric: [variants]}` of one task.
pub(in crate::server) fn metrics_and_variants(call: &Call<'_>) -> Result<Value, ApiError> {
    let task = call.required_text("task")?;
    call.existing(Kind::Task, &task)?;
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in of_type(call, &task, SCALAR, |_| true)? {
        found.entry(text(&event, "metric").to_owned()).or_default().insert(text(&event, "variant").to_owned());
    }
    Ok(json!({"metrics": found}))
}

/// The last value of every series, as the task's document has it.
pub(in crate::server) fn latest_values(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.required_text("task")?;
    let task = call.existing(Kind::Task, &id)?;
    let mut by_metric: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let series = task["last_metrics"].as_object().into_iter().flat_map(Object::values);
    for noted in series.filter_map(Value::as_object).flat_map(Object::values) {
        by_metric.entry(text(noted, "metric")).or_default().push(json!({
            "name": noted["variant"], "last_value": noted["value"], "value": noted["value"],
            "last_timestamp": task["last_update"],
        }));
    }
    let metrics: Vec<Value> =
        by_metric.into_iter().map(|(name, variants)| json!({"name": name, "variants": variants})).collect();
    Ok(json!({"metrics": metrics, "last_iter": task["last_iteration"], "name": task["name"], "status": task["status"]}))
}

/// Values without an iteration.
pub(in crate::server) fn single_values(call: &Call<'_>) -> Result<Value, ApiError> {
    let wanted = Wanted::asked(call)?;
    let mut tasks = Vec::new();
    for id in asked_tasks(call)? {
        let task = call.existing(Kind::Task, &id)?;
        let events = of_type(call, &id, SCALAR, |event| event["iter"] == NO_ITERATION && wanted.takes(event))?;
        let values: Vec<Value> = events
            .iter()
            .map(|event| {
                json!({
                    "metric": event["metric"], "variant": event["variant"], "value": event["value"],
                    "timestamp": event["timestamp"],
                })
            })
            .collect();
        tasks.push(json!({"task": id, "task_name": task["name"], "values": values}));
    }
    Ok(json!({"tasks": tasks}))
}
