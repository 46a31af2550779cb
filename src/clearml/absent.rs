//! No server: what the daemon has until one is configured. Every call says so, and what to do.

use async_trait::async_trait;

use crate::domain::ids::{QueueId, TaskId, UnixMillis, WorkerName};
use crate::domain::task::{QueueView, TaskSnapshot, TaskState};
use crate::domain::worker::QueueRef;
use crate::engine::ports::{
    ClearMl, Desk, DeskLogEvent, DeskQueue, DeskTask, DeskTaskDetail, Forced, LogEvent, PayloadToken, QueueMove,
    ServerError, ServerIdentity, StatusNote, Submission, TaskFilter, Whereabouts, WorkerReport,
};

/// See the room's first line.
#[derive(Debug, Clone, Copy)]
pub struct Absent;

#[async_trait]
impl ClearMl for Absent {
    async fn resolve_queue(&self, _name_or_id: &str) -> Result<Option<QueueRef>, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn create_queue(&self, _name: &str) -> Result<QueueRef, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn queue_heads(&self, _queues: &[QueueId]) -> Result<Vec<QueueView>, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn pop(&self, _queue: &QueueId, _head: &TaskId) -> Result<Option<TaskId>, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn put_back(&self, _queue: &QueueId, _task: &TaskId, _reason: &str) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn enqueue(&self, _queue: &QueueId, _task: &TaskId, _note: &StatusNote) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn to_front(&self, _queue: &QueueId, _task: &TaskId) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn whereabouts(&self, _task: &TaskId, _queue: &QueueId) -> Result<Whereabouts, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn register(&self, _worker: &WorkerName, _queues: &[QueueId]) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn unregister(&self, _worker: &WorkerName) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn forced(&self, _worker: &WorkerName) -> Result<Forced, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn report(&self, _report: &WorkerReport) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn task(&self, _task: &TaskId) -> Result<Option<TaskSnapshot>, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn task_states(&self, _tasks: &[TaskId]) -> Result<Vec<TaskState>, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn started(&self, _task: &TaskId, _note: &StatusNote) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn completed(&self, _task: &TaskId, _note: &StatusNote) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn failed(&self, _task: &TaskId, _note: &StatusNote) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn stopped(&self, _task: &TaskId, _note: &StatusNote) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn ping(&self, _task: &TaskId) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn set_host(&self, _task: &TaskId, _host: &str) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn set_commit(&self, _task: &TaskId, _commit: &str) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn set_requirements(
        &self,
        _task: &TaskId,
        _frozen: &[String],
        _original: Option<&str>,
    ) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn send_log(&self, _task: &TaskId, _worker: &WorkerName, _events: &[LogEvent]) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn log_stamps(
        &self,
        _task: &TaskId,
        _worker: &WorkerName,
        _after: UnixMillis,
    ) -> Result<Vec<UnixMillis>, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn payload_token(&self) -> Result<PayloadToken, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn revoke(&self, _token: &PayloadToken) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    fn identity(&self) -> ServerIdentity {
        ServerIdentity::default()
    }
}

#[async_trait]
impl Desk for Absent {
    async fn queues(&self) -> Result<Vec<DeskQueue>, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn create_queue(&self, _name: &str) -> Result<DeskQueue, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn move_task(&self, _queue: &str, _task: &TaskId, _to: QueueMove) -> Result<u64, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn tasks(&self, _filter: &TaskFilter) -> Result<Vec<DeskTask>, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn task(&self, _task: &TaskId) -> Result<Option<DeskTaskDetail>, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn clone_task(&self, _task: &TaskId, _name: Option<&str>) -> Result<TaskId, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn reset(&self, _task: &TaskId, _force: bool) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn enqueue(&self, _task: &TaskId, _queue: &str) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn abort(&self, _task: &TaskId, _force: bool) -> Result<(), ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn submit(&self, _submission: &Submission) -> Result<TaskId, ServerError> {
        Err(ServerError::NotConfigured)
    }
    async fn log(
        &self,
        _task: &TaskId,
        _after: Option<UnixMillis>,
        _limit: u32,
    ) -> Result<Vec<DeskLogEvent>, ServerError> {
        Err(ServerError::NotConfigured)
    }
}
