//! GPUs, as table and as JSON.

use serde_json::{Value, json};

use super::table::{Look, NOTHING_THERE, or_nothing, some};
use super::text::{cell, safe, short};
use super::time::{now, rfc3339, span};
use super::words;
use crate::rpc::v1;

/// Longest model in a table.
const MODEL: usize = 32;

/// What stderr says of the whole.
pub(in crate::ctl) fn remarks(found: &v1::ListGpusResponse) -> Vec<String> {
    let driver = found.driver.clone().unwrap_or_default();
    let reason = driver.reason.as_deref().unwrap_or("no reason is known");
    let state = match driver.state() {
        v1::GpuDriverState::Unspecified | v1::GpuDriverState::Up => None,
        v1::GpuDriverState::Asked => Some("the NVIDIA driver has not answered yet; ask again in a moment".to_owned()),
        v1::GpuDriverState::Absent => Some("there is no NVIDIA driver on this host".to_owned()),
        v1::GpuDriverState::Failing => {
            Some(format!("the NVIDIA driver does not answer as it should; what is shown is old: {reason}"))
        }
    };
    let silent = found.silent_seconds.map(|seconds| {
        format!("the NVIDIA driver has not answered for {seconds} s; what is shown is what it said before")
    });
    let none = found.gpus.is_empty() && driver.state() == v1::GpuDriverState::Up;
    let none = none.then(|| "the NVIDIA driver knows no GPU on this host".to_owned());
    let all = state.into_iter().chain(silent).chain(none).chain(found.remarks.iter().cloned());
    all.map(|remark| safe(&remark)).collect()
}

/// `gpu list`: a line a GPU, and one a slice below it.
pub(in crate::ctl) fn table(look: Look, found: &v1::ListGpusResponse) -> String {
    let rows = found.gpus.iter().flat_map(|gpu| std::iter::once(whole(gpu)).chain(slices(gpu))).collect();
    look.rows(&["GPU", "UUID", "NAME", "MEMORY", "USE", "TEMP", "HEALTH", "WORKER", "RUN", "FOREIGN", "RESERVED"], rows)
}

fn whole(gpu: &v1::Gpu) -> Vec<String> {
    let figures = gpu.figures.unwrap_or_default();
    // Its slices say themselves who has them.
    let of_whole = |names: &[String]| if gpu.slices.is_empty() { names.join(", ") } else { String::new() };
    let state = gpu.unusable.as_ref().map_or_else(|| short(&gpu.name, MODEL), |_| "UNUSABLE".to_owned());
    let mut row = vec![gpu.index.to_string(), cell(&gpu.uuid), state];
    row.extend(shown(&figures));
    row.push(state_of(gpu.health.as_ref()));
    row.extend([or_nothing(Some(&of_whole(&gpu.workers))), or_nothing(Some(&of_whole(&gpu.run_ids))), foreign(gpu)]);
    row.push(reserved(gpu.reservation.as_ref()));
    row
}

/// One word; what is not healthy catches the eye.
fn state_of(health: Option<&v1::GpuHealth>) -> String {
    match health.map(|health| health.state.as_str()) {
        None | Some("") => NOTHING_THERE.to_owned(),
        Some("healthy") => "healthy".to_owned(),
        Some(state) => cell(&state.to_uppercase()),
    }
}

fn in_words(health: &v1::GpuHealth) -> String {
    let since = health.since_unix_ms.map(|since| format!(" since {}", rfc3339(since))).unwrap_or_default();
    let parts = [format!("{}{since}", health.state), health.reason.clone(), health.next_step.clone()];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    safe(&parts.join("; "))
}

/// What an order has made of it.
pub(in crate::ctl) fn health(gpu: &str, health: &v1::GpuHealth) -> String {
    format!("GPU {}: {}", safe(gpu), in_words(health))
}

/// The same as JSON.
pub(in crate::ctl) fn json_health(health: &v1::GpuHealth) -> Value {
    let report = |report: &v1::GpuReport| json!({"at": rfc3339(report.at_unix_ms), "fault": report.fault, "run_ids": report.run_ids});
    json!({
        "state": health.state,
        "reason": some(&health.reason),
        "since": health.since_unix_ms.map(rfc3339),
        "next_step": some(&health.next_step),
        "reports": health.reports.iter().map(report).collect::<Vec<_>>(),
    })
}

