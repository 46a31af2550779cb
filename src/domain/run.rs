//! A Run's life: `Claimed → Prepared → Running → Exited → Settled`. Each phase is a struct with its data, transitions
//! take `self`, and the whole is what the ledger stores.
//!
//! The rule of the engine is *commit, then act*: a [`RunRecord`] is written before the step that it allows, so that
//! resuming from any record reaches the same end.

use serde::{Deserialize, Serialize};

use super::cause::Cause;
use super::gpu::GpuClaim;
use super::handover::{ExitRecord, ProcessIdentity, StopRequest};
use super::ids::{RunId, TaskId, UnixMillis, WorkerName};
use super::lease::{Lease, Unit};
use super::lending::Share;
use super::requeue::Requeue;
use super::worker::QueueRef;

/// Version of a Run's file in the ledger.
pub const VERSION: u32 = 1;

/// A Run, as the ledger keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`VERSION`].
    pub version: u32,
    /// Which.
    pub id: RunId,
    /// Whose.
    pub worker: WorkerName,
    /// What the server knows its Worker by, where that is not its name: a Worker with dynamic GPUs has one for each Run.
    #[serde(default)]
    pub served_as: Option<WorkerName>,
    /// From where.
    pub queue: QueueRef,
    /// Of what.
    pub task: TaskId,
    /// The Task's name, once it has been read.
    pub task_name: String,
    /// The GPUs that it is lent until it has exited, in the operator's words.
    pub gpus: GpuClaim,
    /// Which hardware that is; empty where no driver could say it.
    #[serde(default)]
    pub units: Vec<Unit>,
    /// How many Runs may use each of them at once.
    #[serde(default)]
    pub share: Share,
    /// When it was claimed.
    pub claimed: UnixMillis,
    /// A stop, once seen, is never forgotten: a later `tasks.started` wipes it at the server.
    pub stop: Option<StopRequest>,
    /// Whether the task goes back to its queue when the host goes down under it: as its Worker said when it was claimed.
    #[serde(default)]
    pub requeue_on_host_loss: bool,
    /// Where it is.
    pub phase: Phase,
}

/// Where a Run is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "phase")]
pub enum Phase {
    /// The task is about to be popped, or has been.
    Claimed(Claimed),
    /// The task is ours and the run directory is complete.
    Prepared(Prepared),
    /// A shim lives.
    Running(Running),
    /// No process of it lives; the server does not know yet.
    Exited(Exited),
    /// The server knows.
    Settled(Settled),
}

/// See [`Phase::Claimed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// Whether the server has answered the pop with this task. Before that it is an intent: after a crash it must be
    /// looked up, never run.
    pub popped: bool,
    /// Whether the server was told that it is started: from then on an abort may come, and the task's state is watched.
    #[serde(default)]
    pub announced: bool,
}

/// See [`Phase::Prepared`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {}

/// See [`Phase::Running`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The shim.
    pub shim: ProcessIdentity,
    /// Since when.
    pub started: UnixMillis,
}

/// See [`Phase::Exited`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exited {
    /// Why.
    pub cause: Cause,
    /// What the shim recorded, if it came to that.
    pub record: Option<ExitRecord>,
    /// When.
    pub at: UnixMillis,
    /// When it had started, if it had.
    pub started: Option<UnixMillis>,
    /// The task goes back to its queue: how far that is.
    #[serde(default)]
    pub requeue: Option<Requeue>,
    /// Something that was noticed and did not decide the end, in a sentence.
    #[serde(default)]
    pub remark: Option<String>,
}

/// See [`Phase::Settled`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// The end that was reported.
    pub exited: Exited,
    /// When the server acknowledged.
    pub at: UnixMillis,
    /// What became of the report, when the server had a status of its own ("the task had completed itself").
    pub note: Option<String>,
}

// === impl RunRecord ===

impl RunRecord {
    /// A Run that is about to pop `task`.
    #[must_use]
    pub fn claim(
        id: RunId,
        worker: WorkerName,
        queue: QueueRef,
        task: TaskId,
        gpus: GpuClaim,
        claimed: UnixMillis,
    ) -> Self {
        let (task_name, units, stop) = (String::new(), Vec::new(), None);
        let phase = Phase::Claimed(Claimed { popped: false, announced: false });
        Self {
            version: VERSION,
            id,
            worker,
            served_as: None,
            queue,
            task,
            task_name,
            gpus,
            units,
            share: Share::ALONE,
            claimed,
            stop,
            requeue_on_host_loss: false,
            phase,
        }
    }

    /// The worker id at the server.
    #[must_use]
    pub fn worker_id(&self) -> &WorkerName {
        self.served_as.as_ref().unwrap_or(&self.worker)
    }

    /// What it is lent, or was.
    #[must_use]
    pub fn lease(&self) -> Lease {
        Lease { claim: self.gpus.clone(), units: self.units.clone(), share: self.share }
    }

    /// Whether the Run still holds its GPUs: from the claim until no process of it lives.
    #[must_use]
    pub fn holds_lease(&self) -> bool {
        match self.phase {
            Phase::Claimed(_) | Phase::Prepared(_) | Phase::Running(_) => true,
            Phase::Exited(_) | Phase::Settled(_) => false,
        }
    }

    /// The phase in a word.
    #[must_use]
    pub fn phase_name(&self) -> &'static str {
        match self.phase {
            Phase::Claimed(_) => "claimed",
            Phase::Prepared(_) => "prepared",
            Phase::Running(_) => "running",
            Phase::Exited(_) => "exited",
            Phase::Settled(_) => "settled",
        }
    }

    /// How it ended, once it has.
    #[must_use]
    pub fn exited(&self) -> Option<&Exited> {
        match &self.phase {
            Phase::Exited(exited) => Some(exited),
            Phase::Settled(settled) => Some(&settled.exited),
            Phase::Claimed(_) | Phase::Prepared(_) | Phase::Running(_) => None,
        }
    }
}
