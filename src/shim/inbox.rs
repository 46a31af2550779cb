//! What the shim is told while it waits: signals, as a descriptor that can be polled.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals that mean something to the shim, blocked and readable.
#[derive(Debug)]
pub(super) struct Inbox {
    descriptor: SignalFd,
}

/// What has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct News {
    /// A child has changed.
    pub child: bool,
    /// The unit is stopped.
    pub stopped: bool,
    /// `stop.json` is to be looked at.
    pub nudged: bool,
}

impl Inbox {
    /// Blocks the signals and opens the descriptor. Children inherit the blocking until [`super::payload`] resets it.
    ///
    /// # Errors
    /// When there are too many open descriptors.
    pub(super) fn open() -> nix::Result<Self> {
        let mut blocked = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1] {
            blocked.add(signal);
        }
        let descriptor = SignalFd::with_flags(&blocked, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        // Blocked and never read: a closed terminal or pipe ends no shim. SIGUSR2 is for init.
        for signal in [Signal::SIGHUP, Signal::SIGPIPE, Signal::SIGUSR2] {
            blocked.add(signal);
        }
        blocked.thread_set_mask()?;
        Ok(Self { descriptor })
    }

    /// All that has come since the last call.
    #[must_use]
    pub(super) fn read(&self) -> News {
        let mut news = News::default();
        while let Ok(Some(signal)) = self.descriptor.read_signal() {
            match i32::try_from(signal.ssi_signo).map(Signal::try_from) {
                Ok(Ok(Signal::SIGCHLD)) => news.child = true,
                Ok(Ok(Signal::SIGTERM | Signal::SIGINT)) => news.stopped = true,
                Ok(Ok(Signal::SIGUSR1)) => news.nudged = true,
                Ok(_) | Err(_) => {}
            }
        }
        news
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
