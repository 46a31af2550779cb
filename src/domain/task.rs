//! What we read of a Task at the server: a snapshot of its spec, and now and then its state.

use std::collections::BTreeMap;

use super::ids::{QueueId, TaskId};

/// A Task's status, as the server names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the server's own words")]
pub enum TaskStatus {
    Created,
    Queued,
    InProgress,
    Stopped,
    Publishing,
    Published,
    Closed,
    Failed,
    Completed,
    Unknown,
}

impl TaskStatus {
    /// The server's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Stopped => "stopped",
            Self::Publishing => "publishing",
            Self::Published => "published",
            Self::Closed => "closed",
            Self::Failed => "failed",
            Self::Completed => "completed",
            Self::Unknown => "unknown",
        }
    }

    /// From the server's word; a word of a newer server is [`TaskStatus::Unknown`].
    #[must_use]
    pub fn parse(word: &str) -> Self {
        match word {
            "created" => Self::Created,
            "queued" => Self::Queued,
            "in_progress" => Self::InProgress,
            "stopped" => Self::Stopped,
            "publishing" => Self::Publishing,
            "published" => Self::Published,
            "closed" => Self::Closed,
            "failed" => Self::Failed,
            "completed" => Self::Completed,
            _ => Self::Unknown,
        }
    }
}

/// The spec of a Task, as `tasks.get_by_id` gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSnapshot {
    /// Its id.
    pub id: TaskId,
    /// Its name.
    pub name: String,
    /// Its status at that moment.
    pub status: TaskStatus,
    /// The worker that last had it.
    pub last_worker: Option<String>,
    /// The code.
    pub script: TaskScript,
    /// Hyperparameters of section `Environment` (only used with `agent.enable_task_env`).
    pub environment: BTreeMap<String, String>,
    /// User properties (hyperparameters of section `properties`).
    pub properties: BTreeMap<String, String>,
    /// The wanted container image, which process mode cannot serve.
    pub container_image: Option<String>,
}

/// `task.script`, trimmed; empty strings are none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the server's own words")]
pub struct TaskScript {
    pub binary: Option<String>,
    pub repository: Option<String>,
    pub tag: Option<String>,
    pub branch: Option<String>,
    pub version_num: Option<String>,
    pub entry_point: Option<String>,
    pub working_dir: Option<String>,
    /// `requirements.pip`, a list joined by newlines; none when the task has no such section.
    pub pip_requirements: Option<String>,
    /// `requirements.org_pip`: what the author wrote, before a worker sent back what was installed.
    pub original_pip_requirements: Option<String>,
    pub diff: Option<String>,
}

/// The state of a Task that we run, as the watcher polls it for all at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskState {
    /// Which.
    pub id: TaskId,
    /// Its status.
    pub status: TaskStatus,
    /// `stopping` when somebody wants it to end.
    pub status_message: String,
    /// The worker that the server believes has it.
    pub last_worker: Option<String>,
    /// The SDK's abort callback, if the program registered one.
    pub abort_callback: Option<AbortCallback>,
}

/// `runtime._abort_callback_timeout`, `_abort_poll_freq`, `_abort_callback_completed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortCallback {
    /// How long the program asks for, in seconds; positive.
    pub timeout_s: u64,
    /// How often it looks whether it is to stop, in seconds.
    pub poll_s: u64,
    /// It is done.
    pub completed: bool,
}

/// A Queue, as the one poll for all queues sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueView {
    /// Its id.
    pub id: QueueId,
    /// Its name.
    pub name: String,
    /// Tags of the user.
    pub tags: Vec<String>,
    /// Its first entry.
    pub head: Option<TaskId>,
}
