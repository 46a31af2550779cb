//! The service `Runs`.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::audit::Call;
use super::logs;
use super::parse::{grace, run_key};
use super::spool::Start;
use crate::engine::handle::Handle;
use crate::engine::ports::Desk;
use crate::rpc::v1;

pub(super) struct RunsService {
    pub(super) handle: Handle,
    pub(super) desk: Arc<dyn Desk>,
    pub(super) closing: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl v1::runs_server::Runs for RunsService {
    type StreamLogsStream = BoxStream<'static, Result<v1::LogChunk, Status>>;

    async fn list(&self, _: Request<v1::ListRunsRequest>) -> Result<Response<v1::ListRunsResponse>, Status> {
        let runs = self.handle.runs().await?.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::ListRunsResponse { runs }))
    }

    async fn get(&self, request: Request<v1::GetRunRequest>) -> Result<Response<v1::Run>, Status> {
        let asked = request.into_inner();
        Ok(Response::new(self.handle.run(run_key(&asked.key)?).await?.into()))
    }

    async fn stop(&self, request: Request<v1::StopRunRequest>) -> Result<Response<v1::Run>, Status> {
        let (call, asked) = Call::open(request, "Runs.Stop", |asked| {
            let grace = asked.grace_ms.map_or_else(|| "(default)".to_owned(), |grace| format!("{grace}ms"));
            format!("{} grace={grace}", asked.key)
        });
        call.close(async {
            let grace_ms = grace(asked.grace_ms)?;
            let run = self.handle.run(run_key(&asked.key)?).await?;
            Ok(self.handle.stop_run(run.record.id, grace_ms).await?.into())
        })
        .await
    }

    async fn stream_logs(
        &self,
        request: Request<v1::StreamLogsRequest>,
    ) -> Result<Response<Self::StreamLogsStream>, Status> {
        let asked = request.into_inner();
        let start = Start::try_from(asked.start)?;
        let run = self.handle.run(run_key(&asked.key)?).await?;
        let world =
            logs::World { handle: self.handle.clone(), desk: Arc::clone(&self.desk), closing: self.closing.clone() };
        Ok(Response::new(logs::stream(world, run, start, asked.follow)))
    }
}
