//! The service `Gpus`.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};

use super::audit::Call;
use super::convert::gpus::health;
use super::parse::{self, gpu_id};
use super::peer::Peer;
use crate::engine::handle::{GpuOrder, Handle};
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

    async fn quarantine(&self, request: Request<v1::QuarantineGpuRequest>) -> Result<Response<v1::GpuHealth>, Status> {
        let (call, asked) = Call::open(request, "Gpus.Quarantine", |asked| described(&asked.gpu, &asked.reason));
        call.close(self.order(&asked.gpu, GpuOrder::Quarantine, &asked.reason)).await
    }

    async fn verify(&self, request: Request<v1::VerifyGpuRequest>) -> Result<Response<v1::GpuHealth>, Status> {
        let (call, asked) = Call::open(request, "Gpus.Verify", |asked| described(&asked.gpu, asked.reason()));
        let reason = asked.reason.as_deref().unwrap_or("an operator asked for it");
        call.close(self.order(&asked.gpu, GpuOrder::Verify, reason)).await
    }

    async fn readmit(&self, request: Request<v1::ReadmitGpuRequest>) -> Result<Response<v1::GpuHealth>, Status> {
        let (call, asked) = Call::open(request, "Gpus.Readmit", |asked| described(&asked.gpu, asked.reason()));
        let reason = asked.reason.as_deref().unwrap_or("an operator vouches for it");
        call.close(self.order(&asked.gpu, GpuOrder::Readmit, reason)).await
    }

    async fn reserve(&self, request: Request<v1::ReserveGpuRequest>) -> Result<Response<v1::Gpu>, Status> {
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let (call, asked) = Call::open(request, "Gpus.Reserve", describe);
        call.close(async {
            let asked = parse::reservation(&asked, caller(peer.as_deref()).await)?;
            Ok(self.handle.reserve_gpu(asked).await?.into())
        })
        .await
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseGpuRequest>,
    ) -> Result<Response<v1::ReleaseGpuResponse>, Status> {
        let (call, asked) = Call::open(request, "Gpus.Release", |asked| asked.gpu.clone());
        call.close(async {
            self.handle.release_gpu(gpu_id(&asked.gpu)?).await?;
            Ok(v1::ReleaseGpuResponse {})
        })
        .await
    }
}

impl GpusService {
    async fn order(&self, gpu: &str, order: GpuOrder, reason: &str) -> Result<v1::GpuHealth, Status> {
        let (gpu, reason) = (gpu_id(gpu)?, parse::name("reason", reason)?);
        let record = self.handle.order_gpu(gpu.clone(), order, reason).await?;
        Ok(health(&gpu.to_string(), Some(&record)))
    }
}

fn described(gpu: &str, reason: &str) -> String {
    format!("{gpu} reason={reason}")
}

fn describe(asked: &v1::ReserveGpuRequest) -> String {
    let v1::ReserveGpuRequest { gpu, duration, reason, when_free } = asked;
    format!("{gpu} duration={duration} when_free={when_free} reason={reason}")
}

/// Who called, as people know them. A directory service may take its time: nobody waits for it here.
async fn caller(peer: Option<&Peer>) -> String {
    let Some(uid) = peer.map(|peer| peer.uid) else { return "somebody".to_owned() };
    let look_up = move || nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok().flatten();
    let found = tokio::time::timeout(AGE, tokio::task::spawn_blocking(look_up)).await;
    let user = found.ok().and_then(Result::ok).flatten().map(|user| user.name);
    user.unwrap_or_else(|| format!("uid {uid}"))
}
