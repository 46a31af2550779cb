//! What the engine shows of itself.

use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::handover::Progress;
use crate::domain::hours::KeptHours;
use crate::domain::ids::{RunId, StateId, TaskId, UnixMillis, WorkerName};
use crate::domain::inventory::{GpuView, Inventory};
use crate::domain::run::RunRecord;
use crate::domain::schedule::Paused;
use crate::domain::worker::Worker;
use crate::engine::ports::{LauncherDescription, ServerIdentity};

/// `status`.
#[derive(Debug, Clone, PartialEq)]
pub struct HostStatus {
    /// Of the package.
    pub version: String,
    /// The host's name at the server.
    pub host: String,
    /// Where the state is.
    pub state_dir: PathBuf,
    /// Its identity.
    pub state_id: StateId,
    /// When the daemon came up.
    pub since: UnixMillis,
    /// Whether no new tasks are taken.
    pub draining: bool,
    /// The server.
    pub server: ServerIdentity,
    /// How it is.
    pub link: ServerLink,
    /// How Runs are started, and what is missing here.
    pub launcher: LauncherDescription,
    /// Further things that an operator should know, each a sentence.
    pub remarks: Vec<String>,
    /// Workers by state.
    pub workers: usize,
    /// Runs whose processes live.
    pub live_runs: usize,
    /// Runs whose end the server does not know yet.
    pub unsettled_runs: usize,
    /// What all Runs together may use at most, in words.
    pub all_runs: String,
}

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerLink {
    /// It has not been asked yet.
    Unknown,
    /// The last call went well.
    Up {
        /// Since when.
        since: UnixMillis,
    },
    /// Calls fail.
    Down {
        /// Since when.
        since: UnixMillis,
        /// What the last one said.
        reason: String,
        /// Whether that was about our credentials.
        refused: bool,
    },
}

/// What a Worker is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerActivity {
    /// It waits for tasks.
    Idle,
    /// It runs one.
    Busy {
        /// This one.
        run: RunId,
        /// Of this.
        task: TaskId,
    },
    /// It ends its last one and takes no more.
    Finishing {
        /// This one.
        run: RunId,
        /// Of this.
        task: TaskId,
    },
    /// It takes no tasks.
    Stopped,
}

/// A Worker, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerView {
    /// What was declared.
    pub worker: Worker,
    /// The hours that it keeps.
    pub hours: KeptHours,
    /// What it is at.
    pub activity: WorkerActivity,
    /// Its live Runs: one at most, but of a Worker with dynamic GPUs.
    pub runs: Vec<RunId>,
    /// What hinders it (a queue that is gone, …), in a sentence.
    pub problem: Option<String>,
    /// Why it takes nothing although nothing is wrong.
    pub paused: Option<Paused>,
    /// What becomes of it when its Run has ended, since its file says so, in a sentence.
    pub pending: Option<String>,
}

/// A Run, for showing.
#[derive(Debug, Clone, PartialEq)]
pub struct RunView {
    /// The ledger's record.
    pub record: RunRecord,
    /// What the shim says it is at.
    pub progress: Option<Progress>,
    /// Its spool.
    pub spool: PathBuf,
    /// Whether the spool can still grow.
    pub live: bool,
}

/// The host's GPUs, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpusView {
    /// What is there.
    pub inventory: Arc<Inventory>,
    /// Each GPU with who claims and who holds it, by index.
    pub gpus: Vec<GpuView>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Counts from the daemon's start.
    pub sequence: u64,
    /// When.
    pub at: UnixMillis,
    /// One word: `worker_added`, `run_claimed`, `run_started`, `run_exited`, `run_settled`, `server_down`, ….
    pub kind: &'static str,
    /// Which worker.
    pub worker: Option<WorkerName>,
    /// Which run.
    pub run: Option<RunId>,
    /// Which task.
    pub task: Option<TaskId>,
    /// For people.
    pub message: String,
}
