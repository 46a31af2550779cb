//! Runs for people: where they are, how they ended, and what they used.

use super::table::{Look, NAME, NOTHING_THERE, some};
use super::text::{cell, short};
use super::time::{ago, now, span};
use super::words;
use crate::rpc::v1;

/// What a Run is at, or what became of it.
fn state(run: &v1::Run) -> String {
    let state = match (&run.end, words::stage(run)) {
        (Some(end), stage) => ended(end, stage),
        (None, Some(stage)) if run.live => format!("{} ({stage})", words::phase(run)),
        (None, _) => words::phase(run).to_owned(),
    };
    let unsettled = run.end.is_some() && run.settled_unix_ms.is_none();
    let stopping = run.end.is_none() && run.stop_reason.is_some();
    let more = if unsettled {
        ", not reported yet"
    } else if stopping {
        ", stopping"
    } else {
        ""
    };
    format!("{}{more}", cell(&state))
}

/// The cause as people say it; `--output json` has the word itself.
fn ended(end: &v1::RunEnd, stage: Option<&str>) -> String {
    let words = end.cause.replace('_', " ");
    match (end.cause.as_str(), end.exit_code, end.signal, stage) {
        ("exit_code", Some(code), _, _) => format!("{words} {code}"),
        ("signal", _, Some(signal), _) => format!("{words} {signal}"),
        ("setup_failed", _, _, Some(stage)) => format!("{words} ({stage})"),
        ("operator", _, _, _) => "stopped by operator".to_owned(),
        (_, _, _, _) => words,
    }
}

fn took(now: i64, run: &v1::Run) -> Option<String> {
    run.started_unix_ms.map(|started| span(run.ended_unix_ms.unwrap_or(now) - started))
}

/// `run list`.
pub(in crate::ctl) fn runs(look: Look, runs: &[v1::Run]) -> String {
    let now = now();
    let row = |run: &v1::Run| {
        vec![
            cell(&run.id),
            cell(&run.task_id),
            short(&run.task_name, NAME),
            cell(&run.worker),
            state(run),
            ago(now, run.claimed_unix_ms),
            took(now, run).unwrap_or_else(|| NOTHING_THERE.to_owned()),
        ]
    };
    look.rows(&["RUN", "TASK", "NAME", "WORKER", "STATE", "CLAIMED", "TOOK"], runs.iter().map(row).collect())
}

/// `run show` and what `stop` answers.
pub(in crate::ctl) fn run(look: Look, run: &v1::Run) -> String {
    let now = now();
    let end = run.end.as_ref();
    let environment = run.python_version.as_ref().map(|version| {
        let cached = if run.environment_cached() { "from the cache" } else { "built" };
        format!("Python {}, {cached}", cell(version))
    });
    look.fields(vec![
        ("run", some(&run.id)),
        ("task", Some(format!("{} {}", cell(&run.task_id), cell(&run.task_name)))),
        ("worker", some(&run.worker)),
        ("queue", some(&run.queue_name)),
        ("gpus", some(&run.gpus)),
        ("state", Some(state(run))),
        ("reason", end.and_then(|end| some(&end.reason))),
        ("stopping", run.stop_reason.as_deref().filter(|_| end.is_none()).and_then(some)),
        ("note", run.note.as_deref().and_then(some)),
        ("claimed", Some(ago(now, run.claimed_unix_ms))),
        ("started", run.started_unix_ms.map(|started| ago(now, started))),
        ("ended", run.ended_unix_ms.map(|ended| ago(now, ended))),
        ("took", took(now, run)),
        ("pid", run.stage_pid.map(|pid| pid.to_string())),
        ("commit", run.commit.as_deref().and_then(some)),
        ("environment", environment),
        ("cpu time", end.and_then(cpu_time)),
        (
            "throttled",
            end.and_then(|end| end.throttled_micros).map(|micros| format!("{} by the CPU limit", time(micros))),
        ),
        ("peak memory", end.and_then(|end| Some((end.peak_memory?, end.memory_limit))).map(memory)),
        ("disk", end.and_then(disk)),
        (
            "refused",
            end.and_then(|end| end.refused_forks).map(|count| format!("{count} new processes, by their limit")),
        ),
        (
            "lost output",
            end.map(|end| end.dropped_bytes)
                .filter(|bytes| *bytes > 0)
                .map(|bytes| format!("{bytes} bytes found no room")),
        ),
    ])
}

fn memory((peak, limit): (u64, Option<u64>)) -> String {
    let limit = limit.map(|limit| format!(" of {} MiB", limit >> 20)).unwrap_or_default();
    format!("{} MiB{limit}", peak >> 20)
}

fn time(micros: u64) -> String {
    span(i64::try_from(micros / 1000).unwrap_or(i64::MAX))
}

fn cpu_time(end: &v1::RunEnd) -> Option<String> {
    let all = time(end.cpu_micros?);
    Some(match (end.user_micros, end.system_micros) {
        (Some(user), Some(system)) if user + system > 0 => {
            format!("{all} ({} user, {} system)", time(user), time(system))
        }
        _ => all,
    })
}

fn disk(end: &v1::RunEnd) -> Option<String> {
    let mib = |bytes: Option<u64>| bytes.unwrap_or(0) >> 20;
    (end.read_bytes.is_some() || end.written_bytes.is_some())
        .then(|| format!("{} MiB read, {} MiB written", mib(end.read_bytes), mib(end.written_bytes)))
}
