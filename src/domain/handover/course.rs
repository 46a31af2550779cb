//! `started.json`, `progress.json`, `stop.json`, `exit.json`: the course of a Run.

use serde::{Deserialize, Serialize};

use super::usage::Usage;
use crate::domain::ids::{RunId, UnixMillis};
use crate::domain::stop::StopReason;

/// Which process the shim is. A pidfd of `pid` is trusted only when `start_ticks` and `boot_id` match too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// In the host's pid namespace.
    pub pid: u32,
    /// Field 22 of /proc/PID/stat.
    pub start_ticks: u64,
    /// /proc/sys/kernel/random/boot_id.
    pub boot_id: String,
}

/// `started.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// [`VERSION`].
    pub version: u32,
    /// The Run.
    pub run: RunId,
    /// The shim.
    pub shim: ProcessIdentity,
    /// When.
    pub at: UnixMillis,
    /// What the sandbox could not have here, in words for an operator ("no cgroup v2", …).
    pub missing: Vec<String>,
}

/// One act of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The code is fetched.
    Source,
    /// The packages are installed.
    Environment,
    /// The user's program runs.
    Program,
}

impl Stage {
    /// As it is written for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Environment => "environment",
            Self::Program => "program",
        }
    }
}

/// `progress.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// [`VERSION`].
    pub version: u32,
    /// The stage that is on.
    pub stage: Stage,
    /// Since when.
    pub since: UnixMillis,
    /// The first process of the stage, in the host's pid namespace; for `program` this is the user's program.
    pub pid: Option<u32>,
    /// What the source stage found, once it has ended.
    pub source: Option<SourceReport>,
    /// What the environment stage made, once it has ended.
    pub environment: Option<EnvironmentReport>,
}

/// What the source stage found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// The commit that is checked out, if there is a repository.
    pub commit: Option<String>,
}

/// What the environment stage made or found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentReport {
    /// Its content address.
    pub key: String,
    /// Whether it was there already.
    pub cached: bool,
    /// The interpreter's version.
    pub python_version: String,
    /// What is installed, a requirement a line.
    pub frozen: Vec<String>,
}

/// `stop.json`: a stop is an input of a Run, not a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// [`VERSION`].
    pub version: u32,
    /// Why.
    pub reason: StopReason,
    /// From SIGTERM to SIGKILL. 0 kills at once.
    pub grace_ms: u64,
}

/// `exit.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// [`VERSION`].
    pub version: u32,
    /// The Run.
    pub run: RunId,
    /// When the last process had gone.
    pub at: UnixMillis,
    /// The stage that was on.
    pub stage: Stage,
    /// How it ended.
    pub end: End,
    /// The stop that was being carried out, if any.
    pub stop: Option<StopRequest>,
    /// Whether processes had to be killed because they outlived SIGTERM and the grace.
    pub killed: bool,
    /// The last line on the output that was not blank, cut to 500 characters.
    pub last_line: Option<String>,
    /// Bytes of output that did not fit into the spool's budget or onto the disk.
    pub dropped: u64,
    /// Whether there was no room on the Run's disk when its last process had gone.
    #[serde(default)]
    pub disk_full: bool,
    /// What the kernel counted.
    pub usage: Usage,
}

/// How a Run ended, as the shim saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum End {
    /// The program (or a stage's process) exited.
    Exited {
        /// Its code.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// Its number.
        signal: i32,
    },
    /// A stage before the program could not do its work, and said why.
    StageFailed {
        /// For the person who reads the task's status.
        reason: String,
    },
    /// The sandbox could not be built or the program not be started.
    LaunchFailed {
        /// For the operator.
        reason: String,
    },
    /// The Run's disk was full.
    DiskFull {
        /// What was being written.
        reason: String,
    },
}