fn slices(gpu: &v1::Gpu) -> impl Iterator<Item = Vec<String>> {
    gpu.slices.iter().map(|slice| {
        let mut row = vec![format!("{}:{}", gpu.index, slice.index), cell(&slice.uuid), cell(&slice.profile)];
        row.extend(shown(&slice.figures.unwrap_or_default()));
        row.push(state_of(slice.health.as_ref()));
        let nobody = NOTHING_THERE.to_owned();
        row.extend([or_nothing(slice.worker.as_deref()), or_nothing(slice.run_id.as_deref()), nobody]);
        row.push(reserved(slice.reservation.as_ref()));
        row
    })
}

fn shown(figures: &v1::GpuFigures) -> [String; 3] {
    let or = |text: Option<String>| text.unwrap_or_else(|| NOTHING_THERE.to_owned());
    [or(memory(figures)), or(figures.usage.map(|usage| format!("{usage}%"))), or(celsius(figures))]
}

fn memory(figures: &v1::GpuFigures) -> Option<String> {
    let (used, total) = (figures.memory_used?, figures.memory_total?);
    Some(format!("{}/{} MiB", used >> 20, total >> 20))
}

fn celsius(figures: &v1::GpuFigures) -> Option<String> {
    figures.temperature.map(|degrees| format!("{degrees}°C"))
}

fn foreign(gpu: &v1::Gpu) -> String {
    let names: Vec<String> = gpu.processes.iter().filter(|process| process.run_id.is_none()).map(process).collect();
    if names.is_empty() { NOTHING_THERE.to_owned() } else { names.join(", ") }
}

/// `alice, 1h 58m`.
fn reserved(reservation: Option<&v1::GpuReservation>) -> String {
    let Some(found) = reservation else { return NOTHING_THERE.to_owned() };
    let left = found.until_unix_ms.map_or_else(|| "when free".to_owned(), |until| span(until - now()));
    format!("{}, {left}", short(&found.by, MODEL))
}

fn process(process: &v1::GpuProcess) -> String {
    let name = if process.name.is_empty() { "gone" } else { &process.name };
    format!("{} ({})", process.pid, short(name, MODEL))
}

/// `gpu show`.
pub(in crate::ctl) fn detail(look: Look, gpu: &v1::Gpu) -> String {
    let figures = gpu.figures.unwrap_or_default();
    let watts = |milliwatts: u32| milliwatts / 1000;
    let power = gpu.power_mw.map(|draw| match gpu.power_limit_mw {
        Some(limit) => format!("{} of {} W", watts(draw), watts(limit)),
        None => format!("{} W", watts(draw)),
    });
    let ecc = gpu.ecc_corrected.zip(gpu.ecc_uncorrected);
    let fields = look.fields(vec![
        ("gpu", Some(gpu.index.to_string())),
        ("uuid", some(&gpu.uuid)),
        ("name", some(&gpu.name)),
        ("unusable", gpu.unusable.as_deref().and_then(some)),
        ("health", gpu.health.as_ref().map(in_words)),
        ("pci", some(&gpu.pci_bus_id)),
        ("node", gpu.minor.map(|minor| format!("/dev/nvidia{minor}"))),
        ("numa node", gpu.numa_node.map(|node| node.to_string())),
        ("memory", memory(&figures)),
        ("use", figures.usage.map(|usage| format!("{usage}%"))),
        ("temperature", celsius(&figures)),
        ("power", power),
        ("ecc errors", ecc.map(|(corrected, lost)| format!("{corrected} corrected, {lost} not"))),
        ("mig", gpu.mig.then(|| "on".to_owned())),
        ("workers", some(&gpu.workers.join(", "))),
        ("runs", some(&gpu.run_ids.join(", "))),
        ("not lent", gpu.withheld.as_deref().map(|why| format!("it {}", safe(why)))),
        ("reserved", gpu.reservation.as_ref().map(|found| reserved(Some(found)))),
    ]);
    let mut parts = vec![fields];
    if !gpu.slices.is_empty() {
        let header =
            ["SLICE", "UUID", "PROFILE", "MEMORY", "USE", "TEMP", "HEALTH", "WORKER", "RUN", "FOREIGN", "RESERVED"];
        let rows = slices(gpu);
        parts.push(look.rows(&header, rows.collect()));
    }
    let reports = gpu.health.as_ref().map(|health| health.reports.as_slice()).unwrap_or_default();
    if !reports.is_empty() {
        let row = |report: &v1::GpuReport| {
            vec![rfc3339(report.at_unix_ms), safe(&report.fault), or_nothing(Some(&report.run_ids.join(", ")))]
        };
        parts.push(look.rows(&["REPORTED", "FAULT", "RUN"], reports.iter().map(row).collect()));
    }
    if !gpu.processes.is_empty() {
        let mib = |process: &v1::GpuProcess| process.memory_used.map(|used| format!("{} MiB", used >> 20));
        let row = |process: &v1::GpuProcess| {
            let (uid, used) = (process.uid.map(|uid| uid.to_string()), mib(process));
            let whose = process.run_id.as_deref().map_or_else(|| "foreign".to_owned(), cell);
            let name = or_nothing(Some(&process.name));
            vec![process.pid.to_string(), name, or_nothing(uid.as_deref()), or_nothing(used.as_deref()), whose]
        };
        parts.push(look.rows(&["PID", "PROGRAM", "UID", "MEMORY", "RUN"], gpu.processes.iter().map(row).collect()));
    }
    parts.join("\n\n")
}

