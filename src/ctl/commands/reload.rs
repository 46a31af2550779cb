//! `plan`, `reload`.

use super::Desk;
use crate::ctl::failure::Failure;
use crate::ctl::render::changes;
use crate::rpc::v1;

type Client = v1::declarations_client::DeclarationsClient<tonic::transport::Channel>;

pub(super) async fn plan(desk: &Desk<'_>, exit_code: bool) -> Result<(), Failure> {
    let plan = Client::new(desk.channel.clone()).plan(v1::PlanRequest {}).await?.into_inner();
    desk.show(|_| changes::text(&plan), || changes::json(&plan))?;
    let something = changes::changes(&plan) + changes::refused(&plan) > 0;
    if exit_code && something { Err(Failure::SomethingToDo) } else { Ok(()) }
}

pub(super) async fn reload(desk: &Desk<'_>) -> Result<(), Failure> {
    let done = Client::new(desk.channel.clone()).reload(v1::ReloadRequest {}).await?.into_inner();
    desk.show(|_| changes::text(&done), || changes::json(&done))?;
    match changes::refused(&done) {
        0 => Ok(()),
        count => Err(Failure::NotAllDone { count }),
    }
}
