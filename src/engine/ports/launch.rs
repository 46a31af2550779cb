//! Where shims are started.

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::domain::handover::{ProcessIdentity, Started};
use crate::domain::ids::RunId;
use crate::domain::limits::Controllers;
use crate::domain::reserve::Share;

/// A process that could not be started, found or signalled.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The launcher itself failed.
    #[error("cannot {operation}: {reason}")]
    Failed {
        /// `start clearmld-shim`.
        operation: &'static str,
        /// Why.
        reason: String,
    },
    /// The shim came up, but said nothing in its `started.json` in time.
    #[error("the shim did not report within {seconds} s; see {log}")]
    Silent {
        /// How long.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
}

/// Where shims are started: as units of systemd, or directly.
#[async_trait]
pub trait Launcher: Send + Sync + fmt::Debug {
    /// `systemd` or `direct`, and what this host cannot give, for `status`.
    fn describe(&self) -> LauncherDescription;
    /// Holds all Runs together to this from now on, and says to how much of it: not every host can.
    async fn hold(&self, _all: Share) -> Result<Share, LaunchError> {
        Ok(Share::default())
    }
    /// Whether the host is on its way down: a task that was taken now could not be started any more.
    async fn going_down(&self) -> bool {
        false
    }
    /// Whether a Run that was told to end from outside, by SIGTERM, was told so because the host goes down.
    async fn told_by_shutdown(&self) -> bool {
        self.going_down().await
    }
    /// Whether the host has booted since this process was started.
    fn rebooted_since(&self, shim: &ProcessIdentity) -> bool;
    /// Starts a shim for a complete run directory, or finds the one that was started before.
    async fn launch(&self, run: &RunId, directory: &Path) -> Result<Started, LaunchError>;
    /// Makes the cgroup that `spec.json` names; none where this host or launcher has no cgroup to give.
    async fn cgroup(&self, run: &RunId) -> Option<PathBuf>;
    /// Whether this very process lives.
    fn alive(&self, shim: &ProcessIdentity) -> bool;
    /// Returns when this very process is gone; at once if it is.
    async fn wait(&self, shim: &ProcessIdentity);
    /// Makes the shim look at `stop.json`. It being gone is no error.
    fn nudge(&self, shim: &ProcessIdentity) -> Result<(), LaunchError>;
    /// Ends whatever is left of a Run whose shim is gone, and removes its unit or cgroup.
    async fn sweep(&self, run: &RunId) -> Result<(), LaunchError>;
}

/// For `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LauncherDescription {
    /// `systemd` or `direct`.
    pub name: &'static str,
    /// What is missing here, in words, each with what it means.
    pub missing: Vec<String>,
    /// What the kernel can limit for the Runs that this starts.
    pub controllers: Controllers,
}
