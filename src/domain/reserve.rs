//! What all Runs together leave to the system and to clearmld.

use super::limits::{Capacity, Cpus};

/// The share of memory that is left when nobody has said how much, and the most that it then is.
const USUAL_SHARE: u64 = 10;
const USUAL_MOST: u64 = 2 << 30;
const MIB: u64 = 1 << 20;

/// What the operator wants to be left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reserve {
    /// Bytes of RAM; none for a tenth, and 2 GiB at most; 0 for nothing.
    pub memory: Option<u64>,
    /// Processors.
    pub cpus: u32,
    /// Bytes of the state directory's disk, as it was found out at the start.
    pub disk: u64,
}

/// What all Runs together may use at most; what is none is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// Bytes of RAM.
    pub memory: Option<u64>,
    /// Processors.
    pub cpus: Option<Cpus>,
}

impl Reserve {
    /// What is left for Runs on this host. At least one processor and half of the memory are: a host that is all
    /// reserve does nothing.
    #[must_use]
    pub fn leaves(self, host: Capacity) -> Capacity {
        let memory = self.memory.unwrap_or_else(|| (host.memory / USUAL_SHARE).min(USUAL_MOST));
        Capacity {
            memory: host.memory.saturating_sub(memory).max(host.memory / 2),
            cpus: host.cpus.saturating_sub(self.cpus).max(1),
        }
    }

    /// What has to be enforced for that.
    #[must_use]
    pub fn share(self, host: Capacity) -> Share {
        let left = self.leaves(host);
        let cpus = Cpus::try_from(left.cpus.saturating_mul(1000)).ok();
        Share {
            memory: (left.memory < host.memory).then_some(left.memory),
            cpus: cpus.filter(|_| left.cpus < host.cpus),
        }
    }

    /// For `status`: what all Runs are held to, and what is kept of the disk.
    #[must_use]
    pub fn describe(self, held: Share) -> String {
        let parts = [
            held.memory.map(|memory| format!("at most {} MiB of memory", memory / MIB)),
            held.cpus.map(|cpus| format!("at most {cpus} CPUs")),
            (self.disk > 0).then(|| format!("{} MiB of the disk stay free", self.disk / MIB)),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "no limits".to_owned() } else { parts.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const HOST: Capacity = Capacity { memory: 64 * GIB, cpus: 8 };

    #[test]
    fn unasked_a_tenth_of_the_memory_and_two_gibibytes_at_most_are_left_to_the_system() {
        assert_eq!(Reserve::default().leaves(HOST), Capacity { memory: 62 * GIB, cpus: 8 });
        assert_eq!(Reserve::default().leaves(Capacity { memory: 10 * GIB, cpus: 1 }).memory, 9 * GIB);
        assert_eq!(Reserve::default().share(HOST), Share { memory: Some(62 * GIB), cpus: None });
    }

    #[test]
    fn what_is_asked_for_is_left_but_never_the_whole_host() {
        let reserve = Reserve { memory: Some(4 * GIB), cpus: 2, disk: GIB };
        assert_eq!(reserve.leaves(HOST), Capacity { memory: 60 * GIB, cpus: 6 });
        assert_eq!(
            reserve.describe(reserve.share(HOST)),
            "at most 61440 MiB of memory, at most 6 CPUs, 1024 MiB of the disk stay free"
        );
        let all = Reserve { memory: Some(100 * GIB), cpus: 100, disk: 0 };
        assert_eq!(all.leaves(HOST), Capacity { memory: 32 * GIB, cpus: 1 });
        let none = Reserve { memory: Some(0), cpus: 0, disk: 0 };
        assert_eq!((none.share(HOST), none.describe(Share::default()).as_str()), (Share::default(), "no limits"));
        assert_eq!(reserve.describe(Share::default()), "1024 MiB of the disk stay free", "where nobody can hold them");
    }
}
