//! JSON for programs. The fields below are a contract: they are added to, never renamed or dropped. Names are
//! snake_case; times end in `_at` and are RFC 3339 in UTC; what is absent is null; words are those of the tables.

use serde_json::{Value, json};

use super::time::rfc3339;
use super::words;
use crate::rpc::v1;

fn at(time: Option<i64>) -> Value {
    time.map(rfc3339).into()
}

fn list<T>(items: &[T], one: impl Fn(&T) -> Value) -> Value {
    items.iter().map(one).collect::<Vec<_>>().into()
}

/// `status`, `drain`, `resume`.
pub(in crate::ctl) fn status(status: &v1::HostStatus) -> Value {
    json!({
        "version": status.version,
        "host": status.host,
        "state_dir": status.state_dir,
        "state_id": status.state_id,
        "since_at": rfc3339(status.since_unix_ms),
        "draining": status.draining,
        "server": status.server.as_ref().map(|server| json!({
            "api_url": server.api_url,
            "web_url": server.web_url,
            "files_url": server.files_url,
            "version": server.version,
            "api_version": server.api_version,
            "link": words::link(server),
            "since_at": at(server.since_unix_ms),
            "reason": server.reason,
        })),
        "launcher": status.launcher,
        "all_runs": status.all_runs,
        "missing": status.missing,
        "remarks": status.remarks,
        "workers": status.workers,
        "live_runs": status.live_runs,
        "unsettled_runs": status.unsettled_runs,
    })
}

/// A line of `events`.
pub(in crate::ctl) fn event(event: &v1::Event) -> Value {
    json!({
        "sequence": event.sequence,
        "at": rfc3339(event.at_unix_ms),
        "kind": event.kind,
        "worker": event.worker,
        "run_id": event.run_id,
        "task_id": event.task_id,
        "message": event.message,
    })
}

/// `worker list` is an array of these; `worker add`, `show`, `stop` and `resume` are one.
pub(in crate::ctl) fn worker(worker: &v1::Worker) -> Value {
    json!({
        "name": worker.name,
        "queues": list(&worker.queues, |queue| json!({"id": queue.id, "name": queue.name, "gpus": queue.gpus})),
        "gpus": worker.gpus,
        "share": worker.share,
        "dynamic_gpus": worker.dynamic_gpus,
        "order_fairness": worker.order_fairness,
        "user": worker.user,
        "limits": worker.limits.as_ref().map(|limits| json!({
            "memory_bytes": limits.memory_bytes,
            "cpus": limits.cpu_millis.map(|millis| f64::from(millis) / 1000.0),
            "pids": limits.pids,
            "time_limit_s": limits.time_limit_s,
            "disk_bytes": limits.disk_bytes,
        })),
        "sandbox": worker.sandbox.as_ref().map(|sandbox| json!({
            "binds": sandbox.binds,
            "devices": sandbox.devices,
            "network": sandbox.network,
            "relaxed": sandbox.relax,
        })),
        "intent": words::intent(worker),
        "added_at": rfc3339(worker.added_unix_ms),
        "activity": words::activity(worker),
        "run_id": worker.run_id,
        "run_ids": worker.run_ids,
        "task_id": worker.task_id,
        "problem": worker.problem,
        "declared_in": worker.declared_in,
        "pending": worker.pending,
        "requeue_on_host_loss": worker.requeue_on_host_loss,
        "uptime": worker.uptime,
        "downtime": worker.downtime,
        "hours_said_in": worker.hours_said_in,
        "paused": worker.paused,
    })
}

pub(in crate::ctl) fn workers(workers: &[v1::Worker]) -> Value {
    list(workers, worker)
}

