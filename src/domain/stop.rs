//! Why a Run is stopped, and how: the escalation from a request to SIGKILL, as a pure function of time.

use serde::{Deserialize, Serialize};

/// Why a Run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// Somebody pressed Abort (`tasks.stop`).
    UserAbort,
    /// The task was reset at the server.
    TaskReset,
    /// The task was deleted at the server.
    TaskDeleted,
    /// The task's status was changed by somebody else: stopped, failed, closed, published, queued again.
    TaskChanged,
    /// `clearmlctl run stop`.
    Operator,
    /// `clearmlctl worker stop --now` or `worker remove --now`.
    WorkerStopped,
    /// The host is going down, or PID 1 stopped the Run's unit.
    HostShutdown,
    /// The Run's time was up.
    TimeLimit,
}

/// What is to be done to the Run's processes now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopStep {
    /// Send SIGTERM to every process, once.
    Terminate,
    /// Nothing until so many milliseconds have passed.
    Wait {
        /// From now.
        ms: u64,
    },
    /// Kill everything: the cgroup, the namespace, every descendant.
    Kill,
}

/// A stop that is being carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Escalation {
    since_ms: u64,
    grace_ms: u64,
    terminated: bool,
}

impl Escalation {
    /// Starts at `now_ms` of a monotonic clock.
    #[must_use]
    pub fn begin(now_ms: u64, grace_ms: u64) -> Self {
        Self { since_ms: now_ms, grace_ms, terminated: false }
    }

    /// A further request can shorten the grace that is left, never lengthen it.
    pub fn hasten(&mut self, now_ms: u64, grace_ms: u64) {
        let left = self.deadline().saturating_sub(now_ms);
        if grace_ms < left {
            self.grace_ms = now_ms.saturating_sub(self.since_ms).saturating_add(grace_ms);
        }
    }

    /// What to do at `now_ms`. SIGTERM is asked for exactly once, and not at all without grace.
    pub fn next(&mut self, now_ms: u64) -> StopStep {
        let left = self.deadline().saturating_sub(now_ms);
        if left == 0 {
            return StopStep::Kill;
        }
        if !self.terminated {
            self.terminated = true;
            return StopStep::Terminate;
        }
        StopStep::Wait { ms: left }
    }

    fn deadline(&self) -> u64 {
        self.since_ms.saturating_add(self.grace_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn without_grace_the_kill_comes_at_once_and_sigterm_never() {
        assert_eq!(Escalation::begin(5, 0).next(5), StopStep::Kill);
    }

    proptest! {
        #[test]
        fn sigterm_comes_once_and_first_and_the_kill_not_before_its_time(
            start in 0u64..1 << 40,
            grace in 1u64..100_000,
            mut steps in proptest::collection::vec(0u64..200_000, 1..40),
        ) {
            steps.sort_unstable();
            let mut escalation = Escalation::begin(start, grace);
            let mut terms = 0;
            for offset in steps {
                match escalation.next(start + offset) {
                    StopStep::Terminate => {
                        terms += 1;
                        prop_assert!(offset < grace);
                    }
                    StopStep::Wait { ms } => prop_assert_eq!(offset + ms, grace),
                    StopStep::Kill => prop_assert!(offset >= grace),
                }
            }
            prop_assert!(terms <= 1);
        }

        #[test]
        fn a_second_request_never_lengthens_the_grace(
            grace in 0u64..100_000, passed in 0u64..100_000, second in 0u64..1_000_000,
        ) {
            let mut escalation = Escalation::begin(0, grace);
            escalation.hasten(passed, second);
            prop_assert!(escalation.deadline() <= grace);
            prop_assert!(escalation.deadline() >= grace.min(passed));
        }
    }
}
