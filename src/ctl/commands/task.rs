//! `queue …` and `task …`.

use std::time::Duration;

use serde_json::json as value;

use super::patience::Patience;
use super::{Desk, LARGEST_ANSWER};
use crate::ctl::args::Output;
use crate::ctl::args::task::{Place, Queue, Task, TaskLog};
use crate::ctl::failure::Failure;
use crate::ctl::render::stream::Filter;
use crate::ctl::render::{json, tasks};
use crate::rpc::v1;
use v1::move_task_request::To;

pub(super) type Client = v1::tasks_client::TasksClient<tonic::transport::Channel>;

/// Between two looks at a task that is followed.
const POLL: Duration = Duration::from_secs(1);
/// Events of one page.
const PAGE: u32 = 500;

pub(super) fn client(desk: &Desk<'_>) -> Client {
    Client::new(desk.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
}

pub(super) async fn queue(desk: &Desk<'_>, asked: &Queue) -> Result<(), Failure> {
    let mut client =
        v1::queues_client::QueuesClient::new(desk.channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
    match asked {
        Queue::List => {
            let queues = client.list(v1::ListQueuesRequest {}).await?.into_inner().queues;
            desk.show(|look| tasks::queues(look, &queues), || json::queues(&queues))
        }
        Queue::Create { name } => {
            let queue = client.create(v1::CreateQueueRequest { name: name.clone() }).await?.into_inner();
            desk.show(|look| tasks::queues(look, std::slice::from_ref(&queue)), || json::queue(&queue))
        }
        Queue::Move(asked) => {
            let to = Some(place(&asked.to));
            let request = v1::MoveTaskRequest { queue: asked.queue.clone(), task_id: asked.task.clone(), to };
            let position = client.move_task(request).await?.into_inner().position;
            desk.show(|_| format!("position {position}"), || value!({"position": position}))
        }
    }
}

fn place(place: &Place) -> To {
    match (place.forward, place.backward) {
        (Some(count), _) => To::Forward(count),
        (None, Some(count)) => To::Backward(count),
        (None, None) if place.front => To::Front(true),
        (None, None) => To::Back(true),
    }
}

pub(super) async fn task(desk: &Desk<'_>, asked: &Task) -> Result<(), Failure> {
    let mut client = client(desk);
    let done = match asked.clone() {
        Task::List(asked) => {
            let request = v1::ListTasksRequest { statuses: asked.statuses, name: asked.name, limit: asked.limit };
            let tasks = client.list(request).await?.into_inner().tasks;
            return desk.show(|look| tasks::tasks(look, &tasks), || json::tasks(&tasks));
        }
        Task::Show { task } => {
            let detail = client.get(v1::GetTaskRequest { task_id: task }).await?.into_inner();
            return desk.show(|look| tasks::detail(look, &detail), || json::detail(&detail));
        }
        Task::Log(asked) => return log(desk, client, asked).await,
        Task::Clone { task, name } => client.clone_task(v1::CloneTaskRequest { task_id: task, name }).await?,
        Task::Reset { task, force } => client.reset(v1::ResetTaskRequest { task_id: task, force }).await?,
        Task::Enqueue { task, queue } => client.enqueue(v1::EnqueueTaskRequest { task_id: task, queue }).await?,
        Task::Abort { task, force } => client.abort(v1::AbortTaskRequest { task_id: task, force }).await?,
    };
    let task_id = done.into_inner().task_id;
    desk.show(|_| task_id.clone(), || json::reference(&task_id))
}

async fn log(desk: &Desk<'_>, mut client: Client, asked: TaskLog) -> Result<(), Failure> {
    let mut printer = LogPrinter::new(asked.task.clone());
    if asked.follow {
        follow(desk, &mut client, &mut printer, |_| ()).await.map(|_| ())
    } else {
        // A task that is not there has an empty log, which would be no answer.
        client.get(v1::GetTaskRequest { task_id: asked.task }).await?;
        printer.print(desk, &mut client).await
    }
}

/// Prints a task's log as it grows, until the task has ended; `changed` is told each status.
pub(super) async fn follow(
    desk: &Desk<'_>,
    client: &mut Client,
    printer: &mut LogPrinter,
    mut changed: impl FnMut(&v1::Task),
) -> Result<v1::TaskDetail, Failure> {
    let mut last = String::new();
    let mut patience = Patience::default();
    loop {
        // The status first: what was logged before the end is then printed after it.
        let looked = async {
            let request = v1::GetTaskRequest { task_id: printer.task.clone() };
            let detail = client.get(request).await?.into_inner();
            printer.print(desk, client).await?;
            Ok(detail)
        };
        let detail = match looked.await {
            Ok(detail) => detail,
            Err(failure) => {
                patience.wait(desk.console, failure).await?;
                continue;
            }
        };
        patience.renew();
        let task = detail.task.clone().unwrap_or_default();
        if task.status != last {
            changed(&task);
            last.clone_from(&task.status);
        }
        // The store shows events a little late, so there is one more look after the end.
        tokio::time::sleep(POLL).await;
        if ended(&task.status) {
            printer.print(desk, client).await?;
            return Ok(detail);
        }
    }
}

/// Whether a task in that status goes on by itself.
pub(super) fn ended(status: &str) -> bool {
    matches!(status, "completed" | "failed" | "stopped" | "closed" | "published" | "publishing")
}

/// Remembers what of a task's log is printed.
pub(super) struct LogPrinter {
    pub(super) task: String,
    after: Option<i64>,
    filter: Filter,
}

impl LogPrinter {
    pub(super) fn new(task: String) -> Self {
        Self { task, after: None, filter: Filter::default() }
    }

    /// All that is new.
    pub(super) async fn print(&mut self, desk: &Desk<'_>, client: &mut Client) -> Result<(), Failure> {
        loop {
            let request = v1::GetTaskLogRequest { task_id: self.task.clone(), after_unix_ms: self.after, limit: PAGE };
            let events = client.get_log(request).await?.into_inner().events;
            for event in &events {
                self.one(desk, event)?;
            }
            let before = self.after;
            self.after = events.iter().map(|event| event.at_unix_ms).max().max(before);
            // A server that repeats itself must not make us go round for ever.
            if events.len() < PAGE as usize || self.after == before {
                return Ok(());
            }
        }
    }

    fn one(&mut self, desk: &Desk<'_>, event: &v1::TaskLogEvent) -> Result<(), Failure> {
        match desk.console.output {
            Output::Json => desk.console.line(&json::log_event(event)),
            Output::Table if desk.console.terminal => {
                desk.console.raw(self.filter.pass(tasks::log_text(event).as_bytes()).as_bytes())
            }
            Output::Table => desk.console.raw(tasks::log_text(event).as_bytes()),
        }
    }
}
