//! `doctor`: what is wrong, asked of the daemon, or, where it does not answer, of what can be seen from outside.

use std::path::Path;

use tonic::transport::Channel;

use super::LARGEST_ANSWER;
use crate::ctl::alone;
use crate::ctl::args::Output;
use crate::ctl::connection::{self, HOST_SOCKET};
use crate::ctl::console::Console;
use crate::ctl::failure::Failure;
use crate::ctl::render::table::Look;
use crate::ctl::render::{findings, json};
use crate::rpc::v1;

pub(super) async fn run(socket: Option<&Path>, console: &Console) -> Result<(), Failure> {
    let found = look(socket).await?;
    match console.output {
        Output::Table => {
            let look = Look { terminal: console.terminal, colour: console.colour };
            console.data(&findings::render(look, &found))?;
        }
        Output::Json => console.document(&json::findings(&found))?,
    }
    let failed = found.iter().filter(|finding| finding.verdict() == v1::Verdict::Failed).count();
    if failed == 0 { Ok(()) } else { Err(Failure::Unwell { failed }) }
}

/// Everything that can be found out. Without a daemon that is little, and it says so.
pub(super) async fn look(socket: Option<&Path>) -> Result<Vec<v1::Finding>, Failure> {
    match ask(socket).await {
        Ok(found) => Ok(found),
        Err(failure @ (Failure::NotRunning { .. } | Failure::SocketDenied { .. } | Failure::Broken { .. })) => {
            let installed = connection::socket(socket) == Path::new(HOST_SOCKET);
            Ok(vec![alone::unanswered(&failure, installed), alone::rest()])
        }
        Err(other) => Err(other),
    }
}

async fn ask(socket: Option<&Path>) -> Result<Vec<v1::Finding>, Failure> {
    let channel: Channel = connection::connect(socket).await?;
    let mut host = v1::host_client::HostClient::new(channel.clone());
    let status = host.get_status(v1::GetStatusRequest {}).await?.into_inner();
    let mut diagnosis = v1::diagnosis_client::DiagnosisClient::new(channel).max_decoding_message_size(LARGEST_ANSWER);
    let mut found = vec![alone::answered(&status)];
    found.extend(diagnosis.check(v1::CheckRequest {}).await?.into_inner().findings);
    Ok(found)
}
