use std::sync::Arc;

use async_trait::async_trait;

use super::mortal;
use crate::domain::ids::{QueueId, TaskId, UnixMillis, WorkerName};
use crate::domain::task::{QueueView, TaskSnapshot, TaskState};
use crate::domain::worker::QueueRef;
use crate::engine::ports::{
    ClearMl, Forced, LogEvent, PayloadToken, ServerError, ServerIdentity, StatusNote, Whereabouts, WorkerReport,
};

type Result<T> = std::result::Result<T, ServerError>;

/// The server.
#[derive(Debug)]
pub(super) struct Mortal(pub(super) Arc<dyn ClearMl>);

#[async_trait]
impl ClearMl for Mortal {
    async fn resolve_queue(&self, name_or_id: &str) -> Result<Option<QueueRef>> {
        mortal("resolve_queue", self.0.resolve_queue(name_or_id)).await
    }
    async fn create_queue(&self, name: &str) -> Result<QueueRef> {
        mortal("create_queue", self.0.create_queue(name)).await
    }
    async fn queue_heads(&self, queues: &[QueueId]) -> Result<Vec<QueueView>> {
        mortal("queue_heads", self.0.queue_heads(queues)).await
    }
    async fn pop(&self, queue: &QueueId, head: &TaskId) -> Result<Option<TaskId>> {
        mortal("pop", self.0.pop(queue, head)).await
    }
    async fn put_back(&self, queue: &QueueId, task: &TaskId, reason: &str) -> Result<()> {
        mortal("put_back", self.0.put_back(queue, task, reason)).await
    }
    async fn enqueue(&self, queue: &QueueId, task: &TaskId, note: &StatusNote) -> Result<()> {
        mortal("enqueue", self.0.enqueue(queue, task, note)).await
    }
    async fn to_front(&self, queue: &QueueId, task: &TaskId) -> Result<()> {
        mortal("to_front", self.0.to_front(queue, task)).await
    }
    async fn whereabouts(&self, task: &TaskId, queue: &QueueId) -> Result<Whereabouts> {
        mortal("whereabouts", self.0.whereabouts(task, queue)).await
    }
    async fn register(&self, worker: &WorkerName, queues: &[QueueId]) -> Result<()> {
        mortal("register", self.0.register(worker, queues)).await
    }
    async fn unregister(&self, worker: &WorkerName) -> Result<()> {
        mortal("unregister", self.0.unregister(worker)).await
    }
    async fn forced(&self, worker: &WorkerName) -> Result<Forced> {
        mortal("forced", self.0.forced(worker)).await
    }
    async fn report(&self, report: &WorkerReport) -> Result<()> {
        mortal("report", self.0.report(report)).await
    }
    async fn task(&self, task: &TaskId) -> Result<Option<TaskSnapshot>> {
        mortal("task", self.0.task(task)).await
    }
    async fn task_states(&self, tasks: &[TaskId]) -> Result<Vec<TaskState>> {
        mortal("task_states", self.0.task_states(tasks)).await
    }
    async fn started(&self, task: &TaskId, note: &StatusNote) -> Result<()> {
        mortal("started", self.0.started(task, note)).await
    }
    async fn completed(&self, task: &TaskId, note: &StatusNote) -> Result<()> {
        mortal("completed", self.0.completed(task, note)).await
    }
    async fn failed(&self, task: &TaskId, note: &StatusNote) -> Result<()> {
        mortal("failed", self.0.failed(task, note)).await
    }
    async fn stopped(&self, task: &TaskId, note: &StatusNote) -> Result<()> {
        mortal("stopped", self.0.stopped(task, note)).await
    }
    async fn ping(&self, task: &TaskId) -> Result<()> {
        mortal("ping", self.0.ping(task)).await
    }
    async fn set_host(&self, task: &TaskId, host: &str) -> Result<()> {
        mortal("set_host", self.0.set_host(task, host)).await
    }
    async fn set_commit(&self, task: &TaskId, commit: &str) -> Result<()> {
        mortal("set_commit", self.0.set_commit(task, commit)).await
    }
    async fn set_requirements(&self, task: &TaskId, frozen: &[String], original: Option<&str>) -> Result<()> {
        mortal("set_requirements", self.0.set_requirements(task, frozen, original)).await
    }
    async fn send_log(&self, task: &TaskId, worker: &WorkerName, events: &[LogEvent]) -> Result<()> {
        mortal("send_log", self.0.send_log(task, worker, events)).await
    }
    async fn log_stamps(&self, task: &TaskId, worker: &WorkerName, after: UnixMillis) -> Result<Vec<UnixMillis>> {
        mortal("log_stamps", self.0.log_stamps(task, worker, after)).await
    }
    async fn payload_token(&self) -> Result<PayloadToken> {
        mortal("payload_token", self.0.payload_token()).await
    }
    async fn revoke(&self, token: &PayloadToken) -> Result<()> {
        mortal("revoke", self.0.revoke(token)).await
    }
    fn identity(&self) -> ServerIdentity {
        self.0.identity()
    }
}
