//! What init, and a payload that does not come up, tell the shim: one JSON line each, on a pipe that no program of the
//! payload ever has.

use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

use crate::domain::handover::End;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "word")]
pub(super) enum Word {
    /// The sandbox could not have something.
    Missing {
        /// In words for an operator.
        what: String,
    },
    /// The payload's first process lives.
    Started {
        /// Its pid in its own namespace.
        pid: u32,
    },
    /// The sandbox could not be built, or the payload not be started.
    Failed {
        /// Why.
        reason: String,
    },
    /// The payload's first process has ended; the rest of its namespace follows.
    Ended {
        /// How.
        end: End,
    },
}

/// Longer texts are cut, so that a word is written at once or not at all (PIPE_BUF is 4096).
const LONGEST: usize = 1000;

impl Word {
    /// Says it.
    pub(super) fn say(mut self, pipe: impl AsFd) {
        if let Self::Missing { what: text } | Self::Failed { reason: text } = &mut self {
            *text = text.chars().take(LONGEST).collect();
        }
        if let Ok(mut line) = serde_json::to_vec(&self) {
            line.push(b'\n');
            // If nobody listens, the shim is gone, and so will we be.
            let _ = rustix::io::write(pipe, &line);
        }
    }

    /// All words in `bytes`; what is damaged is left out.
    #[must_use]
    pub(super) fn all(bytes: &[u8]) -> Vec<Self> {
        bytes.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
    }
}

/// From what wait(2) says.
#[must_use]
pub(super) fn end_of(status: rustix::process::WaitStatus) -> End {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => End::Exited { code },
        (None, Some(signal)) => End::Signaled { signal },
        // Neither exited nor signalled cannot be: stops and continues are not asked for.
        (None, None) => End::Signaled { signal: 0 },
    }
}
