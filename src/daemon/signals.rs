//! SIGTERM and SIGINT end the daemon; SIGHUP has it read its configuration again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Plan;
use crate::domain::notice::Notice;
use crate::host::notify;

/// Listening from before READY on: a signal that comes early is not lost.
#[derive(Debug)]
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when the daemon is to end.
    pub(super) async fn shutdown(&mut self, plan: &Plan) {
        loop {
            // Cancel-safe: a signal that is not taken now is taken in the next turn.
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => reload(plan),
            }
        }
    }
}

/// The configuration is read and checked whole; what it says counts from the next start on. A broken one is reported,
/// and the daemon serves on with what it has.
fn reload(plan: &Plan) {
    notify::reloading();
    match plan.check_again() {
        Ok(()) => {
            tracing::info!("the configuration is well-formed; restart clearmld to use what has changed (runs go on)")
        }
        Err(errors) => {
            tracing::error!(MESSAGE_ID = Notice::ConfigurationKept.id(), "the configuration was not taken:\n{errors}")
        }
    }
    notify::reloaded();
}
