//! From the domain to answers.

pub(super) mod gpus;

use crate::domain::cause::Cause;
use crate::domain::handover::{Stage, Usage};
use crate::domain::ids::UnixMillis;
use crate::domain::limits::Limits;
use crate::domain::run::{Exited, Phase};
use crate::domain::sandbox::Sandbox;
use crate::domain::worker::{Intent, Origin, Worker};
use crate::engine::handle::{Event, HostStatus, RunView, ServerLink, WorkerActivity, WorkerView};
use crate::engine::ports::{DeskLogEvent, DeskQueue, DeskTask, DeskTaskDetail, ServerIdentity};
use crate::rpc::v1;

fn millis(at: UnixMillis) -> i64 {
    signed(at.0)
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn count(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

// === Host ===

impl From<HostStatus> for v1::HostStatus {
    fn from(status: HostStatus) -> Self {
        Self {
            version: status.version,
            host: status.host,
            state_dir: status.state_dir.display().to_string(),
            state_id: status.state_id.into(),
            since_unix_ms: millis(status.since),
            draining: status.draining,
            server: Some(server(status.server, status.link)),
            launcher: status.launcher.name.to_owned(),
            missing: status.launcher.missing,
            remarks: status.remarks,
            workers: count(status.workers),
            live_runs: count(status.live_runs),
            unsettled_runs: count(status.unsettled_runs),
            all_runs: status.all_runs,
        }
    }
}

fn server(identity: ServerIdentity, link: ServerLink) -> v1::Server {
    let (link, since, reason) = match link {
        ServerLink::Unknown => (v1::Link::Unknown, None, None),
        ServerLink::Up { since } => (v1::Link::Up, Some(millis(since)), None),
        ServerLink::Down { since, reason, refused: _ } => (v1::Link::Down, Some(millis(since)), Some(reason)),
    };
    v1::Server {
        api_url: identity.api_url,
        web_url: identity.web_url,
        files_url: identity.files_url,
        version: identity.version,
        api_version: identity.api_version,
        link: link.into(),
        since_unix_ms: since,
        reason,
    }
}

impl From<Event> for v1::Event {
    fn from(event: Event) -> Self {
        Self {
            sequence: event.sequence,
            at_unix_ms: millis(event.at),
            kind: event.kind.to_owned(),
            worker: event.worker.map(Into::into),
            run_id: event.run.map(Into::into),
            task_id: event.task.map(Into::into),
            message: event.message,
        }
    }
}

// === Workers ===

impl From<WorkerView> for v1::Worker {
    fn from(view: WorkerView) -> Self {
        let intent = match view.worker.intent {
            Intent::Active => v1::WorkerIntent::Active,
            Intent::Stopped => v1::WorkerIntent::Stopped,
        };
        let (activity, current) = match view.activity {
            WorkerActivity::Idle => (v1::WorkerActivity::Idle, None),
            WorkerActivity::Busy { run, task } => (v1::WorkerActivity::Busy, Some((run, task))),
            WorkerActivity::Finishing { run, task } => (v1::WorkerActivity::Finishing, Some((run, task))),
            WorkerActivity::Stopped => (v1::WorkerActivity::Stopped, None),
        };
        let (run_id, task_id) = current.map(|(run, task)| (run.into(), task.into())).unzip();
        Self {
            queues: queues(&view.worker),
            name: view.worker.name.to_string(),
            gpus: view.worker.gpus.to_string(),
            order_fairness: view.worker.order_fairness,
            user: view.worker.user.clone(),
            intent: intent.into(),
            added_unix_ms: millis(view.worker.added),
            activity: activity.into(),
            run_id,
            task_id,
            problem: view.problem,
            limits: Some(view.worker.limits.into()),
            sandbox: Some((&view.worker.sandbox).into()),
            uptime: view.hours.timetable.uptime().to_vec(),
            downtime: view.hours.timetable.downtime().to_vec(),
            hours_said_in: view.hours.said_in,
            paused: view.paused.map(|paused| paused.to_string()),
            declared_in: view.worker.file().map(str::to_owned),
            pending: view.pending,
            requeue_on_host_loss: view.worker.requeue_on_host_loss,
            run_ids: view.runs.into_iter().map(Into::into).collect(),
            share: view.worker.lending.share().into(),
            dynamic_gpus: view.worker.lending.portions().is_some(),
        }
    }
}

impl From<&Sandbox> for v1::SandboxOptions {
    fn from(sandbox: &Sandbox) -> Self {
        Self {
            binds: sandbox.binds.iter().map(ToString::to_string).collect(),
            devices: sandbox.devices.iter().map(ToString::to_string).collect(),
            network: Some(sandbox.network.to_string()),
            relax: sandbox.relaxed.iter().map(|part| part.to_string()).collect(),
            text: sandbox.to_string(),
        }
    }
}

impl From<Limits> for v1::Limits {
    fn from(limits: Limits) -> Self {
        Self {
            memory_bytes: limits.memory.map(Into::into),
            cpu_millis: limits.cpus.map(Into::into),
            pids: limits.pids.map(Into::into),
            time_limit_s: limits.time.map(Into::into),
            disk_bytes: limits.disk.map(Into::into),
            text: limits.to_string(),
        }
    }
}

fn queues(worker: &Worker) -> Vec<v1::QueueRef> {
    let portions = worker.lending.portions().unwrap_or_default();
    let gpus = |at: usize| portions.get(at).map(ToString::to_string);
    match &worker.origin {
        // Not looked up yet: as the file has them.
        Origin::File { queues, .. } if worker.queues.is_empty() => {
            let named = queues.iter().enumerate();
            named.map(|(at, name)| v1::QueueRef { id: String::new(), name: name.clone(), gpus: gpus(at) }).collect()
        }
        Origin::File { .. } | Origin::Operator => {
            let known = worker.queues.iter().enumerate().map(|(at, queue)| v1::QueueRef {
                id: queue.id.to_string(),
                name: queue.name.clone(),
                gpus: gpus(at),
            });
            known.collect()
        }
    }
}

// === Runs ===

impl From<RunView> for v1::Run {
    fn from(view: RunView) -> Self {
        let RunView { record, progress, live, .. } = view;
        let phase = match &record.phase {
            Phase::Claimed(_) => v1::RunPhase::Claimed,
            Phase::Prepared(_) => v1::RunPhase::Prepared,
            Phase::Running(_) => v1::RunPhase::Running,
            Phase::Exited(_) => v1::RunPhase::Exited,
            Phase::Settled(_) => v1::RunPhase::Settled,
        };
        let (settled, note) = match &record.phase {
            Phase::Settled(settled) => (Some(settled.at), settled.note.clone()),
            Phase::Claimed(_) | Phase::Prepared(_) | Phase::Running(_) | Phase::Exited(_) => (None, None),
        };
        let started = match &record.phase {
            Phase::Running(running) => Some(running.started),
            Phase::Claimed(_) | Phase::Prepared(_) | Phase::Exited(_) | Phase::Settled(_) => {
                record.exited().and_then(|exited| exited.started)
            }
        };
        let exited = record.exited();
        let shim_stage = exited.and_then(|exited| exited.record.as_ref()).map(|record| record.stage);
        let stage = shim_stage.or(progress.as_ref().map(|progress| progress.stage));
        let environment = progress.as_ref().and_then(|progress| progress.environment.as_ref());
        Self {
            worker: record.worker.to_string(),
            queue_id: record.queue.id.to_string(),
            queue_name: record.queue.name.clone(),
            task_id: record.task.to_string(),
            task_name: record.task_name.clone(),
            gpus: record.gpus.to_string(),
            phase: phase.into(),
            claimed_unix_ms: millis(record.claimed),
            started_unix_ms: started.map(millis),
            ended_unix_ms: exited.map(|exited| millis(exited.at)),
            settled_unix_ms: settled.map(millis),
            stage: stage.map(|stage| v1::RunStage::from(stage).into()),
            stage_since_unix_ms: progress.as_ref().map(|progress| millis(progress.since)),
            stage_pid: progress.as_ref().filter(|_| live).and_then(|progress| progress.pid),
            stop_reason: record.stop.as_ref().map(|stop| Cause::Stopped { reason: stop.reason }.word().to_owned()),
            end: exited.map(Into::into),
            live,
            commit: progress.as_ref().and_then(|progress| progress.source.as_ref()?.commit.clone()),
            python_version: environment.map(|environment| environment.python_version.clone()),
            environment_cached: environment.map(|environment| environment.cached),
            note,
            id: record.id.into(),
        }
    }
}

impl From<Stage> for v1::RunStage {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Source => Self::Source,
            Stage::Environment => Self::Environment,
            Stage::Program => Self::Program,
        }
    }
}

