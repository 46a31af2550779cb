//! The embedded server, where it is asked for.

use std::path::Path;

use super::DaemonError;
use super::plan::{Plan, Server};
use crate::api;
use crate::api::socket::SocketFile;
use crate::server::{self, LocalServer};

pub(super) async fn start(plan: &Plan, root: &Path) -> Result<Option<LocalServer>, DaemonError> {
    let Server::Local { api, files, .. } = &plan.server else { return Ok(None) };
    let config = server::ServerConfig { api: *api, files: *files, directory: root.join("server") };
    let local = server::start(config).await?;
    tracing::info!(api = local.api_url(), files = local.files_url(), "the embedded ClearML server is up");
    Ok(Some(local))
}

/// The embedded server takes orders of faults; its socket goes with this.
#[derive(Debug)]
pub(super) struct Orders {
    /// What an operator should know.
    pub(super) remark: String,
    _file: SocketFile,
}

/// Lets the embedded server fail on demand, where that is asked for.
pub(super) fn take_orders(plan: &Plan, local: Option<&mut LocalServer>) -> Result<Option<Orders>, DaemonError> {
    let (Server::Local { faults: Some(path), .. }, Some(local)) = (&plan.server, local) else { return Ok(None) };
    let listening = api::bind(path).map_err(DaemonError::Faults)?;
    let (listener, file) = listening.into_plain();
    local.take_orders(listener);
    let remark = format!(
        "the embedded server fails on demand: whoever may write to {} can make it refuse, delay and drop calls; start \
         clearmld without --local-faults when you are done with testing",
        path.display()
    );
    tracing::warn!("{remark}");
    Ok(Some(Orders { remark, _file: file }))
}
