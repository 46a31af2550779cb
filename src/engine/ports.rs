//! The few doors through which the engine reaches the world.

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use secrecy::SecretString;

use crate::domain::handover::{ExitRecord, ProcessIdentity, Progress, RunSpec, Secrets, Started, StopRequest};
use crate::domain::ids::{QueueId, RunId, TaskId, UnixMillis, WorkerName};
use crate::domain::log::Delivery;
use crate::domain::machine::MachineStats;
use crate::domain::run::RunRecord;
use crate::domain::task::{QueueView, TaskSnapshot, TaskState};
use crate::domain::worker::{QueueRef, Worker};

/// Why a call to the ClearML server came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No answer, or one that says "later" (429, 502, 503, 504, 509), after the client's own retries.
    #[error("{call}: the ClearML server is not reachable: {reason}")]
    Unreachable {
        /// `queues.get_all`.
        call: &'static str,
        /// What was tried and what came.
        reason: String,
        /// Whether the request may have been carried out nevertheless.
        maybe_done: bool,
    },
    /// The credentials are refused (401), also after a new login.
    #[error("{call}: the ClearML server refuses the credentials: {reason}")]
    Unauthorized {
        /// The call.
        call: &'static str,
        /// The server's message.
        reason: String,
    },
    /// The server understood and said no.
    #[error("{call}: the ClearML server says {code}/{subcode}: {message}")]
    Rejected {
        /// The call.
        call: &'static str,
        /// HTTP status.
        code: u16,
        /// `meta.result_subcode`.
        subcode: u32,
        /// `meta.result_msg`.
        message: String,
    },
    /// The answer makes no sense.
    #[error("{call}: the ClearML server's answer is not understood: {reason}")]
    Incomprehensible {
        /// The call.
        call: &'static str,
        /// Where it broke.
        reason: String,
    },
    /// There is no server configured.
    #[error(
        "no ClearML server is configured: set api.api_server and api.credentials in clearml.conf, or start with --local"
    )]
    NotConfigured,
}

impl ServerError {
    /// Whether the same call can succeed later without anybody changing the request.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unauthorized { .. } | Self::NotConfigured => true,
            // 400/121: the status moved between read and write. 5xx: the server's own trouble.
            Self::Rejected { code, subcode, .. } => *code >= 500 || (*code == 400 && *subcode == 121),
            Self::Incomprehensible { .. } => true,
        }
    }

    /// Whether the server said no with this subcode (see server-api 1.5).
    #[must_use]
    pub fn is(&self, code: u16, subcode: u32) -> bool {
        matches!(self, Self::Rejected { code: c, subcode: s, .. } if *c == code && *s == subcode)
    }
}

/// A log event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// Strictly increasing for a task and worker.
    pub stamp: UnixMillis,
    /// How loud.
    pub level: LogLevel,
    /// Text; may hold many lines.
    pub text: String,
}

/// Level of a log event, in the words that clearml-agent sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the server's own words")]
pub enum LogLevel {
    Debug,
    Info,
    Warning,
    Error,
}

/// A status call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusNote {
    /// `status_reason`.
    pub reason: String,
    /// `status_message`.
    pub message: String,
    /// Skip the server's transition check.
    pub force: bool,
}

/// Where a task is, for an intent that was found after a crash or a lost reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whereabouts {
    /// As polled; none when the task is gone.
    pub state: Option<TaskState>,
    /// Whether any queue still has it.
    pub queued_in: Option<QueueId>,
}

/// A bearer token for a payload, of a login of its own.
#[derive(Debug, Clone)]
pub struct PayloadToken {
    /// The token.
    pub token: SecretString,
}

/// The ClearML server, as the engine needs it. Implementations retry as server-api 1.5 says, bounded by a minute or
/// so a call; the engine repeats what must not be lost.
#[async_trait]
pub trait ClearMl: Send + Sync + fmt::Debug {
    /// A queue by name (exact, any case) or id.
    async fn resolve_queue(&self, name_or_id: &str) -> Result<Option<QueueRef>, ServerError>;
    /// `queues.create`.
    async fn create_queue(&self, name: &str) -> Result<QueueRef, ServerError>;
    /// One request for the heads and tags of all these queues; unknown ones are missing from the answer.
    async fn queue_heads(&self, queues: &[QueueId]) -> Result<Vec<QueueView>, ServerError>;
    /// `queues.get_next_task`, only if `head` is still the first where the server can check that (API ≥ 2.21).
    async fn pop(&self, queue: &QueueId, head: &TaskId) -> Result<Option<TaskId>, ServerError>;
    /// Puts a popped task back to the front of its queue.
    async fn put_back(&self, queue: &QueueId, task: &TaskId, reason: &str) -> Result<(), ServerError>;
    /// Looks for a task of an unresolved intent.
    async fn whereabouts(&self, task: &TaskId, queue: &QueueId) -> Result<Whereabouts, ServerError>;