impl From<&Exited> for v1::RunEnd {
    fn from(exited: &Exited) -> Self {
        let (exit_code, signal) = match &exited.cause {
            Cause::ExitCode { code, .. } => (Some(*code), None),
            Cause::Signal { signal, .. } => (None, Some(*signal)),
            Cause::OutOfMemory { .. }
            | Cause::DiskFull { .. }
            | Cause::Stopped { .. }
            | Cause::SetupFailed { .. }
            | Cause::LaunchFailed { .. }
            | Cause::GpuFault { .. }
            | Cause::GpuLost { .. }
            | Cause::Lost { .. } => (None, None),
        };
        let usage = exited.record.as_ref().map(|record| record.usage);
        // Zero is what the kernel did not count, or what did not happen.
        let counted = |figure: fn(&Usage) -> u64| usage.as_ref().map(figure).filter(|figure| *figure > 0);
        Self {
            cause: exited.cause.word().to_owned(),
            reason: exited.cause.reason(),
            exit_code,
            signal,
            cpu_micros: usage.map(|usage| usage.cpu_micros),
            user_micros: usage.map(|usage| usage.user_micros),
            system_micros: usage.map(|usage| usage.system_micros),
            peak_memory: counted(|usage| usage.peak_memory),
            throttled_micros: counted(|usage| usage.throttled_micros),
            memory_limit: counted(|usage| usage.memory_limit),
            read_bytes: counted(|usage| usage.read_bytes),
            written_bytes: counted(|usage| usage.written_bytes),
            refused_forks: counted(|usage| usage.refused_forks),
            dropped_bytes: exited.record.as_ref().map_or(0, |record| record.dropped),
        }
    }
}

