//! What a Run has used.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the kernel counted; zero where it could not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// User and system time of all processes.
    pub cpu_micros: u64,
    /// Of it, in the programs themselves.
    pub user_micros: u64,
    /// Of it, in the kernel on their behalf.
    pub system_micros: u64,
    /// Time that they were ready to run and held back by the CPU limit.
    pub throttled_micros: u64,
    /// Peak memory in bytes: of the cgroup, else of the largest process.
    pub peak_memory: u64,
    /// The memory limit in bytes; 0 without one.
    pub memory_limit: u64,
    /// `oom_kill` of memory.events: processes killed for memory, whoever was short of it.
    pub oom_kills: u64,
    /// `oom` of memory.events: how often the Run's own limit was the reason.
    pub limit_hits: u64,
    /// The limit of all Runs of the host together in bytes, if that was reached while this Run lived; else 0.
    pub shared_limit: u64,
    /// Bytes read from disks.
    pub read_bytes: u64,
    /// Bytes written to disks.
    pub written_bytes: u64,
    /// How often a new process or thread was refused by the limit of their number.
    pub refused_forks: u64,
}

impl fmt::Display for Usage {
    /// For the end of the task's log; what was not counted is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |micros: u64| format!("{}.{} s", micros / 1_000_000, micros / 100_000 % 10);
        let mib = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
        write!(f, "{} of CPU", seconds(self.cpu_micros))?;
        if self.user_micros + self.system_micros > 0 {
            write!(f, " ({} user, {} system)", seconds(self.user_micros), seconds(self.system_micros))?;
        }
        if self.throttled_micros > 0 {
            write!(f, ", held back for {} by the CPU limit", seconds(self.throttled_micros))?;
        }
        if self.peak_memory > 0 {
            write!(f, ", {} of memory at most", mib(self.peak_memory))?;
        }
        if self.read_bytes + self.written_bytes > 0 {
            write!(f, ", {} read from disks, {} written", mib(self.read_bytes), mib(self.written_bytes))?;
        }
        match self.refused_forks {
            0 => Ok(()),
            times => write!(f, ", {times} times no further process (--pids)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_said_and_nothing_else() {
        assert_eq!(Usage { cpu_micros: 1_260_000, ..Usage::default() }.to_string(), "1.2 s of CPU");
        let usage = Usage {
            cpu_micros: 12_300_000,
            user_micros: 10_000_000,
            system_micros: 2_300_000,
            throttled_micros: 500_000,
            peak_memory: 512 << 20,
            read_bytes: 1,
            written_bytes: 3 << 20,
            refused_forks: 4,
            ..Usage::default()
        };
        assert_eq!(
            usage.to_string(),
            "12.3 s of CPU (10.0 s user, 2.3 s system), held back for 0.5 s by the CPU limit, 512 MiB of memory at \
             most, 1 MiB read from disks, 3 MiB written, 4 times no further process (--pids)"
        );
    }

    #[test]
    fn a_record_of_the_version_before_is_read() {
        let usage: Usage = serde_json::from_str(r#"{"cpu_micros": 5, "oom_kills": 1}"#).expect("read");
        assert_eq!((usage.cpu_micros, usage.user_micros, usage.shared_limit), (5, 0, 0));
    }
}
