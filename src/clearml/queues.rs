//! Queues: finding them, seeing their heads, taking from them.

use serde_json::{Value, json};

use super::Client;
use super::failure::Failure;
use super::http::Request;
use super::shape::{self, required_list};
use super::tasks::TASKS;
use crate::domain::ids::{QueueId, TaskId};
use crate::domain::task::{QueueView, TaskStatus};
use crate::domain::worker::QueueRef;
use crate::engine::ports::{StatusNote, Whereabouts};

/// The oldest API that we work with; a newer server answers a call of this version as it always did.
pub(super) const V: &str = "/v2.13";

/// The server gives no more than this in one answer.
pub(super) const PAGE: usize = 500;

const UNKNOWN_QUEUE_ENTRY: (u16, u32) = (400, 703);
const ALREADY_QUEUED: (u16, u32) = (400, 706);
const NAME_TAKEN: (u16, u32) = (400, 801);

fn is(failure: &Failure, (wanted, detail): (u16, u32)) -> bool {
    matches!(failure, Failure::Rejected { code, subcode, .. } if *code == wanted && *subcode == detail)
}

impl Client {
    pub(super) async fn find_queue(&self, name_or_id: &str) -> Result<Option<QueueRef>, Failure> {
        // The server takes a regular expression; what it means by "any case" is checked here again.
        let pattern = format!("(?i)^{}$", regex::escape(name_or_id));
        let parameters = json!({ "name": pattern, "only_fields": ["id", "name"], "search_hidden": true });
        let found = self.queue_refs(&parameters).await?;
        let exact = found.iter().find(|queue| queue.name == name_or_id);
        let folded = || found.iter().find(|queue| queue.name.to_lowercase() == name_or_id.to_lowercase());
        if let Some(queue) = exact.or_else(folded) {
            return Ok(Some(queue.clone()));
        }
        let Ok(id) = QueueId::new(name_or_id) else { return Ok(None) };
        let parameters = json!({ "id": [id], "only_fields": ["id", "name"], "search_hidden": true });
        Ok(self.queue_refs(&parameters).await?.into_iter().find(|queue| queue.id == id))
    }

    async fn queue_refs(&self, parameters: &Value) -> Result<Vec<QueueRef>, Failure> {
        let answer = self.call("queues.get_all", V, parameters).await?;
        let read = |queue: &Value| Ok(QueueRef { id: shape::id(queue, "id")?, name: shape::text(queue, "name") });
        required_list(&answer, "queues")?.iter().map(read).collect()
    }

    pub(super) async fn make_queue(&self, name: &str) -> Result<QueueRef, Failure> {
        let request = Request::json("queues.create", V, &json!({ "name": name }));
        match self.session.call(&request).await {
            Ok(answer) => Ok(QueueRef { id: shape::id(&answer, "id")?, name: name.to_owned() }),
            // Also what a repeated request gets whose first answer was lost.
            Err(taken) if is(&taken, NAME_TAKEN) => self.find_queue(name).await?.ok_or(taken),
            Err(other) => Err(other),
        }
    }

    pub(super) async fn heads(&self, queues: &[QueueId]) -> Result<Vec<QueueView>, Failure> {
        let mut views = Vec::with_capacity(queues.len());
        // No ids would mean all queues.
        for queues in queues.chunks(PAGE) {
            let answer = self
                .call(
                    "queues.get_all",
                    V,
                    &json!({
                        "id": queues,
                        "max_task_entries": 1,
                        "only_fields": ["id", "name", "tags", "entries"],
                        "search_hidden": true,
                        "page": 0,
                        "page_size": PAGE,
                    }),
                )
                .await?;
            for queue in required_list(&answer, "queues")? {
                let view = view(queue)?;
                if queues.contains(&view.id) {
                    views.push(view);
                }
            }
        }
        Ok(views)
    }

    pub(super) async fn take(&self, queue: &QueueId, head: &TaskId) -> Result<Option<TaskId>, Failure> {
        // A server before 2.21 does not know `task`, and pops whatever is first; the caller looks at what came.
        let parameters = json!({ "queue": queue, "task": head });
        let answer = self.session.call(&Request::json("queues.get_next_task", V, &parameters).once()).await?;
        match answer.get("entry") {
            None | Some(Value::Null) => Ok(None),
            Some(entry) => shape::id(entry, "task").map(Some),
        }
    }