// === Desk ===

impl From<DeskQueue> for v1::Queue {
    fn from(queue: DeskQueue) -> Self {
        let entries = queue.entries.into_iter().map(Into::into).collect();
        Self { id: queue.id.into(), name: queue.name, tags: queue.tags, entries }
    }
}

impl From<DeskTask> for v1::Task {
    fn from(task: DeskTask) -> Self {
        Self {
            id: task.id.into(),
            name: task.name,
            kind: task.kind,
            status: task.status,
            status_reason: task.status_reason,
            status_message: task.status_message,
            last_worker: task.last_worker,
            last_update: task.last_update,
        }
    }
}

impl From<DeskTaskDetail> for v1::TaskDetail {
    fn from(detail: DeskTaskDetail) -> Self {
        let hyperparameters = detail.hyperparameters.into_iter();
        let scalars = detail.last_scalars.into_iter();
        let artifacts = detail.artifacts.into_iter();
        Self {
            task: Some(detail.task.into()),
            project: detail.project,
            created: detail.created,
            started: detail.started,
            completed: detail.completed,
            active_duration_s: detail.active_duration_s,
            repository: detail.repository,
            commit: detail.commit,
            entry_point: detail.entry_point,
            requirements: detail.requirements,
            hyperparameters: hyperparameters
                .map(|(section, name, value)| v1::Hyperparameter { section, name, value })
                .collect(),
            last_scalars: scalars.map(|(metric, variant, value)| v1::Scalar { metric, variant, value }).collect(),
            artifacts: artifacts.map(|(key, kind, uri)| v1::Artifact { key, kind, uri }).collect(),
            web_url: detail.web_url,
        }
    }
}

impl From<DeskLogEvent> for v1::TaskLogEvent {
    fn from(event: DeskLogEvent) -> Self {
        Self { at_unix_ms: millis(event.stamp), level: event.level, worker: event.worker, text: event.text }
    }
}
