//! The ClearML server, as the engine needs it.

use std::fmt;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::domain::ids::{QueueId, TaskId, UnixMillis, WorkerName};
use crate::domain::machine::MachineStats;
use crate::domain::schedule::Force;
use crate::domain::task::{QueueView, TaskSnapshot, TaskState};
use crate::domain::worker::QueueRef;

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
        "no ClearML server is configured: run `clearmlctl init` as root, or set api.api_server and api.credentials in clearml.conf"
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
    /// `tasks.enqueue`, which the server allows from created, stopped and failed. One that is in that queue already is no
    /// error.
    async fn enqueue(&self, queue: &QueueId, task: &TaskId, note: &StatusNote) -> Result<(), ServerError>;
    /// `queues.move_task_to_front`. One that is in the queue no more is no error.
    async fn to_front(&self, queue: &QueueId, task: &TaskId) -> Result<(), ServerError>;
    /// Looks for a task of an unresolved intent.
    async fn whereabouts(&self, task: &TaskId, queue: &QueueId) -> Result<Whereabouts, ServerError>;

    /// `workers.register`.
    async fn register(&self, worker: &WorkerName, queues: &[QueueId]) -> Result<(), ServerError>;
    /// `workers.unregister`.
    async fn unregister(&self, worker: &WorkerName) -> Result<(), ServerError>;
    /// `workers.get_runtime_properties`: the property `force`, where the server has such properties.
    async fn forced(&self, worker: &WorkerName) -> Result<Forced, ServerError>;
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

/// A Worker's runtime property `force`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forced {
    /// The server has no such properties, as the open one.
    Unsupported,
    /// What is set; none when nothing is.
    Is(Option<Force>),
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