    /// `workers.register`.
    async fn register(&self, worker: &WorkerName, queues: &[QueueId]) -> Result<(), ServerError>;
    /// `workers.unregister`.
    async fn unregister(&self, worker: &WorkerName) -> Result<(), ServerError>;
    /// `workers.status_report`.
    async fn report(&self, report: &WorkerReport) -> Result<(), ServerError>;

    /// `tasks.get_by_id`; none when there is no such task.
    async fn task(&self, task: &TaskId) -> Result<Option<TaskSnapshot>, ServerError>;
    /// One request for the state of all these tasks; deleted ones are missing from the answer.
    async fn task_states(&self, tasks: &[TaskId]) -> Result<Vec<TaskState>, ServerError>;
    /// `tasks.started`.
    async fn started(&self, task: &TaskId, note: &StatusNote) -> Result<(), ServerError>;
    /// `tasks.completed`.
    async fn completed(&self, task: &TaskId, note: &StatusNote) -> Result<(), ServerError>;
    /// `tasks.failed`.
    async fn failed(&self, task: &TaskId, note: &StatusNote) -> Result<(), ServerError>;
    /// `tasks.stopped`.
    async fn stopped(&self, task: &TaskId, note: &StatusNote) -> Result<(), ServerError>;
    /// `tasks.ping`.
    async fn ping(&self, task: &TaskId) -> Result<(), ServerError>;
    /// Adds `runtime._exec_agent_hostname` (read, change, write).
    async fn set_host(&self, task: &TaskId, host: &str) -> Result<(), ServerError>;
    /// Writes the commit that was checked out into `script.version_num`.
    async fn set_commit(&self, task: &TaskId, commit: &str) -> Result<(), ServerError>;
    /// Sends back what was installed; `original` is what the author wrote.
    async fn set_requirements(
        &self,
        task: &TaskId,
        frozen: &[String],
        original: Option<&str>,
    ) -> Result<(), ServerError>;

    /// `events.add_batch` of log events, in order. An `Unreachable` with `maybe_done` may have stored any of them.
    async fn send_log(&self, task: &TaskId, worker: &WorkerName, events: &[LogEvent]) -> Result<(), ServerError>;
    /// Stamps of this worker's log events of a task after `after` (exclusive).
    async fn log_stamps(
        &self,
        task: &TaskId,
        worker: &WorkerName,
        after: UnixMillis,
    ) -> Result<Vec<UnixMillis>, ServerError>;

    /// A login of its own for a payload.
    async fn payload_token(&self) -> Result<PayloadToken, ServerError>;
    /// `auth.logout` with that token.
    async fn revoke(&self, token: &PayloadToken) -> Result<(), ServerError>;

    /// Who the server is, for `status`: its URL, and version and API once known.
    fn identity(&self) -> ServerIdentity;
}

/// For `status`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerIdentity {
    /// `https://api.clear.ml`; empty when none is configured.
    pub api_url: String,
    /// The web UI.
    pub web_url: String,
    /// The file server.
    pub files_url: String,
    /// `2.0.0`, from the token.
    pub version: Option<String>,
    /// `2.31`, from the token.
    pub api_version: Option<String>,
}

/// `workers.status_report`.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerReport {
    /// Who.
    pub worker: WorkerName,
    /// Serving what.
    pub queues: Vec<QueueId>,
    /// Doing what, from which queue; none is idle.
    pub task: Option<(TaskId, QueueId)>,
    /// With what; none in reports that an event made.
    pub stats: Option<MachineStats>,
    /// Now.
    pub at: UnixMillis,
}

/// A process that could not be started, found or signalled.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The launcher itself failed.
    #[error("cannot {operation}: {reason}")]
    Failed {
        /// `start clearmld-shim`.
        operation: &'static str,
        /// Why.
        reason: String,
    },
    /// The shim came up, but said nothing in its `started.json` in time.
    #[error("the shim did not report within {seconds} s; see {log}")]
    Silent {
        /// How long.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
}

/// Where shims are started: as units of systemd, or directly.
#[async_trait]
pub trait Launcher: Send + Sync + fmt::Debug {
    /// `systemd` or `direct`, and what this host cannot give, for `status`.
    fn describe(&self) -> LauncherDescription;
    /// Starts a shim for a complete run directory, or finds the one that was started before.
    async fn launch(&self, run: &RunId, directory: &std::path::Path) -> Result<Started, LaunchError>;
    /// Makes the cgroup that `spec.json` names; none where this host or launcher has no cgroup to give.
    async fn cgroup(&self, run: &RunId) -> Option<PathBuf>;
    /// Whether this very process lives.
    fn alive(&self, shim: &ProcessIdentity) -> bool;
    /// Returns when this very process is gone; at once if it is.
    async fn wait(&self, shim: &ProcessIdentity);
    /// Makes the shim look at `stop.json`. It being gone is no error.
    fn nudge(&self, shim: &ProcessIdentity) -> Result<(), LaunchError>;
    /// Ends whatever is left of a Run whose shim is gone, and removes its unit or cgroup.
    async fn sweep(&self, run: &RunId) -> Result<(), LaunchError>;
}

