//! Why the code could not be fetched.

use std::io;
use std::path::PathBuf;

use crate::payload::tool::{ToolError, is_disk_full};

/// Each says what, why, and the next step.
#[derive(Debug, thiserror::Error)]
pub(in crate::payload) enum SourceError {
    /// No git.
    #[error("the task's code is in a git repository, but git is not installed on this worker; install the package git")]
    NoGit,
    /// The remote did not answer.
    #[error(
        "the repository `{url}` cannot be read: {words}; check its address, that this worker reaches it, and the git \
         credentials of the worker (agent.git_user, agent.git_pass)"
    )]
    Unreachable {
        /// Which.
        url: String,
        /// git's last words.
        words: String,
        /// The call.
        source: Box<ToolError>,
    },
    /// The remote answered, but has no such branch or tag.
    #[error("the repository `{url}` has no {kind} `{name}`; push it, or correct the task's {kind}")]
    NoRevision {
        /// Which repository.
        url: String,
        /// `branch`, `tag` or `commit`.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// The remote answered, but has no commit at all.
    #[error("the repository `{url}` has no commit yet; push the code, then reset and enqueue the task again")]
    Empty {
        /// Which.
        url: String,
    },
    /// Objects could not be fetched, or not be written.
    #[error(
        "the repository `{url}` could not be fetched: {words}; see that the worker has disk space and network, then \
         reset and enqueue the task again"
    )]
    Fetch {
        /// Which.
        url: String,
        /// git's last words.
        words: String,
        /// The call.
        source: Box<ToolError>,
    },
    /// A working tree could not be made.
    #[error("commit `{commit}` could not be checked out: {words}; see the task's log")]
    Checkout {
        /// Which.
        commit: String,
        /// git's last words.
        words: String,
        /// The call.
        source: Box<ToolError>,
    },
    /// A submodule.
    #[error(
        "the repository's submodules could not be fetched: {words}; check their addresses in .gitmodules and the git \
         credentials of the worker"
    )]
    Submodules {
        /// git's last words.
        words: String,
        /// The call.
        source: Box<ToolError>,
    },
    /// The diff.
    #[error(
        "the task's uncommitted changes do not apply to commit {commit}: {words}; commit and push them, or clear the \
         task's uncommitted changes"
    )]
    Diff {
        /// On what.
        commit: String,
        /// git's last words.
        words: String,
        /// The call.
        source: Box<ToolError>,
    },
    /// A file of ours.
    #[error("`{}` cannot be written: {source}; free space on the worker, or see its log", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SourceError {
    /// Whether a full disk was the reason.
    pub(in crate::payload) fn disk_full(&self) -> bool {
        match self {
            Self::NoGit | Self::NoRevision { .. } | Self::Empty { .. } => false,
            Self::Unreachable { source, .. }
            | Self::Fetch { source, .. }
            | Self::Checkout { source, .. }
            | Self::Submodules { source, .. }
            | Self::Diff { source, .. } => source.disk_full(),
            Self::Write { source, .. } => is_disk_full(source),
        }
    }
}