/// `run list` is an array of these; `run show` and `stop` are one.
pub(in crate::ctl) fn run(run: &v1::Run) -> Value {
    json!({
        "id": run.id,
        "worker": run.worker,
        "queue_id": run.queue_id,
        "queue_name": run.queue_name,
        "task_id": run.task_id,
        "task_name": run.task_name,
        "gpus": run.gpus,
        "phase": words::phase(run),
        "claimed_at": rfc3339(run.claimed_unix_ms),
        "started_at": at(run.started_unix_ms),
        "ended_at": at(run.ended_unix_ms),
        "settled_at": at(run.settled_unix_ms),
        "stage": words::stage(run),
        "stage_since_at": at(run.stage_since_unix_ms),
        "stage_pid": run.stage_pid,
        "stop_reason": run.stop_reason,
        "end": run.end.as_ref().map(|end| json!({
            "cause": end.cause,
            "reason": end.reason,
            "exit_code": end.exit_code,
            "signal": end.signal,
            "cpu_micros": end.cpu_micros,
            "user_micros": end.user_micros,
            "system_micros": end.system_micros,
            "peak_memory": end.peak_memory,
            "memory_limit": end.memory_limit,
            "throttled_micros": end.throttled_micros,
            "read_bytes": end.read_bytes,
            "written_bytes": end.written_bytes,
            "refused_forks": end.refused_forks,
            "dropped_bytes": end.dropped_bytes,
        })),
        "live": run.live,
        "commit": run.commit,
        "python_version": run.python_version,
        "environment_cached": run.environment_cached,
        "note": run.note,
    })
}

pub(in crate::ctl) fn runs(runs: &[v1::Run]) -> Value {
    list(runs, run)
}

/// A line of `run logs`.
pub(in crate::ctl) fn chunk(chunk: &v1::LogChunk) -> Value {
    json!({
        "offset": chunk.offset,
        "skipped": chunk.skipped,
        "from_server": chunk.from_server,
        "text": String::from_utf8_lossy(&chunk.data),
    })
}

/// In a debug bundle.
pub(in crate::ctl) fn configuration(configuration: &v1::Configuration) -> Value {
    json!({
        "settings": list(&configuration.settings, |one| {
            json!({"key": one.key, "value": one.value, "origin": one.origin})
        }),
        "files": configuration.files,
        "remarks": configuration.remarks,
    })
}

/// `doctor` is an array of these.
pub(in crate::ctl) fn finding(finding: &v1::Finding) -> Value {
    json!({
        "check": finding.check,
        "verdict": words::verdict(finding),
        "detail": finding.detail,
        "fix": finding.fix,
    })
}

pub(in crate::ctl) fn findings(findings: &[v1::Finding]) -> Value {
    list(findings, finding)
}

/// `queue list` is an array of these; `queue create` is one.
pub(in crate::ctl) fn queue(queue: &v1::Queue) -> Value {
    json!({"id": queue.id, "name": queue.name, "tags": queue.tags, "entries": queue.entries})
}

pub(in crate::ctl) fn queues(queues: &[v1::Queue]) -> Value {
    list(queues, queue)
}

fn task(task: &v1::Task) -> Value {
    json!({
        "id": task.id,
        "name": task.name,
        "kind": task.kind,
        "status": task.status,
        "status_reason": task.status_reason,
        "status_message": task.status_message,
        "last_worker": task.last_worker,
        "last_update_at": task.last_update,
    })
}

/// `task list`.
pub(in crate::ctl) fn tasks(tasks: &[v1::Task]) -> Value {
    list(tasks, task)
}

/// `task show`; also the last document of `submit --follow`. Dates are as the server writes them.
pub(in crate::ctl) fn detail(detail: &v1::TaskDetail) -> Value {
    json!({
        "task": detail.task.as_ref().map(task),
        "project": detail.project,
        "created_at": detail.created,
        "started_at": detail.started,
        "completed_at": detail.completed,
        "active_duration_s": detail.active_duration_s,
        "repository": detail.repository,
        "commit": detail.commit,
        "entry_point": detail.entry_point,
        "requirements": detail.requirements,
        "hyperparameters": list(&detail.hyperparameters, |one| {
            json!({"section": one.section, "name": one.name, "value": one.value})
        }),
        "last_scalars": list(&detail.last_scalars, |one| {
            json!({"metric": one.metric, "variant": one.variant, "value": one.value})
        }),
        "artifacts": list(&detail.artifacts, |one| json!({"key": one.key, "kind": one.kind, "uri": one.uri})),
        "web_url": detail.web_url,
    })
}

/// `task clone`, `reset`, `enqueue`, `abort` and `submit`.
pub(in crate::ctl) fn reference(task_id: &str) -> Value {
    json!({"task_id": task_id})
}

/// A line of `task log`, and of `submit --follow` before its end.
pub(in crate::ctl) fn log_event(event: &v1::TaskLogEvent) -> Value {
    json!({"at": rfc3339(event.at_unix_ms), "level": event.level, "worker": event.worker, "text": event.text})
}