/// For `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LauncherDescription {
    /// `systemd` or `direct`.
    pub name: &'static str,
    /// What is missing here, in words, each with what it means.
    pub missing: Vec<String>,
}

/// Figures of the host.
pub trait Machine: Send + fmt::Debug {
    /// Since the last call.
    fn sample(&mut self) -> MachineStats;
}

/// The only source of time and chance for the engine; tests have one of their own.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock.
    fn now(&self) -> UnixMillis;
    /// A new id for a Run.
    fn mint_run(&self) -> RunId;
}

/// What a person wants of the server through `clearmlctl queue|task|submit`; thin calls, no state of ours.
#[async_trait]
pub trait Desk: Send + Sync + fmt::Debug {
    /// All queues with their entries (ids, first is next).
    async fn queues(&self) -> Result<Vec<DeskQueue>, ServerError>;
    /// `queues.create`.
    async fn create_queue(&self, name: &str) -> Result<DeskQueue, ServerError>;
    /// `queues.move_task_*`; the position that it then has (0 is next).
    async fn move_task(&self, queue: &str, task: &TaskId, to: QueueMove) -> Result<u64, ServerError>;
    /// `tasks.get_all`, newest first.
    async fn tasks(&self, filter: &TaskFilter) -> Result<Vec<DeskTask>, ServerError>;
    /// One task, with all that `task show` prints.
    async fn task(&self, task: &TaskId) -> Result<Option<DeskTaskDetail>, ServerError>;
    /// `tasks.clone`; the clone's id.
    async fn clone_task(&self, task: &TaskId, name: Option<&str>) -> Result<TaskId, ServerError>;
    /// `tasks.reset`.
    async fn reset(&self, task: &TaskId, force: bool) -> Result<(), ServerError>;
    /// `tasks.enqueue` into a queue by name or id.
    async fn enqueue(&self, task: &TaskId, queue: &str) -> Result<(), ServerError>;
    /// `tasks.stop`.
    async fn abort(&self, task: &TaskId, force: bool) -> Result<(), ServerError>;
    /// `tasks.create` and, with a queue, `tasks.enqueue`; the task's id.
    async fn submit(&self, submission: &Submission) -> Result<TaskId, ServerError>;
    /// Console log after a stamp (exclusive), oldest first; at most `limit` events.
    async fn log(&self, task: &TaskId, after: Option<UnixMillis>, limit: u32)
    -> Result<Vec<DeskLogEvent>, ServerError>;
}

/// A queue, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the server's own words")]
pub struct DeskQueue {
    pub id: QueueId,
    pub name: String,
    pub tags: Vec<String>,
    pub entries: Vec<TaskId>,
}

/// Where a queued task is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the server's own words")]
pub enum QueueMove {
    Front,
    Back,
    Forward { count: u32 },
    Backward { count: u32 },
}

/// Which tasks to list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskFilter {
    /// In any of these (the server's words); empty for all.
    pub statuses: Vec<String>,
    /// A part of the name (a regular expression at the server).
    pub name: Option<String>,
    /// At most so many (1 to 500).
    pub limit: u32,
}

/// A task in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the server's own words")]
pub struct DeskTask {
    pub id: TaskId,
    pub name: String,
    pub kind: String,
    pub status: String,
    pub status_reason: String,
    pub status_message: String,
    pub last_worker: Option<String>,
    pub last_update: Option<String>,
}

/// A task, whole.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the server's own words")]
pub struct DeskTaskDetail {
    pub task: DeskTask,
    pub project: Option<String>,
    pub created: Option<String>,
    pub started: Option<String>,
    pub completed: Option<String>,
    pub active_duration_s: Option<u64>,
    pub repository: Option<String>,
    pub commit: Option<String>,
    pub entry_point: Option<String>,
    pub requirements: Option<String>,
    /// Section, name, value.
    pub hyperparameters: Vec<(String, String, String)>,
    /// Metric, variant, last value.
    pub last_scalars: Vec<(String, String, f64)>,
    /// Key, type, URI.
    pub artifacts: Vec<(String, String, String)>,
    /// Where a person can look at it.
    pub web_url: Option<String>,
}

