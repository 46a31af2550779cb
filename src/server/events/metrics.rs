//! What a task's document remembers of its events: the last, least and greatest value of every series.

use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::{MAX_SERIES, NO_ITERATION};

/// Figures of the machine do not say how far the training has come.
const MACHINE_METRICS: [&str; 2] = [":monitor:machine", ":monitor:gpu"];

/// Metrics and variants are keyed by the MD5 of their names: a name may hold what a key may not.
pub(super) fn key(name: &str) -> String {
    use std::fmt::Write as _;
    let digest = Md5::digest(name.as_bytes());
    digest.iter().fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Notes the events just stored.
pub(super) fn note(task: &mut Value, events: &[Value]) {
    let mut series: usize = task["last_metrics"]
        .as_object()
        .into_iter()
        .flat_map(|all| all.values())
        .filter_map(Value::as_object)
        .map(serde_json::Map::len)
        .sum();
    for event in events {
        let (kind, metric) = (event["type"].as_str().unwrap_or_default(), event["metric"].as_str().unwrap_or_default());
        if kind != "log" && !MACHINE_METRICS.contains(&metric) {
            let iteration = event["iter"].as_i64().unwrap_or(0);
            let last = task["last_iteration"].as_i64().unwrap_or(0);
            if iteration != NO_ITERATION {
                task["last_iteration"] = json!(last.max(iteration));
            }
        }
        if kind == "training_stats_scalar" {
            note_scalar(task, event, &mut series);
        } else {
            let entry = &mut task["metric_stats"][key(metric)];
            entry["metric"] = json!(metric);
            entry["event_stats_by_type"][kind] = json!({"last_update": event["timestamp"]});
        }
    }
}

fn note_scalar(task: &mut Value, event: &Value, series: &mut usize) {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let (metric, variant) = (key(text("metric")), key(text("variant")));
    let (iteration, value) = (event["iter"].as_i64().unwrap_or(0), event["value"].as_f64().unwrap_or(0.0));
    let old = &task["last_metrics"][&metric][&variant];
    let noted = if old.is_object() {
        next(old, iteration, value)
    } else if *series >= MAX_SERIES {
        return;
    } else {
        *series += 1;
        json!({
            "metric": text("metric"), "variant": text("variant"), "value": value,
            "min_value": value, "min_value_iteration": iteration, "max_value": value, "max_value_iteration": iteration,
            "first_value": value, "first_value_iteration": iteration, "count": 1, "mean_value": value,
        })
    };
    let mut noted = noted;
    if let Some(label) = event.get("x_axis_label").filter(|label| label.is_string()) {
        noted["x_axis_label"] = label.clone();
    }
    task["last_metrics"][metric][variant] = noted;
}

fn next(old: &Value, iteration: i64, value: f64) -> Value {
    let number = |name: &str| old[name].as_f64().unwrap_or(value);
    let mut noted = old.clone();
    noted["value"] = json!(value);
    if value <= number("min_value") {
        noted["min_value"] = json!(value);
        noted["min_value_iteration"] = json!(iteration);
    }
    if value >= number("max_value") {
        noted["max_value"] = json!(value);
        noted["max_value_iteration"] = json!(iteration);
    }
    let count = old["count"].as_u64().unwrap_or(0);
    #[expect(clippy::cast_precision_loss, reason = "a mean of 2^53 values needs no more digits")]
    let mean = (number("mean_value") * count as f64 + value) / (count + 1) as f64;
    noted["count"] = json!(count + 1);
    noted["mean_value"] = json!(mean);
    noted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_its_last_least_greatest_first_and_mean_value() {
        let mut task = json!({"last_metrics": {}, "metric_stats": {}, "last_iteration": 0});
        let event = |iter: i64, value: f64| json!({"type": "training_stats_scalar", "metric": "loss", "variant": "train", "iter": iter, "value": value});
        note(&mut task, &[event(0, 1.0), event(1, 0.5), event(2, 0.75)]);
        let noted = &task["last_metrics"]["81513effdf5790b79549208838404407"]["61b3a8faa9c1091806675c230a9abe64"];
        assert_eq!((noted["value"].as_f64(), noted["count"].as_u64()), (Some(0.75), Some(3)), "keys as recorded");
        assert_eq!((noted["min_value"].as_f64(), noted["min_value_iteration"].as_i64()), (Some(0.5), Some(1)));
        assert_eq!((noted["max_value"].as_f64(), noted["first_value"].as_f64()), (Some(1.0), Some(1.0)));
        assert_eq!((noted["mean_value"].as_f64(), task["last_iteration"].as_i64()), (Some(0.75), Some(2)));
    }

    #[test]
    fn machine_figures_and_single_values_do_not_move_the_iteration() {
        let mut task = json!({"last_metrics": {}, "metric_stats": {}, "last_iteration": 3});
        note(
            &mut task,
            &[
                json!({"type": "training_stats_scalar", "metric": ":monitor:gpu", "variant": "u", "iter": 90, "value": 1}),
                json!({"type": "training_stats_scalar", "metric": "Summary", "variant": "v", "iter": NO_ITERATION, "value": 1}),
            ],
        );
        assert_eq!(task["last_iteration"], 3);
    }
}
