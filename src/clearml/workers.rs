//! Workers: their life at the server and the machine's figures.

use serde_json::{Map, Value, json};

use super::Client;
use super::failure::Failure;
use super::http::Request;
use super::shape;
use crate::domain::ids::{QueueId, WorkerName};
use crate::domain::machine::{GpuStats, MachineStats};
use crate::domain::schedule::Force;
use crate::engine::ports::{Forced, WorkerReport};

/// How long the server keeps a worker that says nothing, in seconds; its own default.
const KEEP_S: u32 = 600;
/// The API that may have runtime properties.
const PROPERTIES_SINCE: (u32, u32) = (2, 10);

impl Client {
    pub(super) async fn announce(&self, worker: &WorkerName, queues: &[QueueId]) -> Result<(), Failure> {
        let parameters = json!({ "worker": worker, "queues": queues, "timeout": KEEP_S });
        self.call("workers.register", "", &parameters).await.map(drop)
    }

    pub(super) async fn withdraw(&self, worker: &WorkerName) -> Result<(), Failure> {
        self.call("workers.unregister", "", &json!({ "worker": worker })).await.map(drop)
    }

    pub(super) async fn force_of(&self, worker: &WorkerName) -> Result<Forced, Failure> {
        let older = |version: &String| minor(version).is_some_and(|version| version < PROPERTIES_SINCE);
        if self.session.token_now().and_then(|token| token.api_version.clone()).is_some_and(|version| older(&version)) {
            return Ok(Forced::Unsupported);
        }
        let request = Request::json("workers.get_runtime_properties", "", &json!({ "worker": worker }));
        match self.session.ask(&request).await {
            Ok(answer) => Ok(Forced::Is(force(&answer))),
            // The open server has no such endpoint.
            Err(Failure::Rejected { code: 404, .. }) => Ok(Forced::Unsupported),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn send_report(&self, report: &WorkerReport) -> Result<(), Failure> {
        let WorkerReport { worker, queues, task, stats, at } = report;
        let mut parameters = json!({ "worker": worker, "timestamp": at, "queues": queues });
        // Without `task` and `queue` the server takes the worker for idle.
        if let Some((task, queue)) = task {
            parameters["task"] = json!(task);
            parameters["queue"] = json!(queue);
        }
        if let Some(stats) = stats {
            parameters["machine_stats"] = machine_stats(stats);
        }
        self.call("workers.status_report", "", &parameters).await.map(drop)
    }
}

/// `2.10`.
fn minor(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The property `force` among others; a value that is none counts as nothing, as in clearml-agent.
fn force(answer: &Value) -> Option<Force> {
    let properties = shape::list(answer, "runtime_properties").iter();
    let mut found = properties.filter(|property| shape::text(property, "key") == "force");
    Force::parse(&shape::text(found.next()?, "value"))
}

type Figure = fn(&GpuStats) -> f64;

/// In the server's field names. It knows lists and single numbers, and drops zeros itself.
fn machine_stats(stats: &MachineStats) -> Value {
    let MachineStats {
        cpu_usage,
        cpu_temperature,
        memory_used,
        memory_free,
        disk_free_home,
        disk_read,
        disk_write,
        network_tx,
        network_rx,
        gpus,
    } = stats;
    let singles = [
        ("memory_used", memory_used),
        ("memory_free", memory_free),
        ("disk_free_home", disk_free_home),
        ("disk_read", disk_read),
        ("disk_write", disk_write),
        ("network_tx", network_tx),
        ("network_rx", network_rx),
    ];
    let lists = [("cpu_usage", cpu_usage), ("cpu_temperature", cpu_temperature)];
    let mut fields = Map::new();
    for (name, value) in singles {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            fields.insert(name.to_owned(), json!(rounded(value)));
        }
    }
    for (name, value) in lists {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            fields.insert(name.to_owned(), json!([rounded(value)]));
        }
    }
    let of_gpus: [(&str, Figure); 4] = [
        ("gpu_usage", |gpu| gpu.usage),
        ("gpu_temperature", |gpu| gpu.temperature),
        ("gpu_memory_free", |gpu| gpu.memory_free),
        ("gpu_memory_used", |gpu| gpu.memory_used),
    ];
    for (name, read) in of_gpus {
        // A gap would move the figures of one GPU to another.
        let figures: Vec<f64> = gpus.iter().map(read).map(|v| if v.is_finite() { rounded(v) } else { 0.0 }).collect();
        if !figures.is_empty() {
            fields.insert(name.to_owned(), json!(figures));
        }
    }
    Value::Object(fields)
}

/// To three places, as clearml-agent does.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_property_force_is_found_among_others_and_nonsense_is_none() {
        let answer = |properties: Value| json!({ "runtime_properties": properties });
        let other = json!({ "key": "available_gpus", "value": "0", "expiry": null });
        let of = |value: Value| force(&answer(json!([other, { "key": "force", "value": value, "expiry": 60 }])));
        assert_eq!(
            [of(json!("Off")), of(json!("on")), of(json!("maybe")), of(json!(1))],
            [Some(Force::Off), Some(Force::On), None, None]
        );
        assert_eq!([answer(json!([other])), answer(json!(null)), json!({})].map(|answer| force(&answer)), [None; 3]);
        assert_eq!([minor("2.9"), minor("2.31"), minor("3"), minor("x.y")], [Some((2, 9)), Some((2, 31)), None, None]);
    }

    #[test]
    fn figures_go_out_in_the_shapes_that_the_server_knows_and_unknown_ones_not_at_all() {
        let stats = MachineStats {
            cpu_usage: Some(12.5),
            memory_free: Some(1024.0),
            disk_read: Some(f64::NAN),
            gpus: vec![GpuStats { usage: 3.0, ..GpuStats::default() }, GpuStats::default()],
            ..MachineStats::default()
        };
        let zeros = json!([0.0, 0.0]);
        assert_eq!(
            machine_stats(&stats),
            json!({
                "cpu_usage": [12.5], "memory_free": 1024.0, "gpu_usage": [3.0, 0.0], "gpu_temperature": zeros,
                "gpu_memory_free": zeros, "gpu_memory_used": zeros,
            })
        );
    }

    #[test]
    fn every_field_has_the_name_and_form_that_clearml_agent_gives_it() {
        let gpu = GpuStats { usage: 55.0, temperature: 61.0, memory_free: 1024.0, memory_used: 2048.5 };
        let stats = MachineStats {
            cpu_usage: Some(12.345_678),
            cpu_temperature: Some(55.5),
            memory_used: Some(1000.0),
            memory_free: Some(3000.0),
            disk_free_home: Some(41.25),
            disk_read: Some(1.5),
            disk_write: Some(0.25),
            network_tx: Some(0.125),
            network_rx: Some(2.0),
            gpus: vec![gpu],
        };
        let wanted = json!({
            "cpu_usage": [12.346], "cpu_temperature": [55.5],
            "memory_used": 1000.0, "memory_free": 3000.0,
            "disk_free_home": 41.25, "disk_read": 1.5, "disk_write": 0.25, "network_tx": 0.125, "network_rx": 2.0,
            "gpu_usage": [55.0], "gpu_temperature": [61.0], "gpu_memory_free": [1024.0], "gpu_memory_used": [2048.5],
        });
        assert_eq!(machine_stats(&stats), wanted);
        assert_eq!(machine_stats(&MachineStats::default()), json!({}));
    }
}
