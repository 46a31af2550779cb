//! What the watcher makes of a Task's state at the server: whether the Run that has it must end, and why.

use super::ids::WorkerName;
use super::stop::StopReason;
use super::task::{TaskState, TaskStatus};

/// How often a reset must be seen: a single answer may be one that a store showed late.
const RESETS: u32 = 2;
/// How often another worker must be seen on the task: our own status reports put our name back every 30 s.
const STRANGERS: u32 = 3;

/// What the watcher remembers of one Run between two polls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    resets: u32,
    strangers: u32,
    /// When the abort was first seen, in milliseconds of any monotonic clock.
    abort_seen_ms: Option<u64>,
}

impl Memory {
    /// Judges one answer. `state` is none when the server does not know the task. `longest_callback_s` bounds what a
    /// program may ask for before it is killed.
    pub fn judge(
        &mut self,
        state: Option<&TaskState>,
        us: &WorkerName,
        now_ms: u64,
        longest_callback_s: u64,
    ) -> Option<StopReason> {
        let Some(state) = state else { return Some(StopReason::TaskDeleted) };
        match state.status {
            TaskStatus::InProgress => {
                self.resets = 0;
                if state.status_message.contains("stopping") || self.abort_seen_ms.is_some() {
                    return self.aborted(state, now_ms, longest_callback_s);
                }
                self.taken_over(state, us)
            }
            TaskStatus::Created => {
                self.resets += 1;
                (self.resets >= RESETS).then_some(StopReason::TaskReset)
            }
            TaskStatus::Queued
            | TaskStatus::Stopped
            | TaskStatus::Failed
            | TaskStatus::Closed
            | TaskStatus::Publishing
            | TaskStatus::Published => Some(StopReason::TaskChanged),
            // The program may complete its own task and go on.
            TaskStatus::Completed | TaskStatus::Unknown => None,
        }
    }

    /// The SDK's abort callback gets its time; without one the stop comes at once.
    fn aborted(&mut self, state: &TaskState, now_ms: u64, longest_s: u64) -> Option<StopReason> {
        let since = *self.abort_seen_ms.get_or_insert(now_ms);
        let wait_s = match state.abort_callback {
            Some(callback) if !callback.completed => {
                (callback.timeout_s.saturating_add(callback.poll_s)).min(longest_s)
            }
            Some(_) | None => 0,
        };
        (now_ms.saturating_sub(since) >= wait_s.saturating_mul(1000)).then_some(StopReason::UserAbort)
    }

    fn taken_over(&mut self, state: &TaskState, us: &WorkerName) -> Option<StopReason> {
        let stranger = state.last_worker.as_deref().is_some_and(|last| last != us.as_str());
        self.strangers = if stranger { self.strangers + 1 } else { 0 };
        (self.strangers >= STRANGERS).then_some(StopReason::TaskChanged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::TaskId;
    use crate::domain::task::AbortCallback;

    fn us() -> WorkerName {
        WorkerName::new("host:0").expect("a name")
    }

    fn state(status: TaskStatus, message: &str) -> TaskState {
        TaskState {
            id: TaskId::new("t").expect("an id"),
            status,
            status_message: message.into(),
            last_worker: Some("host:0".into()),
            abort_callback: None,
        }
    }

    #[test]
    fn an_abort_is_seen_at_once_and_stays_seen_when_a_started_wipes_it() {
        let mut memory = Memory::default();
        let stopping = state(TaskStatus::InProgress, "stopping");
        assert_eq!(memory.judge(Some(&stopping), &us(), 0, 1800), Some(StopReason::UserAbort));
        let wiped = state(TaskStatus::InProgress, "");
        assert_eq!(memory.judge(Some(&wiped), &us(), 1, 1800), Some(StopReason::UserAbort));
    }

    #[test]
    fn an_abort_callback_gets_its_time_but_no_more() {
        let mut memory = Memory::default();
        let mut stopping = state(TaskStatus::InProgress, "stopping");
        let callback = AbortCallback { timeout_s: 10, poll_s: 2, completed: false };
        stopping.abort_callback = Some(callback);
        assert_eq!(memory.judge(Some(&stopping), &us(), 1_000, 1800), None);
        assert_eq!(memory.judge(Some(&stopping), &us(), 12_999, 1800), None);
        assert_eq!(memory.judge(Some(&stopping), &us(), 13_000, 1800), Some(StopReason::UserAbort));

        let mut memory = Memory::default();
        assert_eq!(memory.judge(Some(&stopping), &us(), 0, 1800), None);
        stopping.abort_callback = Some(AbortCallback { completed: true, ..callback });
        assert_eq!(memory.judge(Some(&stopping), &us(), 500, 1800), Some(StopReason::UserAbort));
    }

    #[test]
    fn a_deleted_task_ends_its_run_at_once_and_a_reset_one_when_it_is_sure() {
        let mut memory = Memory::default();
        assert_eq!(memory.judge(None, &us(), 0, 1800), Some(StopReason::TaskDeleted));
        let created = state(TaskStatus::Created, "");
        assert_eq!(memory.judge(Some(&created), &us(), 0, 1800), None);
        assert_eq!(memory.judge(Some(&created), &us(), 0, 1800), Some(StopReason::TaskReset));
    }

    #[test]
    fn a_task_that_completed_itself_runs_on_and_one_changed_elsewhere_does_not() {
        let judge = |status| Memory::default().judge(Some(&state(status, "")), &us(), 0, 1800);
        assert_eq!(judge(TaskStatus::Completed), None);
        for status in [TaskStatus::Queued, TaskStatus::Stopped, TaskStatus::Failed, TaskStatus::Published] {
            assert_eq!(judge(status), Some(StopReason::TaskChanged), "{status:?}");
        }
    }

    #[test]
    fn another_worker_on_the_task_ends_the_run_when_it_stays() {
        let mut memory = Memory::default();
        let mut theirs = state(TaskStatus::InProgress, "");
        theirs.last_worker = Some("other:0".into());
        assert_eq!(memory.judge(Some(&theirs), &us(), 0, 1800), None);
        assert_eq!(memory.judge(Some(&theirs), &us(), 0, 1800), None);
        assert_eq!(memory.judge(Some(&theirs), &us(), 0, 1800), Some(StopReason::TaskChanged));
    }
}
