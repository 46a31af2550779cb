//! SIGTERM and SIGINT end the daemon; SIGHUP has it follow the operator's files again, as `clearmlctl reload` does.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::engine::handle::Handle;
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
    pub(super) async fn shutdown(&mut self, handle: &Handle) {
        loop {
            // Cancel-safe: a signal that is not taken now is taken in the next turn.
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => reload(handle).await,
            }
        }
    }
}

/// The engine logs each change. What is broken is named, and goes on as it was.
async fn reload(handle: &Handle) {
    notify::reloading();
    match handle.reload().await {
        Ok(done) if done.is_calm() => tracing::info!("reload: the files say what is; nothing to do"),
        Ok(_) => tracing::info!("reload: done"),
        Err(error) => tracing::error!("reload: {error}"),
    }
    notify::reloaded();
}
