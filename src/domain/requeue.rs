//! A task whose host goes down under it goes back to the head of its queue, where its Worker says so. The server allows
//! no way from `in_progress` to `queued` but by force, so the task is `stopped` first and enqueued then; each step is
//! committed when the server has acknowledged it, and a step that may have been done is looked up before it is repeated:
//! by then somebody else may run the task.

use serde::{Deserialize, Serialize};

use super::cause::Cause;
use super::ids::WorkerName;
use super::stop::StopReason;
use super::task::{TaskState, TaskStatus};

/// So often a task may take its host down without notice, as far as the ledger remembers, before it is left failed:
/// it may be the task that does it.
pub const MOST_LOSSES: usize = 2;

/// How far it is. In the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Requeue {
    /// The server has not acknowledged that the task is stopped.
    Wanted,
    /// It has; the task is to be enqueued.
    Stopped,
}

/// What is known of the host when a Run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostEnd {
    /// It is on its way down, as far as can be told.
    pub going_down: bool,
    /// It has booted since the Run was started.
    pub rebooted: bool,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `tasks.stopped`.
    Stop,
    /// `tasks.enqueue`, then to the front.
    Enqueue,
    /// It is in the queue; to the front with it.
    ToFront,
    /// Tell the end as that of any other Run: somebody wants the task aborted.
    Report,
    /// Nothing: the task has gone its own way, or is in other hands.
    LeaveAlone,
}

/// Whether a Run that ended so went down with its host.
#[must_use]
pub fn went_down_with_host(cause: &Cause, host: HostEnd) -> bool {
    match cause {
        // An operator who stops the Run's unit by hand does not want it back.
        Cause::Stopped { reason: StopReason::HostShutdown } | Cause::Lost { .. } => host.going_down || host.rebooted,
        Cause::Stopped { .. }
        | Cause::ExitCode { .. }
        | Cause::Signal { .. }
        | Cause::OutOfMemory { .. }
        | Cause::DiskFull { .. }
        | Cause::SetupFailed { .. }
        | Cause::LaunchFailed { .. }
        | Cause::GpuFault { .. }
        | Cause::GpuLost { .. } => false,
    }
}

/// What to do about a task that is at `at`; `message` is the status message that is ours alone.
#[must_use]
pub fn step(at: Requeue, task: Option<&TaskState>, us: &WorkerName, message: &str) -> Step {
    let Some(task) = task else { return Step::LeaveAlone };
    let ours = task.status_message == message;
    match (at, task.status) {
        (Requeue::Wanted, TaskStatus::InProgress) if task.status_message.contains("stopping") => Step::Report,
        (Requeue::Wanted, TaskStatus::InProgress) => match task.last_worker.as_deref() {
            Some(last) if last != us.as_str() => Step::LeaveAlone,
            Some(_) | None => Step::Stop,
        },
        // The answer to our `stopped` was lost.
        (Requeue::Wanted, TaskStatus::Stopped) if ours => Step::Stop,
        (Requeue::Stopped, TaskStatus::Stopped) if ours => Step::Enqueue,
        (Requeue::Stopped, TaskStatus::Queued) if ours => Step::ToFront,
        (
            Requeue::Wanted | Requeue::Stopped,
            TaskStatus::Created
            | TaskStatus::Queued
            | TaskStatus::InProgress
            | TaskStatus::Stopped
            | TaskStatus::Failed
            | TaskStatus::Closed
            | TaskStatus::Completed
            | TaskStatus::Publishing
            | TaskStatus::Published
            | TaskStatus::Unknown,
        ) => Step::LeaveAlone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::TaskId;

    const OURS: &str = "put back by clearmld host:0, run r1";

    fn next(at: Requeue, status: TaskStatus, message: &str, last: Option<&str>) -> Step {
        let id = TaskId::new("t").expect("an id");
        let last_worker = last.map(str::to_owned);
        let state = TaskState { id, status, status_message: message.into(), last_worker, abort_callback: None };
        step(at, Some(&state), &WorkerName::new("host:0").expect("a name"), OURS)
    }

    #[test]
    fn a_running_task_is_stopped_and_then_enqueued_and_each_step_may_be_repeated() {
        use TaskStatus::{InProgress, Queued, Stopped};
        assert_eq!(next(Requeue::Wanted, InProgress, "pulled", Some("host:0")), Step::Stop);
        assert_eq!(next(Requeue::Wanted, InProgress, "pulled", None), Step::Stop);
        assert_eq!(next(Requeue::Wanted, Stopped, OURS, Some("host:0")), Step::Stop);
        assert_eq!(next(Requeue::Stopped, Stopped, OURS, Some("host:0")), Step::Enqueue);
        assert_eq!(next(Requeue::Stopped, Queued, OURS, Some("host:0")), Step::ToFront);
    }

    #[test]
    fn a_task_that_is_in_other_hands_is_left_alone_at_every_step() {
        use TaskStatus::{Completed, Created, Failed, InProgress, Published, Queued, Stopped};
        assert_eq!(next(Requeue::Wanted, InProgress, "pulled", Some("other:0")), Step::LeaveAlone);
        assert_eq!(next(Requeue::Stopped, InProgress, "pulled", Some("other:0")), Step::LeaveAlone);
        assert_eq!(next(Requeue::Stopped, InProgress, "pulled", Some("host:0")), Step::LeaveAlone, "it runs again");
        assert_eq!(next(Requeue::Stopped, Stopped, "Stopped by a user", Some("host:0")), Step::LeaveAlone);
        for status in [Completed, Created, Failed, Published, Queued, Stopped] {
            for at in [Requeue::Wanted, Requeue::Stopped] {
                assert_eq!(next(at, status, "theirs", Some("host:0")), Step::LeaveAlone, "{status:?}");
            }
        }
        assert_eq!(step(Requeue::Wanted, None, &WorkerName::new("w").expect("a name"), OURS), Step::LeaveAlone);
    }

    #[test]
    fn an_abort_that_came_with_the_shutdown_counts() {
        assert_eq!(next(Requeue::Wanted, TaskStatus::InProgress, "stopping", Some("host:0")), Step::Report);
    }

    #[test]
    fn only_an_end_that_came_with_the_hosts_puts_a_task_back() {
        let still_up = HostEnd { going_down: false, rebooted: false };
        let gone = [HostEnd { going_down: true, ..still_up }, HostEnd { rebooted: true, ..still_up }];
        let shutdown = Cause::Stopped { reason: StopReason::HostShutdown };
        let lost = Cause::Lost { reason: "no record".into() };
        for cause in [&shutdown, &lost] {
            assert!(!went_down_with_host(cause, still_up), "{cause:?}");
            assert!(gone.iter().all(|host| went_down_with_host(cause, *host)), "{cause:?}");
        }
        let others = [
            Cause::ExitCode { code: 0, last_line: None },
            Cause::OutOfMemory { peak: 0, limit: 0, shared_limit: 0 },
            Cause::Stopped { reason: StopReason::UserAbort },
        ];
        assert!(others.iter().all(|cause| !went_down_with_host(cause, gone[0])));
    }
}
