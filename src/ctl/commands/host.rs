//! `status`, `drain`, `resume`, `events`.

use super::{Desk, LARGEST_ANSWER};
use crate::ctl::args::Output;
use crate::ctl::failure::Failure;
use crate::ctl::render::{host, json};
use crate::rpc::v1;

fn client(desk: &Desk<'_>) -> v1::host_client::HostClient<tonic::transport::Channel> {
    v1::host_client::HostClient::new(desk.channel.clone()).max_decoding_message_size(LARGEST_ANSWER)
}

fn show(desk: &Desk<'_>, status: &v1::HostStatus) -> Result<(), Failure> {
    desk.show(|look| host::status(look, status), || json::status(status))
}

pub(super) async fn status(desk: &Desk<'_>) -> Result<(), Failure> {
    show(desk, client(desk).get_status(v1::GetStatusRequest {}).await?.get_ref())
}

pub(super) async fn drain(desk: &Desk<'_>) -> Result<(), Failure> {
    show(desk, client(desk).drain(v1::DrainRequest {}).await?.get_ref())
}

pub(super) async fn resume(desk: &Desk<'_>) -> Result<(), Failure> {
    show(desk, client(desk).resume(v1::ResumeRequest {}).await?.get_ref())
}

pub(super) async fn events(desk: &Desk<'_>) -> Result<(), Failure> {
    let mut events = client(desk).watch_events(v1::WatchEventsRequest {}).await?.into_inner();
    while let Some(event) = events.message().await? {
        match desk.console.output {
            Output::Table => desk.console.data(&host::event(&event))?,
            Output::Json => desk.console.line(&json::event(&event))?,
        }
    }
    Err(Failure::Broken { why: "clearmld has ended the stream, since it is going down".to_owned() })
}
