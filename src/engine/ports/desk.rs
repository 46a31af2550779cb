//! The ClearML server, as people need it through `clearmlctl`.

use std::fmt;

use async_trait::async_trait;

use super::server::ServerError;
use crate::domain::ids::{QueueId, TaskId, UnixMillis};

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
