//! The service `Gpus`.

use std::time::Duration;

use tonic::{Request, Response, Status};

use super::audit::Call;
use super::parse::gpu_id;
use crate::engine::handle::Handle;
use crate::rpc::v1;

/// How old an answer may be: a screen that refreshes every second must not keep the driver busy.
const AGE: Duration = Duration::from_secs(2);

pub(super) struct GpusService {
    pub(super) handle: Handle,
}

#[tonic::async_trait]
impl v1::gpus_server::Gpus for GpusService {
    async fn list(&self, _: Request<v1::ListGpusRequest>) -> Result<Response<v1::ListGpusResponse>, Status> {
        Ok(Response::new(self.handle.gpus(AGE).await?.into()))
    }

    async fn get(&self, request: Request<v1::GetGpuRequest>) -> Result<Response<v1::Gpu>, Status> {
        let id = gpu_id(&request.into_inner().gpu)?;
        Ok(Response::new(self.handle.gpu(&id, AGE).await?.into()))
    }

    async fn rescan(&self, request: Request<v1::RescanGpusRequest>) -> Result<Response<v1::ListGpusResponse>, Status> {
        let (call, _) = Call::open(request, "Gpus.Rescan", |_| String::new());
        call.close(async { Ok(self.handle.gpus(Duration::ZERO).await?.into()) }).await
    }
}
