//! The state machine of a task: pure, as the real server's tables say.

use crate::domain::task::TaskStatus;

use TaskStatus::{Closed, Completed, Created, Failed, InProgress, Published, Publishing, Queued, Stopped, Unknown};

/// What is to become of a task's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Verdict {
    Allowed,
    /// 400/110.
    Refused,
    /// The present status is not in the table: 500/1.
    NoTable,
}

/// Whether a task may go from one status to another. The same status is always allowed, and so is all by force.
pub(in crate::server) fn judge(from: TaskStatus, to: TaskStatus, force: bool) -> Verdict {
    if force {
        return Verdict::Allowed;
    }
    let allowed: &[TaskStatus] = match from {
        Created => &[Queued, InProgress],
        Queued => &[Created, InProgress, Stopped],
        InProgress => &[Stopped, Failed, Created, Completed],
        Stopped => &[Closed, Created, Failed, Queued, InProgress, Published, Publishing, Completed],
        Closed => &[Created, Failed, Published, Publishing, Stopped],
        Failed => &[Created, Stopped, Published, Queued],
        Completed => &[Published, InProgress, Created],
        Publishing => &[Published],
        Published => &[],
        Unknown => return Verdict::NoTable,
    };
    if from == to || allowed.contains(&to) { Verdict::Allowed } else { Verdict::Refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [TaskStatus; 9] =
        [Created, Queued, InProgress, Stopped, Publishing, Published, Closed, Failed, Completed];

    #[test]
    fn only_these_statuses_lead_to_each_of_the_workers_calls() {
        let sources =
            |to| ALL.into_iter().filter(|from| judge(*from, to, false) == Verdict::Allowed).collect::<Vec<_>>();
        assert_eq!(sources(InProgress), [Created, Queued, InProgress, Stopped, Completed]);
        assert_eq!(sources(Stopped), [Queued, InProgress, Stopped, Closed, Failed]);
        assert_eq!(sources(Failed), [InProgress, Stopped, Closed, Failed]);
        assert_eq!(sources(Completed), [InProgress, Stopped, Completed]);
        assert_eq!(sources(Queued), [Created, Queued, Stopped, Failed]);
        assert_eq!(sources(Closed), [Stopped, Closed]);
    }

    #[test]
    fn a_failed_task_does_not_run_again_and_a_published_one_not_at_all_but_by_force() {
        assert_eq!(judge(Failed, InProgress, false), Verdict::Refused);
        assert!(
            ALL.into_iter().filter(|to| *to != Published).all(|to| judge(Published, to, false) == Verdict::Refused)
        );
        assert!(ALL.into_iter().all(|to| judge(Published, to, true) == Verdict::Allowed));
    }

    #[test]
    fn an_unknown_status_is_an_error_of_the_server_without_force() {
        assert_eq!(judge(Unknown, Created, false), Verdict::NoTable);
        assert_eq!(judge(Unknown, Created, true), Verdict::Allowed);
    }
}
