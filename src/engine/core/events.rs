//! What happened, for those who listen and for the journal.

use super::Core;
use crate::domain::ids::{RunId, TaskId, WorkerName};
use crate::domain::run::{Phase, RunRecord};
use crate::engine::handle::{Event, ServerLink};

impl Core {
    /// Says it once: while the server is away each failed call has its own reason, which `status` shows.
    pub(super) fn link_changed(&mut self, link: &ServerLink) {
        let answers = match link {
            ServerLink::Unknown => return,
            ServerLink::Up { .. } => true,
            ServerLink::Down { .. } => false,
        };
        if self.answers.replace(answers) == Some(answers) {
            return;
        }
        match link {
            ServerLink::Unknown => {}
            ServerLink::Up { .. } => {
                self.eager += 1;
                self.search_again();
                self.emit("server_up", None, None, "the ClearML server answers".to_owned());
            }
            ServerLink::Down { reason, .. } => {
                tracing::warn!(
                    reason,
                    "the ClearML server does not answer; runs go on, and everything is delivered later"
                );
                self.emit("server_down", None, None, format!("the ClearML server does not answer: {reason}"));
            }
        }
    }

    pub(super) fn emit_phase(&mut self, record: &RunRecord) {
        let (kind, message) = match &record.phase {
            Phase::Claimed(_) => {
                ("run_claimed", format!("task {} taken from queue {}", record.task, record.queue.name))
            }
            Phase::Prepared(_) => ("run_prepared", format!("task {} is ready to start", record.task)),
            Phase::Running(_) => ("run_started", format!("task {} started", record.task)),
            Phase::Exited(exited) => ("run_exited", exited.cause.reason()),
            Phase::Settled(settled) => {
                ("run_settled", settled.note.clone().unwrap_or_else(|| "the server knows the end".to_owned()))
            }
        };
        let cause = record.exited().map_or("", |exited| exited.cause.word());
        tracing::info!(
            CLEARML_TASK_ID = %record.task, CLEARML_RUN_ID = %record.id, CLEARML_WORKER = %record.worker,
            CLEARML_QUEUE = %record.queue.name, CLEARML_CAUSE = cause, "{kind}: {message}"
        );
        self.emit_run(kind, &record.id, message);
    }

    pub(super) fn emit_run(&mut self, kind: &'static str, run: &RunId, message: String) {
        let record = self.runs.get(run).map(|slot| &slot.record);
        let about = record.map(|record| (record.id.clone(), record.task.clone()));
        let worker = record.map(|record| record.worker.clone());
        self.emit(kind, worker, about, message);
    }

    pub(super) fn emit(
        &mut self,
        kind: &'static str,
        worker: Option<WorkerName>,
        about: Option<(RunId, TaskId)>,
        message: String,
    ) {
        self.sequence += 1;
        let (run, task) = about.unzip();
        let at = self.world.clock.now();
        // Nobody listening is no error.
        let _ = self.events.send(Event { sequence: self.sequence, at, kind, worker, run, task, message });
    }
}
