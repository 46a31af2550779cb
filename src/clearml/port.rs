//! The engine's door: each method names its call.

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::Client;
use super::failure::Failure;
use super::http::Request;
use super::tasks::TASKS;
use crate::domain::ids::{QueueId, TaskId, UnixMillis, WorkerName};
use crate::domain::task::{QueueView, TaskSnapshot, TaskState};
use crate::domain::worker::QueueRef;
use crate::engine::ports::{
    ClearMl, Forced, LogEvent, PayloadToken, ServerError, ServerIdentity, StatusNote, Whereabouts, WorkerReport,
};

impl Client {
    pub(super) async fn call(
        &self,
        name: &'static str,
        version: &'static str,
        parameters: &Value,
    ) -> Result<Value, Failure> {
        self.session.call(&Request::json(name, version, parameters)).await
    }

    async fn log_out(&self, token: &SecretString) -> Result<(), Failure> {
        match self.session.call_as(&Request::json("auth.logout", "", &json!({})), token).await {
            // It is dead already.
            Ok(_) | Err(Failure::Unauthorized { .. }) => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}

fn of(call: &'static str) -> impl FnOnce(Failure) -> ServerError {
    move |failure| failure.of(call)
}

#[async_trait]
impl ClearMl for Client {
    async fn resolve_queue(&self, name_or_id: &str) -> Result<Option<QueueRef>, ServerError> {
        self.find_queue(name_or_id).await.map_err(of("queues.get_all"))
    }

    async fn create_queue(&self, name: &str) -> Result<QueueRef, ServerError> {
        self.make_queue(name).await.map_err(of("queues.create"))
    }

    async fn queue_heads(&self, queues: &[QueueId]) -> Result<Vec<QueueView>, ServerError> {
        self.heads(queues).await.map_err(of("queues.get_all"))
    }

    async fn pop(&self, queue: &QueueId, head: &TaskId) -> Result<Option<TaskId>, ServerError> {
        self.take(queue, head).await.map_err(of("queues.get_next_task"))
    }

    async fn put_back(&self, queue: &QueueId, task: &TaskId, reason: &str) -> Result<(), ServerError> {
        self.return_to_queue(queue, task, reason).await.map_err(of("queues.add_task"))
    }

    async fn enqueue(&self, queue: &QueueId, task: &TaskId, note: &StatusNote) -> Result<(), ServerError> {
        self.queue_again(queue, task, note).await.map_err(of("tasks.enqueue"))
    }

    async fn to_front(&self, queue: &QueueId, task: &TaskId) -> Result<(), ServerError> {
        self.lift(queue, task).await.map_err(of("queues.move_task_to_front"))
    }

    async fn whereabouts(&self, task: &TaskId, queue: &QueueId) -> Result<Whereabouts, ServerError> {
        self.locate(task, queue).await.map_err(of("queues.get_all"))
    }

    async fn register(&self, worker: &WorkerName, queues: &[QueueId]) -> Result<(), ServerError> {
        self.announce(worker, queues).await.map_err(of("workers.register"))
    }

    async fn unregister(&self, worker: &WorkerName) -> Result<(), ServerError> {
        self.withdraw(worker).await.map_err(of("workers.unregister"))
    }

    async fn forced(&self, worker: &WorkerName) -> Result<Forced, ServerError> {
        self.force_of(worker).await.map_err(of("workers.get_runtime_properties"))
    }

    async fn report(&self, report: &WorkerReport) -> Result<(), ServerError> {
        self.send_report(report).await.map_err(of("workers.status_report"))
    }

    async fn task(&self, task: &TaskId) -> Result<Option<TaskSnapshot>, ServerError> {
        self.snapshot(task).await.map_err(of("tasks.get_by_id"))
    }

    async fn task_states(&self, tasks: &[TaskId]) -> Result<Vec<TaskState>, ServerError> {
        self.states(tasks).await.map_err(of("tasks.get_all"))
    }

    async fn started(&self, task: &TaskId, note: &StatusNote) -> Result<(), ServerError> {
        self.tell("tasks.started", task, note).await.map_err(of("tasks.started"))
    }

    async fn completed(&self, task: &TaskId, note: &StatusNote) -> Result<(), ServerError> {
        self.tell("tasks.completed", task, note).await.map_err(of("tasks.completed"))
    }

    async fn failed(&self, task: &TaskId, note: &StatusNote) -> Result<(), ServerError> {
        self.tell("tasks.failed", task, note).await.map_err(of("tasks.failed"))
    }

    async fn stopped(&self, task: &TaskId, note: &StatusNote) -> Result<(), ServerError> {
        self.tell("tasks.stopped", task, note).await.map_err(of("tasks.stopped"))
    }

    async fn ping(&self, task: &TaskId) -> Result<(), ServerError> {
        self.call("tasks.ping", TASKS, &json!({ "task": task })).await.map(drop).map_err(of("tasks.ping"))
    }

    async fn set_host(&self, task: &TaskId, host: &str) -> Result<(), ServerError> {
        self.write_host(task, host).await.map_err(of("tasks.edit"))
    }

    async fn set_commit(&self, task: &TaskId, commit: &str) -> Result<(), ServerError> {
        self.write_commit(task, commit).await.map_err(of("tasks.edit"))
    }

    async fn set_requirements(
        &self,
        task: &TaskId,
        frozen: &[String],
        original: Option<&str>,
    ) -> Result<(), ServerError> {
        self.write_requirements(task, frozen, original).await.map_err(of("tasks.set_requirements"))
    }

    async fn send_log(&self, task: &TaskId, worker: &WorkerName, events: &[LogEvent]) -> Result<(), ServerError> {
        self.send_events(task, worker, events).await.map_err(of("events.add_batch"))
    }

    async fn log_stamps(
        &self,
        task: &TaskId,
        worker: &WorkerName,
        after: UnixMillis,
    ) -> Result<Vec<UnixMillis>, ServerError> {
        self.stamps(task, worker, after).await.map_err(of("events.get_task_log"))
    }

    async fn payload_token(&self) -> Result<PayloadToken, ServerError> {
        let token = self.session.separate_login().await.map_err(of("auth.login"))?;
        Ok(PayloadToken { token: token.secret })
    }

    async fn revoke(&self, token: &PayloadToken) -> Result<(), ServerError> {
        self.log_out(&token.token).await.map_err(of("auth.logout"))
    }

    fn identity(&self) -> ServerIdentity {
        let token = self.session.token_now();
        ServerIdentity {
            version: token.as_ref().and_then(|token| token.server_version.clone()),
            api_version: token.as_ref().and_then(|token| token.api_version.clone()),
            ..self.identity.clone()
        }
    }
}