    /// A popped task still has status `queued`. Enqueueing it again would be refused (no transition from `queued` to
    /// `queued`) or make the server forget its status before, so only the entry is put back. One that was stopped or
    /// reset meanwhile is left alone: its owner has decided. Whether a running one may be queued, the server says.
    pub(super) async fn return_to_queue(&self, queue: &QueueId, task: &TaskId, reason: &str) -> Result<(), Failure> {
        let state = self.states(std::slice::from_ref(task)).await?.into_iter().next();
        let added = match state.map(|state| state.status) {
            Some(TaskStatus::Queued) => self.call("queues.add_task", V, &json!({ "queue": queue, "task": task })).await,
            Some(TaskStatus::InProgress | TaskStatus::Unknown) => {
                let note = json!({ "queue": queue, "task": task, "status_reason": reason, "status_message": "" });
                self.call("tasks.enqueue", TASKS, &note).await
            }
            None
            | Some(
                TaskStatus::Created
                | TaskStatus::Stopped
                | TaskStatus::Failed
                | TaskStatus::Closed
                | TaskStatus::Completed
                | TaskStatus::Publishing
                | TaskStatus::Published,
            ) => return Ok(()),
        };
        match added {
            Err(failure) if !is(&failure, ALREADY_QUEUED) => return Err(failure),
            _ => {}
        }
        self.lift(queue, task).await
    }

    pub(super) async fn queue_again(&self, queue: &QueueId, task: &TaskId, note: &StatusNote) -> Result<(), Failure> {
        let StatusNote { reason, message, force: _ } = note;
        let parameters = json!({ "queue": queue, "task": task, "status_reason": reason, "status_message": message });
        // Not repeated here: by then another host may run it.
        match self.session.call(&Request::json("tasks.enqueue", TASKS, &parameters).once()).await {
            Err(failure) if !is(&failure, ALREADY_QUEUED) => Err(failure),
            _ => Ok(()),
        }
    }

    pub(super) async fn lift(&self, queue: &QueueId, task: &TaskId) -> Result<(), Failure> {
        match self.call("queues.move_task_to_front", V, &json!({ "queue": queue, "task": task })).await {
            Ok(_) => Ok(()),
            // Somebody took it in between.
            Err(failure) if is(&failure, UNKNOWN_QUEUE_ENTRY) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn locate(&self, task: &TaskId, queue: &QueueId) -> Result<Whereabouts, Failure> {
        let state = self.states(std::slice::from_ref(task)).await?.into_iter().next();
        // The queue that it was popped from first: nearly always the answer, and one short request.
        let here = json!({ "id": [queue], "only_fields": ["id", "entries"], "search_hidden": true });
        let mut queued_in = self.queue_with(task, &here).await?.1;
        let mut page = 0;
        while queued_in.is_none() {
            let all = json!({
                "only_fields": ["id", "entries"], "search_hidden": true, "page": page, "page_size": PAGE,
                "order_by": ["created"],
            });
            let (seen, found) = self.queue_with(task, &all).await?;
            queued_in = found;
            page += 1;
            if seen < PAGE {
                break;
            }
        }
        Ok(Whereabouts { state, queued_in })
    }

    async fn queue_with(&self, task: &TaskId, parameters: &Value) -> Result<(usize, Option<QueueId>), Failure> {
        let answer = self.call("queues.get_all", V, parameters).await?;
        let queues = required_list(&answer, "queues")?;
        let has = |queue: &&Value| {
            let entries = shape::list(queue, "entries");
            entries.iter().any(|entry| entry.get("task").and_then(Value::as_str) == Some(task.as_str()))
        };
        let found = queues.iter().find(has).map(|queue| shape::id(queue, "id")).transpose()?;
        Ok((queues.len(), found))
    }
}

fn view(queue: &Value) -> Result<QueueView, Failure> {
    // A server that cannot slice sends all entries.
    let head = shape::list(queue, "entries").first().map(|entry| shape::id(entry, "task")).transpose()?;
    Ok(QueueView {
        id: shape::id(queue, "id")?,
        name: shape::text(queue, "name"),
        tags: shape::texts(queue, "tags"),
        head,
    })
}
