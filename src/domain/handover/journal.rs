//! What of a Run's output goes to the host's journal.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::domain::ids::WorkerName;

/// What of a Run's output goes to the host's journal, and with which fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalSpec {
    /// journald's socket for native entries.
    pub socket: PathBuf,
    /// `CLEARML_WORKER`.
    pub worker: WorkerName,
    /// `CLEARML_QUEUE`.
    pub queue: String,
    /// Lines a second, in the long run; more may come at once (see [`crate::domain::journal::Limits`]).
    pub lines_per_second: u32,
    /// Bytes of the Run's output, all in all.
    pub budget: u64,
}
