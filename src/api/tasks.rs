//! The services `Queues` and `Tasks`: thin calls to the server.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::audit::Call;
use super::parse::{self, LogPage, task_id};
use super::status::{self, Reason, invalid};
use crate::domain::ids::TaskId;
use crate::engine::ports::{Desk, QueueMove, Submission, TaskFilter};
use crate::rpc::v1;

pub(super) struct DeskService {
    pub(super) desk: Arc<dyn Desk>,
}

#[tonic::async_trait]
impl v1::queues_server::Queues for DeskService {
    async fn list(&self, _: Request<v1::ListQueuesRequest>) -> Result<Response<v1::ListQueuesResponse>, Status> {
        let queues = self.desk.queues().await?.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::ListQueuesResponse { queues }))
    }

    async fn create(&self, request: Request<v1::CreateQueueRequest>) -> Result<Response<v1::Queue>, Status> {
        let (call, asked) = Call::open(request, "Queues.Create", |asked| asked.name.clone());
        call.close(async { Ok(self.desk.create_queue(&parse::name("name", &asked.name)?).await?.into()) }).await
    }

    async fn move_task(&self, request: Request<v1::MoveTaskRequest>) -> Result<Response<v1::MoveTaskResponse>, Status> {
        let (call, asked) = Call::open(request, "Queues.MoveTask", |asked| {
            format!("{} in {} {:?}", asked.task_id, asked.queue, asked.to)
        });
        call.close(async {
            let (queue, task) = (parse::name("queue", &asked.queue)?, task_id(&asked.task_id)?);
            let to = QueueMove::try_from(asked.to.ok_or_else(|| invalid("to", "it is missing"))?)?;
            Ok(v1::MoveTaskResponse { position: self.desk.move_task(&queue, &task, to).await? })
        })
        .await
    }
}

#[tonic::async_trait]
impl v1::tasks_server::Tasks for DeskService {
    async fn list(&self, request: Request<v1::ListTasksRequest>) -> Result<Response<v1::ListTasksResponse>, Status> {
        let filter = TaskFilter::try_from(request.into_inner())?;
        let tasks = self.desk.tasks(&filter).await?.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::ListTasksResponse { tasks }))
    }

    async fn get(&self, request: Request<v1::GetTaskRequest>) -> Result<Response<v1::TaskDetail>, Status> {
        let task = task_id(&request.into_inner().task_id)?;
        let found = self.desk.task(&task).await?.ok_or_else(|| no_task(&task))?;
        Ok(Response::new(found.into()))
    }

    async fn clone_task(&self, request: Request<v1::CloneTaskRequest>) -> Result<Response<v1::TaskRef>, Status> {
        let (call, asked) = Call::open(request, "Tasks.CloneTask", |asked| asked.task_id.clone());
        call.close(async {
            let name = asked.name.as_deref().map(|name| parse::name("name", name)).transpose()?;
            Ok(refer(self.desk.clone_task(&task_id(&asked.task_id)?, name.as_deref()).await?))
        })
        .await
    }

    async fn reset(&self, request: Request<v1::ResetTaskRequest>) -> Result<Response<v1::TaskRef>, Status> {
        let (call, asked) = Call::open(request, "Tasks.Reset", |asked| format!("{} {}", asked.task_id, asked.force));
        call.close(async {
            let task = task_id(&asked.task_id)?;
            self.desk.reset(&task, asked.force).await?;
            Ok(refer(task))
        })
        .await
    }

    async fn enqueue(&self, request: Request<v1::EnqueueTaskRequest>) -> Result<Response<v1::TaskRef>, Status> {
        let (call, asked) = Call::open(request, "Tasks.Enqueue", |asked| format!("{} {}", asked.task_id, asked.queue));
        call.close(async {
            let (task, queue) = (task_id(&asked.task_id)?, parse::name("queue", &asked.queue)?);
            self.desk.enqueue(&task, &queue).await?;
            Ok(refer(task))
        })
        .await
    }

    async fn abort(&self, request: Request<v1::AbortTaskRequest>) -> Result<Response<v1::TaskRef>, Status> {
        let (call, asked) = Call::open(request, "Tasks.Abort", |asked| format!("{} {}", asked.task_id, asked.force));
        call.close(async {
            let task = task_id(&asked.task_id)?;
            self.desk.abort(&task, asked.force).await?;
            Ok(refer(task))
        })
        .await
    }

    async fn submit(&self, request: Request<v1::SubmitTaskRequest>) -> Result<Response<v1::TaskRef>, Status> {
        let (call, asked) = Call::open(request, "Tasks.Submit", |asked| {
            format!("{} queue={}", asked.name, asked.queue.as_deref().unwrap_or("(none)"))
        });
        call.close(async { Ok(refer(self.desk.submit(&Submission::try_from(asked)?).await?)) }).await
    }

    async fn get_log(
        &self,
        request: Request<v1::GetTaskLogRequest>,
    ) -> Result<Response<v1::GetTaskLogResponse>, Status> {
        let LogPage { task, after, limit } = request.into_inner().try_into()?;
        let events = self.desk.log(&task, after, limit).await?.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::GetTaskLogResponse { events }))
    }
}

fn refer(task: TaskId) -> v1::TaskRef {
    v1::TaskRef { task_id: task.into() }
}

fn no_task(task: &TaskId) -> Status {
    let what = format_args!("there is no task `{task}` at the server");
    status::refuse(Reason::NotFound, what, "list them with `clearmlctl task list`")
}
