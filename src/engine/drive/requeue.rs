//! Back to the head of its queue: see [`domain::requeue`](crate::domain::requeue).

use super::Drive;
use super::settle::insist;
use crate::domain::cause::Cause;
use crate::domain::requeue::{self, HostEnd, Requeue, Step};
use crate::domain::run::{Exited, Phase};
use crate::domain::stop::StopReason;
use crate::engine::Backoff;
use crate::engine::ports::{ServerError, StatusNote};
use tokio::time::{Duration, sleep};

/// What became of it.
pub(super) enum Outcome {
    /// The server knows; a sentence when it is not in its queue.
    Told(Option<String>),
    /// It is to be told the end as that of any other Run.
    Report,
}

impl Drive {
    /// Whether a Run of ours that ended so is to go back to its queue.
    pub(super) async fn requeue_after(&self, cause: &Cause) -> Option<Requeue> {
        if !self.record.requeue_on_host_loss {
            return None;
        }
        let launcher = &self.world.launcher;
        let going_down = match cause {
            Cause::Stopped { reason: StopReason::HostShutdown } => launcher.told_by_shutdown().await,
            Cause::Stopped { .. }
            | Cause::ExitCode { .. }
            | Cause::Signal { .. }
            | Cause::OutOfMemory { .. }
            | Cause::DiskFull { .. }
            | Cause::SetupFailed { .. }
            | Cause::LaunchFailed { .. }
            | Cause::GpuFault { .. }
            | Cause::GpuLost { .. }
            | Cause::Lost { .. } => launcher.going_down().await,
        };
        let rebooted = match &self.record.phase {
            Phase::Running(running) => launcher.rebooted_since(&running.shim),
            Phase::Claimed(_) | Phase::Prepared(_) | Phase::Exited(_) | Phase::Settled(_) => false,
        };
        requeue::went_down_with_host(cause, HostEnd { going_down, rebooted }).then_some(Requeue::Wanted)
    }

    /// Step by step; what the server has acknowledged is committed before the next.
    pub(super) async fn requeue(&mut self, exited: &mut Exited, from: Requeue) -> Outcome {
        let mut at = from;
        let note = self.requeue_note(&exited.cause);
        let world = self.world.clone();
        let (clearml, task, queue) = (&world.clearml, self.record.task.clone(), self.record.queue.clone());
        loop {
            let states = ask(|| clearml.task_states(std::slice::from_ref(&task))).await;
            let state = match states {
                Ok(states) => states.into_iter().next(),
                Err(error) => return Outcome::Told(Some(format!("the task cannot be put back: {error}"))),
            };
            let refused = match requeue::step(at, state.as_ref(), self.record.worker_id(), &note.message) {
                Step::Report => return Outcome::Report,
                Step::LeaveAlone => return Outcome::Told(Some("the task has gone its own way".to_owned())),
                Step::Stop => match insist(|| clearml.stopped(&task, &note)).await {
                    Some(error) => Some(error),
                    None => {
                        at = Requeue::Stopped;
                        exited.requeue = Some(at);
                        self.record.phase = Phase::Exited(exited.clone());
                        self.commit().await;
                        continue;
                    }
                },
                // An answer that was lost is looked up, since the next host may have the task by then.
                Step::Enqueue => match clearml.enqueue(&queue.id, &task, &note).await {
                    Ok(()) => insist(|| clearml.to_front(&queue.id, &task)).await,
                    Err(error) if error.retryable() => {
                        sleep(Duration::from_secs(1)).await;
                        continue;
                    }
                    Err(error) => Some(error),
                },
                Step::ToFront => insist(|| clearml.to_front(&queue.id, &task)).await,
            };
            return Outcome::Told(refused.map(|error| format!("the task cannot be put back: {error}")));
        }
    }

    fn requeue_note(&self, cause: &Cause) -> StatusNote {
        let (worker, run, queue) = (&self.record.worker, &self.record.id, &self.record.queue.name);
        StatusNote {
            reason: format!("{}; the task goes back to the head of queue {queue}", cause.reason()),
            // No other call ever says this, which is how we know our own hand in it.
            message: format!("put back by clearmld {worker}, run {run}"),
            force: false,
        }
    }
}

/// Repeats a question until the server answers for good.
async fn ask<T, F: Future<Output = Result<T, ServerError>>>(call: impl Fn() -> F) -> Result<T, ServerError> {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    loop {
        match call().await {
            Err(error) if error.retryable() => sleep(backoff.step()).await,
            answer => return answer,
        }
    }
}