/// `gpu list` and `gpu rescan`.
pub(in crate::ctl) fn json_list(found: &v1::ListGpusResponse) -> Value {
    let driver = found.driver.clone().unwrap_or_default();
    json!({
        "driver": {
            "state": words::driver(&driver),
            "version": driver.version,
            "cuda_version": driver.cuda_version,
            "reason": driver.reason,
        },
        "seen_at": found.seen_unix_ms.map(rfc3339),
        "silent_seconds": found.silent_seconds,
        "remarks": found.remarks,
        "gpus": found.gpus.iter().map(json).collect::<Vec<_>>(),
    })
}

/// `gpu show`, and each of `gpu list`. Memory is in bytes.
pub(in crate::ctl) fn json(gpu: &v1::Gpu) -> Value {
    let figures = gpu.figures.unwrap_or_default();
    let reservation = |found: &v1::GpuReservation| {
        json!({
            "by": found.by, "reason": found.reason, "made_at": rfc3339(found.made_unix_ms),
            "until": found.until_unix_ms.map(rfc3339),
        })
    };
    let slice = |slice: &v1::MigSlice| {
        let figures = slice.figures.unwrap_or_default();
        json!({
            "index": slice.index, "uuid": slice.uuid, "profile": slice.profile, "unusable": slice.unusable,
            "memory_total": figures.memory_total, "memory_used": figures.memory_used, "usage": figures.usage,
            "health": slice.health.as_ref().map(json_health),
            "temperature": figures.temperature, "worker": slice.worker, "run_id": slice.run_id,
            "withheld": slice.withheld, "reservation": slice.reservation.as_ref().map(reservation),
        })
    };
    let process = |process: &v1::GpuProcess| {
        json!({
            "pid": process.pid, "name": process.name, "uid": process.uid, "memory_used": process.memory_used,
            "run_id": process.run_id, "foreign": process.run_id.is_none(),
        })
    };
    json!({
        "index": gpu.index,
        "uuid": gpu.uuid,
        "name": gpu.name,
        "unusable": gpu.unusable,
        "pci_bus_id": gpu.pci_bus_id,
        "minor": gpu.minor,
        "numa_node": gpu.numa_node,
        "mig": gpu.mig,
        "memory_total": figures.memory_total,
        "memory_used": figures.memory_used,
        "usage": figures.usage,
        "temperature": figures.temperature,
        "power_mw": gpu.power_mw,
        "power_limit_mw": gpu.power_limit_mw,
        "ecc_corrected": gpu.ecc_corrected,
        "ecc_uncorrected": gpu.ecc_uncorrected,
        "health": gpu.health.as_ref().map(json_health),
        "workers": gpu.workers,
        "run_ids": gpu.run_ids,
        "withheld": gpu.withheld,
        "reservation": gpu.reservation.as_ref().map(reservation),
        "processes": gpu.processes.iter().map(process).collect::<Vec<_>>(),
        "slices": gpu.slices.iter().map(slice).collect::<Vec<_>>(),
    })
}
