//! Who changed what: one line in the log for each changing call, whether it succeeded or not.

use std::future::Future;
use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::peer::Peer;

/// A changing call that is under way.
pub(super) struct Call {
    peer: Option<Arc<Peer>>,
    rpc: &'static str,
    what: String,
}

impl Call {
    /// Takes the request apart. `what` names what it is about; it is the caller's text, so it is cut and escaped.
    pub(super) fn open<T>(request: Request<T>, rpc: &'static str, what: impl FnOnce(&T) -> String) -> (Self, T) {
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        let asked = request.into_inner();
        let what = what(&asked).chars().take(200).flat_map(char::escape_debug).collect();
        (Self { peer, rpc, what }, asked)
    }

    /// Carries it out and writes down what came of it.
    pub(super) async fn close<T>(self, work: impl Future<Output = Result<T, Status>>) -> Result<Response<T>, Status> {
        let outcome = work.await;
        let (uid, pid) = self.peer.as_ref().map_or((u32::MAX, 0), |peer| (peer.uid, peer.pid));
        let exe = self.peer.as_ref().and_then(|peer| peer.exe.as_deref()).map(|exe| exe.display().to_string());
        let exe = exe.unwrap_or_else(|| "?".to_owned());
        let (rpc, what) = (self.rpc, self.what);
        match &outcome {
            Ok(_) => tracing::info!(target: "audit", uid, pid, exe, rpc, what, result = "ok", "{rpc} {what}"),
            Err(status) => {
                let result = format!("{:?}: {}", status.code(), status.message());
                tracing::info!(target: "audit", uid, pid, exe, rpc, what, result, "{rpc} {what}: refused");
            }
        }
        outcome.map(Response::new)
    }
}
