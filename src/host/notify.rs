//! What systemd is told (sd_notify(3)); without systemd each of these does nothing.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::time::{Instant, interval, timeout};

/// The Runs of the ledger are adopted and the socket answers.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line for `systemctl status`.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The configuration is being read again; [`reloaded`] ends it.
pub fn reloading() {
    let state = NotifyState::monotonic_usec_now();
    match state {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The configuration has been read; the line of status stays as it was.
pub fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// We are going down.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("going down; runs go on")]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}

/// Beats for systemd's watchdog as long as the engine's loop turns: a loop that hangs stops the beat. Waiting for the
/// server, a disk or NVML does not, since the loop waits for none of them.
pub async fn watchdog(mut pulse: watch::Receiver<u64>) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return std::future::pending().await };
    let mut beat = interval(limit / 3);
    let mut alive = Instant::now();
    loop {
        beat.tick().await;
        // The loop turns at least every 2 s by itself.
        if timeout(Duration::from_millis(10), pulse.changed()).await.is_ok_and(|turned| turned.is_ok()) {
            alive = Instant::now();
        }
        if alive.elapsed() < limit {
            tell(&[NotifyState::Watchdog]);
        }
    }
}
