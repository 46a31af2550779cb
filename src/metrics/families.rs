//! From what is to families. Pure.

use super::exposition::{Family, Kind, Sample};
use super::tally::{BOUNDS, Tally};
use crate::domain::figures::HostFigures;
use crate::domain::health::State;
use crate::domain::ids::UnixMillis;
use crate::domain::inventory::{GpuView, Power};
use crate::engine::handle::{HostStatus, ServerLink, WorkerActivity, WorkerView};

/// What is, at one moment.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) status: HostStatus,
    pub(super) workers: Vec<WorkerView>,
    pub(super) gpus: Vec<GpuView>,
    pub(super) host: HostFigures,
    /// Bytes of output that the server does not have yet.
    pub(super) pending: u64,
}

type Labels = Vec<(&'static str, String)>;

fn family(name: &'static str, help: &'static str, kind: Kind, unit: Option<&'static str>, of: Vec<Sample>) -> Family {
    Family { name, help, kind, unit, samples: of }
}

/// A gauge; its unit is the last word of its name, where that is one.
fn gauge(name: &'static str, help: &'static str, samples: impl IntoIterator<Item = (Labels, f64)>) -> Family {
    const UNITS: [&str; 5] = ["bytes", "celsius", "ratio", "seconds", "watts"];
    let unit = UNITS.into_iter().find(|unit| name.ends_with(&format!("_{unit}")));
    let samples = samples.into_iter().map(|(labels, value)| Sample { suffix: "", labels, value });
    family(name, help, Kind::Gauge, unit, samples.collect())
}

fn one(name: &'static str, help: &'static str, value: Option<f64>) -> Family {
    gauge(name, help, value.map(|value| (Labels::new(), value)))
}

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

fn seconds(at: UnixMillis) -> f64 {
    at.0 as f64 / 1000.0
}

/// Everything, in the order in which it is written.
pub(super) fn families(now: &Snapshot, tally: &Tally) -> Vec<Family> {
    let mut all = of_daemon(&now.status);
    all.extend(of_workers(&now.workers));
    all.extend(of_runs(now, tally));
    all.extend(of_host(&now.host));
    all.extend(of_gpus(&now.gpus));
    all
}

fn of_daemon(status: &HostStatus) -> Vec<Family> {
    let build = Sample { suffix: "_info", labels: vec![("version", status.version.clone())], value: 1.0 };
    let up = match status.link {
        ServerLink::Unknown => None,
        ServerLink::Up { .. } => Some(1.0),
        ServerLink::Down { .. } => Some(0.0),
    };
    let since = Some(seconds(status.since));
    vec![
        family("clearmld_build", "The running clearmld.", Kind::Info, None, vec![build]),
        one("clearmld_start_time_seconds", "When the daemon came up, in Unix time.", since),
        one("clearmld_server_up", "Whether the last call to the ClearML server went well.", up),
        one("clearmld_draining", "Whether the host takes no more tasks.", Some(flag(status.draining))),
    ]
}

fn of_workers(workers: &[WorkerView]) -> Vec<Family> {
    let of = |state: &'static str| {
        let count = workers.iter().filter(|view| word(&view.activity) == state).count();
        (vec![("state", state.to_owned())], count as f64)
    };
    let states = ["idle", "busy", "finishing", "stopped"].map(of);
    let problem = |view: &WorkerView| (vec![("worker", view.worker.name.to_string())], flag(view.problem.is_some()));
    vec![
        gauge("clearmld_workers", "Declared workers by what they are at.", states),
        gauge("clearmld_worker_problem", "Whether something hinders the worker.", workers.iter().map(problem)),
    ]
}

fn word(activity: &WorkerActivity) -> &'static str {
    match activity {
        WorkerActivity::Idle => "idle",
        WorkerActivity::Busy { .. } => "busy",
        WorkerActivity::Finishing { .. } => "finishing",
        WorkerActivity::Stopped => "stopped",
    }
}

fn of_runs(now: &Snapshot, tally: &Tally) -> Vec<Family> {
    let count = |value: usize| Some(value as f64);
    let ends = tally.ends.iter().map(|(cause, count)| Sample {
        suffix: "_total",
        labels: vec![("cause", (*cause).to_owned())],
        value: *count as f64,
    });
    const ENDED: &str = "Runs that have ended since the daemon's start, by cause.";
    const TOOK: &str = "From start to end of the runs that have ended since the daemon's start.";
    vec![
        one("clearmld_runs_live", "Runs whose processes live.", count(now.status.live_runs)),
        one(
            "clearmld_runs_unsettled",
            "Runs that have ended and of which the server does not know yet.",
            count(now.status.unsettled_runs),
        ),
        family("clearmld_runs_ended", ENDED, Kind::Counter, None, ends.collect()),
        family("clearmld_run_duration_seconds", TOOK, Kind::Histogram, Some("seconds"), histogram(tally)),
        one(
            "clearmld_spool_pending_bytes",
            "Output of runs that the server does not have yet.",
            Some(now.pending as f64),
        ),
    ]
}

