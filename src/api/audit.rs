//! Who changed what: a record in the log for each changing call, however it ends: done, refused, broken off, or never
//! understood. [`Gate`](super::gate::Gate) sees every call and writes what no handler has written.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tonic::{Request, Response, Status};

use super::peer::Peer;
use crate::domain::notice::Notice;

/// Every rpc that changes nothing; all others are recorded.
pub const READ_ONLY: &[&str] = &[
    "Host.GetStatus",
    "Host.WatchEvents",
    "Workers.List",
    "Workers.Get",
    "Gpus.List",
    "Gpus.Get",
    "Declarations.Plan",
    "Explanations.Explain",
    "Diagnosis.Check",
    "Diagnosis.DescribeConfiguration",
    "Diagnosis.Redact",
    "Diagnosis.GetFigures",
    "Runs.List",
    "Runs.Get",
    "Runs.StreamLogs",
    "Queues.List",
    "Tasks.List",
    "Tasks.Get",
    "Tasks.GetLog",
];

/// What a record says of a request that no handler has seen.
pub const UNREAD: &str = "(not read)";

/// A record that is to be written; if nobody writes it with a result, the call was cancelled.
#[derive(Debug)]
pub(super) struct Record {
    peer: Option<Arc<Peer>>,
    rpc: String,
    what: String,
    written: Written,
}

/// Whether a call has its record; shared by the gate and the handler.
#[derive(Debug, Clone, Default)]
pub(super) struct Written(Arc<AtomicBool>);

/// A changing call that is under way.
#[derive(Debug)]
pub(super) struct Call(Record);

// === impl Record ===

impl Record {
    /// `what` is the caller's text, so it is cut and escaped.
    pub(super) fn begin(peer: Option<Arc<Peer>>, rpc: impl Into<String>, what: &str, written: Written) -> Self {
        Self { peer, rpc: rpc.into(), what: harmless(what), written }
    }

    /// Writes it, unless that has been done.
    pub(super) fn write(&self, result: &str) {
        if self.written.0.swap(true, Ordering::Relaxed) {
            return;
        }
        let (rpc, what) = (self.rpc.as_str(), self.what.as_str());
        let (uid, pid, exe) = who(self.peer.as_deref());
        let space = if what.is_empty() { "" } else { " " };
        tracing::info!(
            target: "audit", MESSAGE_ID = Notice::Audit.id(), uid, pid, exe, rpc, what, result,
            "{rpc}{space}{what}: {result}"
        );
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // It may have been carried out all the same.
        self.write("cancelled");
    }
}

// === impl Call ===

impl Call {
    /// Takes the request apart. `what` names what it is about.
    pub(super) fn open<T>(request: Request<T>, rpc: &'static str, what: impl FnOnce(&T) -> String) -> (Self, T) {
        let peer = request.extensions().get::<Arc<Peer>>().cloned();
        // The handler's record is the better one: the gate's is not needed any more.
        if let Some(Written(gates)) = request.extensions().get() {
            gates.store(true, Ordering::Relaxed);
        }
        let asked = request.into_inner();
        let what = what(&asked);
        (Self(Record::begin(peer, rpc, &what, Written::default())), asked)
    }

    /// Carries it out and writes down what came of it.
    pub(super) async fn close<T>(self, work: impl Future<Output = Result<T, Status>>) -> Result<Response<T>, Status> {
        let outcome = work.await;
        self.0.write(&outcome.as_ref().map_or_else(result_of, |_| "ok".to_owned()));
        outcome.map(Response::new)
    }
}

/// A call that was refused before anything was done; `unrecorded` others were before it.
pub(super) fn refused(peer: Option<&Peer>, rpc: &str, status: &Status, unrecorded: u64) {
    let (uid, pid, exe) = who(peer);
    let (rpc, result) = (harmless(rpc), result_of(status));
    tracing::warn!(
        target: "audit", MESSAGE_ID = Notice::CallRefused.id(), uid, pid, exe, rpc, result, unrecorded,
        "{rpc} refused: {result}"
    );
}

/// As a record has it.
pub(super) fn result_of(status: &Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

fn who(peer: Option<&Peer>) -> (u32, u32, String) {
    let exe = peer.and_then(|peer| peer.exe.as_deref()).map(|exe| harmless(&exe.to_string_lossy()));
    let (uid, pid) = peer.map_or((u32::MAX, 0), |peer| (peer.uid, peer.pid));
    (uid, pid, exe.unwrap_or_else(|| "?".to_owned()))
}

fn harmless(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_debug).collect()
}