/// What `clearmlctl submit` makes a task of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the server's own words")]
pub struct Submission {
    pub name: String,
    pub project: Option<String>,
    pub kind: String,
    pub binary: String,
    pub repository: Option<String>,
    pub branch: Option<String>,
    pub commit: Option<String>,
    pub working_dir: String,
    pub entry_point: String,
    /// A literal script, or a diff against the commit.
    pub diff: Option<String>,
    /// pip requirement lines; none leaves them to the repository's requirements.txt.
    pub requirements: Option<String>,
    /// Section `Args`: name, value.
    pub arguments: Vec<(String, String)>,
    /// By name or id; none leaves the task a draft.
    pub queue: Option<String>,
}

/// A log event, as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the server's own words")]
pub struct DeskLogEvent {
    pub stamp: UnixMillis,
    pub level: String,
    pub worker: String,
    pub text: String,
}

/// What cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}: {source}")]
pub struct StoreError {
    /// `write`.
    pub operation: &'static str,
    /// What.
    pub path: PathBuf,
    /// Why.
    pub source: std::io::Error,
}

/// What the ledger held when the daemon came up.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The Workers.
    pub workers: Vec<Worker>,
    /// The Runs.
    pub runs: Vec<RunRecord>,
    /// Whether the host was draining.
    pub draining: bool,
    /// Files that could not be understood and were set aside, each a sentence.
    pub set_aside: Vec<String>,
}

/// The state directory: the ledger, and the files of each Run.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Where it is.
    fn root(&self) -> &Path;
    /// Where a Run's files are.
    fn run_directory(&self, run: &RunId) -> PathBuf;

    /// Reads everything, sets aside what is damaged.
    async fn load(&self) -> Result<Loaded, StoreError>;
    /// Writes a Worker.
    async fn put_worker(&self, worker: &Worker) -> Result<(), StoreError>;
    /// Forgets a Worker.
    async fn drop_worker(&self, worker: &WorkerName) -> Result<(), StoreError>;
    /// Writes a Run's record.
    async fn put_run(&self, run: &RunRecord) -> Result<(), StoreError>;
    /// Forgets a Run, with all its files.
    async fn drop_run(&self, run: &RunId) -> Result<(), StoreError>;
    /// Whether the host is draining.
    async fn put_draining(&self, draining: bool) -> Result<(), StoreError>;

    /// Makes the run directory complete: spec, secrets, work directories of the payload's user.
    async fn prepare(&self, spec: &RunSpec, secrets: &Secrets, token: &PayloadToken) -> Result<(), StoreError>;
    /// The spec that was prepared.
    async fn spec(&self, run: &RunId) -> Option<RunSpec>;
    /// Appends a line of ours to the spool; only before the shim starts and after it has gone.
    async fn note(&self, run: &RunId, line: &str) -> Result<(), StoreError>;
    /// `progress.json`, if it is there and makes sense.
    async fn progress(&self, run: &RunId) -> Option<Progress>;
    /// `exit.json`; an error when it is there and makes no sense.
    async fn exit(&self, run: &RunId) -> Result<Option<ExitRecord>, StoreError>;
    /// Writes `stop.json`.
    async fn put_stop(&self, run: &RunId, stop: &StopRequest) -> Result<(), StoreError>;
    /// Reads the spool: bytes from `offset`, at most `most`.
    async fn read_spool(&self, run: &RunId, offset: u64, most: usize) -> Result<Vec<u8>, StoreError>;
    /// Gives the disk back what the spool holds before `offset`.
    async fn trim_spool(&self, run: &RunId, offset: u64) -> Result<(), StoreError>;
    /// How far the output is delivered.
    async fn delivery(&self, run: &RunId) -> Delivery;
    /// Writes it.
    async fn put_delivery(&self, run: &RunId, delivery: &Delivery) -> Result<(), StoreError>;
    /// The token that the payload was given, until it is cleared.
    async fn token(&self, run: &RunId) -> Option<PayloadToken>;
    /// Removes the payload's files and the token of a Run that has ended; record and spool stay.
    async fn clear(&self, run: &RunId) -> Result<(), StoreError>;
}

/// Why a Run's spec cannot be made: the task's fault, or the host's.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct OutfitError {
    /// What, why, and what to do.
    pub reason: String,
}

/// What a Run is given: user, caches, tools, environment.
#[async_trait]
pub trait Outfitter: Send + Sync + fmt::Debug {
    /// Whether tasks may run as this user (none: the default one), before a Worker is declared with it.
    fn check_user(&self, user: Option<&str>) -> Result<(), OutfitError>;
    /// Whether this host has GPUs at all, for a Worker that names none.
    fn has_gpus(&self) -> bool;
    /// The whole spec of a Run.
    async fn outfit(
        &self,
        record: &RunRecord,
        user: Option<&str>,
        task: &TaskSnapshot,
        token: &PayloadToken,
        cgroup: Option<PathBuf>,
    ) -> Result<(RunSpec, Secrets), OutfitError>;
}
