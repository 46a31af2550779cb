//! The service `Workers`.

use tonic::{Request, Response, Status};

use super::audit::Call;
use super::parse::worker_name;
use super::status;
use crate::engine::handle::{Handle, WorkerDraft};
use crate::rpc::v1;

pub(super) struct WorkersService {
    pub(super) handle: Handle,
}

#[tonic::async_trait]
impl v1::workers_server::Workers for WorkersService {
    async fn add(&self, request: Request<v1::AddWorkerRequest>) -> Result<Response<v1::Worker>, Status> {
        let (call, asked) = Call::open(request, "Workers.Add", describe);
        call.close(async {
            let draft = WorkerDraft::try_from(asked)?;
            Ok(self.handle.add_worker(draft).await.map_err(status::of_addition)?.into())
        })
        .await
    }

    async fn list(&self, _: Request<v1::ListWorkersRequest>) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let workers = self.handle.workers().await?.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::ListWorkersResponse { workers }))
    }

    async fn get(&self, request: Request<v1::GetWorkerRequest>) -> Result<Response<v1::Worker>, Status> {
        let name = worker_name(&request.into_inner().name)?;
        Ok(Response::new(self.handle.worker(&name).await?.into()))
    }

    async fn stop(&self, request: Request<v1::StopWorkerRequest>) -> Result<Response<v1::Worker>, Status> {
        let (call, asked) = Call::open(request, "Workers.Stop", |asked| format!("{} now={}", asked.name, asked.now));
        call.close(async { Ok(self.handle.stop_worker(worker_name(&asked.name)?, asked.now).await?.into()) }).await
    }

    async fn resume(&self, request: Request<v1::ResumeWorkerRequest>) -> Result<Response<v1::Worker>, Status> {
        let (call, asked) = Call::open(request, "Workers.Resume", |asked| asked.name.clone());
        call.close(async { Ok(self.handle.resume_worker(worker_name(&asked.name)?).await?.into()) }).await
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveWorkerRequest>,
    ) -> Result<Response<v1::RemoveWorkerResponse>, Status> {
        let (call, asked) = Call::open(request, "Workers.Remove", |asked| format!("{} now={}", asked.name, asked.now));
        call.close(async {
            self.handle.remove_worker(worker_name(&asked.name)?, asked.now).await?;
            Ok(v1::RemoveWorkerResponse {})
        })
        .await
    }
}

fn describe(asked: &v1::AddWorkerRequest) -> String {
    let mut text = format!(
        "{} queues={} gpus={} user={}",
        asked.name.as_deref().unwrap_or("(unnamed)"),
        asked.queues.join(","),
        asked.gpus.as_deref().unwrap_or("(any)"),
        asked.user.as_deref().unwrap_or("(default)"),
    );
    if asked.dynamic_gpus {
        text.push_str(" dynamic_gpus");
    }
    text.extend(asked.share.map(|share| format!(" share={share}")));
    let pids = asked.pids.map(|pids| pids.to_string());
    let limits = [
        ("memory", &asked.memory),
        ("cpus", &asked.cpus),
        ("pids", &pids),
        ("time_limit", &asked.time_limit),
        ("disk", &asked.disk),
    ];
    for (name, limit) in limits {
        text.extend(limit.iter().map(|limit| format!(" {name}={limit}")));
    }
    for (name, hours) in [("uptime", &asked.uptime), ("downtime", &asked.downtime)] {
        if !hours.is_empty() {
            text.push_str(&format!(" {name}={}", hours.join(";")));
        }
    }
    for (name, set) in [("create_queue", asked.create_queue), ("requeue_on_host_loss", asked.requeue_on_host_loss)] {
        if set {
            text.push_str(&format!(" {name}"));
        }
    }
    if let Some(sandbox) = &asked.sandbox {
        let network: Vec<String> = sandbox.network.iter().cloned().collect();
        let options =
            [("bind", &sandbox.binds), ("device", &sandbox.devices), ("network", &network), ("relax", &sandbox.relax)];
        for (name, values) in options.iter().filter(|(_, values)| !values.is_empty()) {
            text.push_str(&format!(" {name}={}", values.join(",")));
        }
    }
    text
}
