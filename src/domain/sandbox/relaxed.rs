//! Parts of the sandbox that a Worker's definition may relax, each by its name. A closed set: what is not here holds for
//! every task.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{SandboxError, printable};

/// A part that can be relaxed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// System calls are not filtered at all.
    Seccomp,
    /// The program has io_uring.
    IoUring,
    /// The program can make namespaces, and mount in them.
    UserNamespaces,
    /// The program has perf_event_open, as far as the kernel grants it.
    PerfEvents,
    /// The program is in the host's namespace of System V and POSIX message queues.
    IpcNamespace,
    /// The host's /tmp and /var/tmp are the program's.
    PrivateTmp,
    /// The host's files can be written to, as far as the program's user may.
    ReadOnlyRoot,
}

/// What never can be, with the reason: words that somebody may try.
const NEVER: [(&[&str], &str); 6] = [
    (
        &["uid", "user", "root", "privileges"],
        "a task never runs as root, so that what it does has an owner; use --user",
    ),
    (
        &["capabilities", "caps", "no-new-privs", "setuid"],
        "with a capability or a set-user-id program a task would be as good as root",
    ),
    (
        &["pid-namespace", "mount-namespace", "namespaces", "cgroup", "uts-namespace"],
        "the shim ends and counts processes by it, and hides the daemon's files with it",
    ),
    (&["hidden", "state-dir", "state"], "the daemon's state holds the tokens and files of other runs"),
    (&["private-dev", "dev", "devices"], "with the host's /dev a task could open GPUs that are others'; use --device"),
    (&["ptrace"], "a program can trace its own processes as it is, and no others"),
];

impl Part {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Seccomp,
        Self::IoUring,
        Self::UserNamespaces,
        Self::PerfEvents,
        Self::IpcNamespace,
        Self::PrivateTmp,
        Self::ReadOnlyRoot,
    ];

    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seccomp => "seccomp",
            Self::IoUring => "io-uring",
            Self::UserNamespaces => "user-namespaces",
            Self::PerfEvents => "perf-events",
            Self::IpcNamespace => "ipc-namespace",
            Self::PrivateTmp => "private-tmp",
            Self::ReadOnlyRoot => "read-only-root",
        }
    }
}

impl FromStr for Part {
    type Err = SandboxError;

    fn from_str(text: &str) -> Result<Self, SandboxError> {
        if let Some(part) = Self::ALL.into_iter().find(|part| part.as_str() == text) {
            return Ok(part);
        }
        let hint = match NEVER.iter().find(|(names, _)| names.contains(&text)) {
            Some((_, reason)) => (*reason).to_owned(),
            None => format!("known are {}", Self::ALL.map(Self::as_str).join(", ")),
        };
        Err(SandboxError::Part { name: printable(text), hint })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The parts that are relaxed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Relaxed(BTreeSet<Part>);

impl Relaxed {
    /// Whether this part is.
    #[must_use]
    pub fn has(&self, part: Part) -> bool {
        self.0.contains(&part)
    }

    /// Whether nothing is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Part> + '_ {
        self.0.iter().copied()
    }
}

impl FromIterator<Part> for Relaxed {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        Self(parts.into_iter().collect())
    }
}

impl fmt::Display for Relaxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<&str> = self.iter().map(Part::as_str).collect();
        f.write_str(&parts.join(", "))
    }
}
