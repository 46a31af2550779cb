//! What ended just before the daemon does. When the host shuts down, PID 1 stops the Runs first, and us as soon as the
//! last of their processes has gone: without a moment's patience the server would hear of it after the next boot.

use std::sync::Arc;

use tokio::time::{Duration, sleep, timeout};

use crate::domain::run::Phase;
use crate::engine::handle::{Handle, RunView, ServerLink};
use crate::engine::ports::Launcher;

/// Enough for a server that answers; well below the unit's TimeoutStopSec.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

/// See the module.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) launcher: Arc<dyn Launcher>,
}

impl Ends {
    /// Takes no more tasks, and returns when the server knows every end, or does not answer. What it was not told stays
    /// in the ledger.
    pub(super) async fn delivered(&self, handle: &Handle) {
        if handle.close().await.is_err() {
            return;
        }
        if timeout(PATIENCE, self.until_told(handle)).await.is_err() {
            tracing::warn!("the server was not told of every end; it will be after the next start");
        }
    }

    async fn until_told(&self, handle: &Handle) {
        while let (Ok(status), Ok(runs)) = (handle.status().await, handle.runs().await) {
            let waited_for = runs.iter().any(|run| self.has_ended(run));
            if !waited_for || matches!(status.link, ServerLink::Down { .. }) {
                return;
            }
            sleep(PAUSE).await;
        }
    }

    /// Its processes are gone and the server does not know it yet.
    fn has_ended(&self, run: &RunView) -> bool {
        match &run.record.phase {
            Phase::Exited(_) => true,
            Phase::Running(running) => !self.launcher.alive(&running.shim),
            Phase::Claimed(_) | Phase::Prepared(_) | Phase::Settled(_) => false,
        }
    }
}
