//! Why the code could not be fetched.

use std::io;
use std::path::PathBuf;

use crate::payload::tool::is_disk_full;

/// Each says what, why, and the next step.
#[derive(Debug, thiserror::Error)]
pub(in crate::payload) enum SourceError {
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
            Self::Write { source, .. } => is_disk_full(source),
        }
    }
}
