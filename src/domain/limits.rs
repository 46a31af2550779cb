//! What a Run may use at most. Declared with a Worker, enforced by the kernel (cgroup v2) and, for the time, by the shim.
//!
//! A limit that the host cannot enforce is refused, never kept as a wish: see [`Controllers::lacking`].

mod amount;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use self::amount::LEAST_PIDS;
pub use self::amount::{Cpus, Disk, Memory, Pids, Time};

const MIB: u64 = 1 << 20;
/// Processes and threads of a Run without a limit of its own, if a quarter of what the kernel has is not less.
const USUAL_PIDS: u32 = 32_768;

/// A limit that makes no sense, or that this host cannot keep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// It cannot be read.
    #[error("`{text}` is no {what}; write for example {example}")]
    Unreadable {
        /// What was asked for.
        text: String,
        /// `amount of memory`.
        what: &'static str,
        /// How it is written.
        example: &'static str,
    },
    /// It is out of range.
    #[error("`{text}` is {how}")]
    OutOfRange {
        /// What was asked for.
        text: String,
        /// `less than a task needs to start (64M)`.
        how: &'static str,
    },
    /// The host has less.
    #[error("a limit of {asked} is none: this host has {has} for tasks")]
    BeyondHost {
        /// What was asked for.
        asked: String,
        /// What there is.
        has: String,
    },
    /// The kernel here has no such controller to give.
    #[error(
        "this host cannot enforce a limit of {what}: {why}; leave the limit out, or give the host a cgroup v2 tree with the controllers {needed} (on a host with cgroup v1: boot with systemd.unified_cgroup_hierarchy=1)"
    )]
    Unenforceable {
        /// `memory and processes`.
        what: String,
        /// Where the controllers are missing.
        why: String,
        /// `memory, pids`.
        needed: String,
    },
}

/// What a Run may use at most; what is absent is not limited, but for the number of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// RAM, with page cache and /dev/shm; swap is off then.
    pub memory: Option<Memory>,
    /// Processor time.
    pub cpus: Option<Cpus>,
    /// Processes and threads. Absent: [`usual_pids`].
    pub pids: Option<Pids>,
    /// From the start of the Run, all stages together, until it is stopped.
    pub time: Option<Time>,
    /// What its own files on the disk of the state directory may take.
    pub disk: Option<Disk>,
}

/// Limits as a person writes them, each by the name of its option.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "they are the fields of Limits")]
pub struct Written<'a> {
    pub memory: Option<&'a str>,
    pub cpus: Option<&'a str>,
    pub pids: Option<u64>,
    pub time_limit: Option<&'a str>,
    pub disk: Option<&'a str>,
}

/// The user property of a task that limits its own time.
pub const TIME_PROPERTY: &str = "clearmld.time_limit";

/// What the kernel can count and limit for a Run here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Controllers {
    /// The memory controller.
    pub memory: bool,
    /// The cpu controller.
    pub cpu: bool,
    /// The pids controller.
    pub pids: bool,
    /// Where that was found out, or why there is nothing: for people.
    pub place: String,
}

/// How large the host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes of RAM.
    pub memory: u64,
    /// Processors.
    pub cpus: u32,
}

/// Processes and threads of a Run whose Worker has no limit of its own: a fork bomb must leave the host room to end it.
#[must_use]
pub fn usual_pids(kernel_has: u64) -> u32 {
    u32::try_from(kernel_has / 4).unwrap_or(u32::MAX).clamp(LEAST_PIDS, USUAL_PIDS)
}

// === impl Limits ===

impl Limits {
    /// From what a person wrote.
    ///
    /// # Errors
    /// The first that makes no sense, with its name.
    pub fn parse(written: &Written<'_>) -> Result<Self, (&'static str, LimitError)> {
        fn read<T: FromStr<Err = LimitError>>(
            name: &'static str,
            text: Option<&str>,
        ) -> Result<Option<T>, (&'static str, LimitError)> {
            text.map(str::parse).transpose().map_err(|error| (name, error))
        }
        Ok(Self {
            memory: read("memory", written.memory)?,
            cpus: read("cpus", written.cpus)?,
            pids: read("pids", written.pids.map(|pids| pids.to_string()).as_deref())?,
            time: read("time_limit", written.time_limit)?,
            disk: read("disk", written.disk)?,
        })
    }

