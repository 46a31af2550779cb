//! `gpu …`.

use super::{Desk, LARGEST_ANSWER};
use crate::ctl::args::Output;
use crate::ctl::args::gpu::Gpu;
use crate::ctl::failure::Failure;
use crate::ctl::render::gpus;
use crate::rpc::v1;

pub(super) async fn run(desk: &Desk<'_>, asked: &Gpu) -> Result<(), Failure> {
    let mut client = v1::gpus_client::GpusClient::new(desk.channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
    let found = match asked.clone() {
        Gpu::Show { gpu } => {
            let gpu = client.get(v1::GetGpuRequest { gpu }).await?.into_inner();
            return desk.show(|look| gpus::detail(look, &gpu), || gpus::json(&gpu));
        }
        Gpu::Quarantine { gpu, reason } => {
            let health = client.quarantine(v1::QuarantineGpuRequest { gpu: gpu.clone(), reason }).await?.into_inner();
            return show_health(desk, &gpu, &health);
        }
        Gpu::Verify { gpu, reason } => {
            let health = client.verify(v1::VerifyGpuRequest { gpu: gpu.clone(), reason }).await?.into_inner();
            return show_health(desk, &gpu, &health);
        }
        Gpu::Readmit { gpu, reason } => {
            let health = client.readmit(v1::ReadmitGpuRequest { gpu: gpu.clone(), reason }).await?.into_inner();
            return show_health(desk, &gpu, &health);
        }
        Gpu::Reserve { gpu, duration, reason, when_free } => {
            let asked = v1::ReserveGpuRequest { gpu, duration, reason, when_free };
            let gpu = client.reserve(asked).await?.into_inner();
            return desk.show(|look| gpus::detail(look, &gpu), || gpus::json(&gpu));
        }
        Gpu::Release { gpu } => {
            client.release(v1::ReleaseGpuRequest { gpu: gpu.clone() }).await?;
            return match desk.console.output {
                Output::Json => desk.console.document(&serde_json::json!({"gpu": gpu, "released": true})),
                Output::Table => {
                    desk.console.say(&format!("GPU {gpu} is lent again"));
                    Ok(())
                }
            };
        }
        Gpu::List => client.list(v1::ListGpusRequest {}).await?.into_inner(),
        Gpu::Rescan => client.rescan(v1::RescanGpusRequest {}).await?.into_inner(),
    };
    for remark in gpus::remarks(&found) {
        desk.console.say(&remark);
    }
    desk.show(|look| gpus::table(look, &found), || gpus::json_list(&found))
}

fn show_health(desk: &Desk<'_>, gpu: &str, health: &v1::GpuHealth) -> Result<(), Failure> {
    desk.show(|_| gpus::health(gpu, health), || gpus::json_health(health))
}