fn histogram(tally: &Tally) -> Vec<Sample> {
    let bounds = BOUNDS.iter().map(|bound| format!("{bound:?}")).chain(["+Inf".to_owned()]);
    let mut sum = 0;
    let mut samples: Vec<Sample> = bounds
        .zip(tally.buckets)
        .map(|(bound, count)| {
            sum += count;
            Sample { suffix: "_bucket", labels: vec![("le", bound)], value: sum as f64 }
        })
        .collect();
    samples.push(Sample { suffix: "_sum", labels: Labels::new(), value: tally.seconds });
    samples.push(Sample { suffix: "_count", labels: Labels::new(), value: sum as f64 });
    samples
}

fn of_host(host: &HostFigures) -> Vec<Family> {
    let bytes = |value: Option<u64>| value.map(|value| value as f64);
    vec![
        one("clearmld_state_size_bytes", "Size of the disk of the state directory.", bytes(host.disk_size)),
        one("clearmld_state_free_bytes", "What is left on the disk of the state directory.", bytes(host.disk_free)),
        one(
            "clearmld_state_free_inodes",
            "Files that can still be made on the disk of the state directory.",
            bytes(host.disk_free_inodes),
        ),
    ]
}

fn of_gpus(gpus: &[GpuView]) -> Vec<Family> {
    let uuid = |view: &GpuView| vec![("uuid", view.gpu.uuid.clone())];
    let each = |name, help, figure: fn(&GpuView) -> Option<f64>| {
        gauge(name, help, gpus.iter().filter_map(|view| Some((uuid(view), figure(view)?))))
    };
    let about = gpus.iter().map(|view| {
        let mut labels = uuid(view);
        labels.extend([("index", view.gpu.index.to_string()), ("name", view.gpu.name.clone())]);
        Sample { suffix: "_info", labels, value: 1.0 }
    });
    let health = gpus.iter().flat_map(|view| {
        let word = worst(view);
        State::WORDS.map(|state| {
            let mut labels = uuid(view);
            labels.push(("state", state.to_owned()));
            (labels, flag(state == word))
        })
    });
    const HEALTH: &str = "How far the GPU can be trusted: 1 for the state that it, or the worst of its slices, is in.";
    vec![
        family("clearmld_gpu", "A GPU of this host.", Kind::Info, None, about.collect()),
        each("clearmld_gpu_utilization_ratio", "Share of time that the GPU was busy.", |view| {
            view.gpu.figures.usage.map(|percent| f64::from(percent) / 100.0)
        }),
        each("clearmld_gpu_memory_used_bytes", "Memory of the GPU that is used.", |view| {
            view.gpu.figures.memory_used.map(|bytes| bytes as f64)
        }),
        each("clearmld_gpu_memory_size_bytes", "Memory of the GPU.", |view| {
            view.gpu.figures.memory_total.map(|bytes| bytes as f64)
        }),
        each("clearmld_gpu_temperature_celsius", "Temperature of the GPU.", |view| {
            view.gpu.figures.temperature.map(f64::from)
        }),
        each("clearmld_gpu_power_watts", "What the GPU draws.", |view| {
            let Power { draw, limit: _ } = view.gpu.power;
            draw.map(|milliwatts| f64::from(milliwatts) / 1000.0)
        }),
        each("clearmld_gpu_held", "Whether a run holds the GPU or a slice of it.", |view| {
            Some(flag(!view.runs.is_empty()))
        }),
        each("clearmld_gpu_usable", "Whether the GPU can be used: 0 when it is lost or has no device node.", |view| {
            Some(flag(view.gpu.unusable.is_none()))
        }),
        gauge("clearmld_gpu_health", HEALTH, health),
    ]
}

/// Of the GPU and its slices.
fn worst(view: &GpuView) -> &'static str {
    let rank = |state: State| match state {
        State::Healthy => 0,
        State::Verifying { .. } => 1,
        State::Suspect => 2,
        State::Quarantined { .. } => 3,
    };
    let of_slices = view.slices.iter().filter_map(|slice| slice.health.as_ref().map(|(_, record)| record));
    let records = view.health.iter().chain(of_slices);
    records.map(|record| record.state).max_by_key(|state| rank(*state)).unwrap_or_default().word()
}

#[cfg(test)]
mod tests;