    /// With the time that a task asks for itself: it can have less than its Worker gives, never more. A sentence for its
    /// log when what it asks for is not what it gets.
    #[must_use]
    pub fn with_time_of_task(self, asked: Option<&str>) -> (Self, Option<String>) {
        let Some(asked) = asked else { return (self, None) };
        let worker = self.time.map_or_else(|| "it has no time limit".to_owned(), |time| format!("{time} hold"));
        match (asked.parse::<Time>(), self.time) {
            // Its text is somebody else's, and goes into a log.
            (Err(LimitError::OutOfRange { how, .. }), _) => (self, Some(format!("{TIME_PROPERTY} is {how}; {worker}"))),
            (Err(_), _) => (self, Some(format!("{TIME_PROPERTY} is no time such as 90s, 30m, 12h or 7d; {worker}"))),
            (Ok(time), Some(limit)) if time > limit => {
                (self, Some(format!("{TIME_PROPERTY} is more than the worker gives; {limit} hold")))
            }
            (Ok(time), _) => (Self { time: Some(time), ..self }, None),
        }
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Refuses what is more than the host has: a limit that can never be reached limits nothing.
    ///
    /// # Errors
    /// [`LimitError::BeyondHost`].
    pub fn check(&self, host: Capacity) -> Result<(), LimitError> {
        if let Some(memory) = self.memory.filter(|memory| memory.bytes() > host.memory) {
            // Rounded down, or a host of 31.9 GiB would be told that 32 GiB are more than its 32 GiB.
            let has = format!("{} MiB", host.memory / MIB);
            return Err(LimitError::BeyondHost { asked: memory.to_string(), has });
        }
        match self.cpus.filter(|cpus| cpus.millis() > host.cpus.saturating_mul(1000)) {
            Some(cpus) => {
                Err(LimitError::BeyondHost { asked: format!("{cpus} CPUs"), has: format!("{} CPUs", host.cpus) })
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.memory.map(|memory| format!("memory {memory}")),
            self.cpus.map(|cpus| format!("{cpus} CPUs")),
            self.pids.map(|pids| format!("{pids} processes")),
            self.time.map(|time| format!("time {time}")),
            self.disk.map(|disk| format!("disk {disk}")),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        f.write_str(&if parts.is_empty() { "none".to_owned() } else { parts.join(", ") })
    }
}

// === impl Controllers ===

impl Controllers {
    /// From cgroup.controllers.
    #[must_use]
    pub fn of(text: &str, place: String) -> Self {
        let has = |name: &str| text.split_whitespace().any(|word| word == name);
        Self { memory: has("memory"), cpu: has("cpu"), pids: has("pids"), place }
    }

    /// Why these limits cannot be enforced here, if they cannot. The time limit is the shim's own and always holds.
    ///
    /// # Errors
    /// [`LimitError::Unenforceable`].
    pub fn lacking(&self, limits: &Limits) -> Result<(), LimitError> {
        let wanted = [
            (limits.memory.is_some() && !self.memory, "memory", "memory"),
            (limits.cpus.is_some() && !self.cpu, "CPUs", "cpu"),
            (limits.pids.is_some() && !self.pids, "processes", "pids"),
        ];
        let (what, needed): (Vec<&str>, Vec<&str>) =
            wanted.into_iter().filter(|(lacks, ..)| *lacks).map(|(_, what, needed)| (what, needed)).unzip();
        if what.is_empty() {
            return Ok(());
        }
        let (what, why, needed) = (what.join(" and "), self.place.clone(), needed.join(", "));
        Err(LimitError::Unenforceable { what, why, needed })
    }
}

#[cfg(test)]
mod tests;
