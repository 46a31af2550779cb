//! A shim that lives on its own, seen from the daemon: found by identity, watched by pidfd, whoever's child it is.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use tokio::time::{Instant, sleep};

use crate::domain::handover::{ProcessIdentity, Started, file};
use crate::engine::ports::LaunchError;
use crate::sys::identity::{self, Stat};
use crate::sys::{durable, readable};

/// A shim writes `started.json` within milliseconds; a host that swaps gets its time.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(10);
/// What of `shim.log` goes into an error.
const LOG_TAIL: usize = 600;

/// What the shim has said of itself, if it has.
///
/// # Errors
/// When the file is damaged.
pub(super) fn started(directory: &Path) -> Result<Option<Started>, LaunchError> {
    match durable::read_json(&directory.join(file::STARTED)) {
        Ok(started) => Ok(Some(started)),
        Err(durable::ReadError::Missing) => Ok(None),
        Err(error) => Err(LaunchError::Failed { operation: "read started.json", reason: error.to_string() }),
    }
}

/// Waits until the shim has said so; `gone` tells why it never will.
///
/// # Errors
/// When it does not come up.
pub(super) async fn until_started(
    directory: &Path,
    mut gone: impl FnMut() -> Option<String>,
) -> Result<Started, LaunchError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // First whether it is gone, then the file: a shim may write it and end in between.
        let gone = gone();
        if let Some(started) = started(directory)? {
            return Ok(started);
        }
        if let Some(how) = gone {
            let reason = format!("{how}{}", log_tail(directory));
            return Err(LaunchError::Failed { operation: "start clearmld-shim", reason });
        }
        if Instant::now() >= deadline {
            return Err(LaunchError::Silent { seconds: PATIENCE.as_secs(), log: directory.join(file::SHIM_LOG) });
        }
        sleep(PAUSE).await;
    }
}

fn log_tail(directory: &Path) -> String {
    let text = std::fs::read_to_string(directory.join(file::SHIM_LOG)).unwrap_or_default();
    let text = text.trim();
    let start = text.len().saturating_sub(LOG_TAIL);
    match text.get(text.ceil_char_boundary(start)..) {
        Some(tail) if !tail.is_empty() => format!("; it said: {tail}"),
        Some(_) | None => String::new(),
    }
}

/// Whether it lives. One that has ended and not been reaped does not. What cannot be found out is not taken for an
/// end: the Run would be swept away.
pub(super) fn alive(shim: &ProcessIdentity) -> bool {
    match identity::open(shim) {
        Ok(pidfd) => pidfd.is_some_and(|pidfd| !ended(&pidfd)),
        Err(_) => {
            Stat::read(shim.pid).map_or(true, |stat| stat.state != b'Z') && identity::is_there(shim).unwrap_or(true)
        }
    }
}

/// Whether the host has booted since it was started. What cannot be found out is not taken for a boot.
pub(super) fn rebooted_since(shim: &ProcessIdentity) -> bool {
    identity::boot_id().is_ok_and(|now| now != shim.boot_id)
}

/// Returns when it has ended.
pub(super) async fn wait(shim: &ProcessIdentity) {
    let watched = match identity::open(shim) {
        Ok(None) => return,
        Ok(Some(pidfd)) => readable::watch(pidfd),
        Err(error) => Err(error),
    };
    match watched {
        Ok(watched) => {
            // The only failure is a runtime that shuts down; the answer is then nobody's any more.
            let _ = watched.readable().await.map(|mut ready| ready.retain_ready());
            reap(watched.get_ref());
        }
        // No descriptors left: slower, but as true.
        Err(error) => {
            tracing::warn!(%error, "a shim cannot be watched by its pidfd; it is looked for twice a second");
            while alive(shim) {
                sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// Makes it look at `stop.json`.
pub(super) fn nudge(shim: &ProcessIdentity) -> Result<(), LaunchError> {
    let failed = |error: io::Error| LaunchError::Failed { operation: "signal the shim", reason: error.to_string() };
    let Some(pidfd) = identity::open(shim).map_err(failed)? else { return Ok(()) };
    match pidfd_send_signal(&pidfd, Signal::USR1) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(failed(error.into())),
    }
}

fn ended(pidfd: &OwnedFd) -> bool {
    let mut descriptors = [PollFd::new(pidfd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut descriptors, Some(&now)).is_ok_and(|count| count > 0)
}

/// It may be our child, or that of a daemon before us: then init has reaped it, and there is nothing to do.
fn reap(pidfd: &OwnedFd) {
    let id = WaitId::PidFd(std::os::fd::AsFd::as_fd(pidfd));
    let _ = waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
}
