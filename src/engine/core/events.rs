//! What happened, for those who listen and for the journal.

use super::Core;
use crate::domain::ids::{RunId, TaskId, WorkerName};
use crate::domain::notice::{Notice, Priority};
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
                self.control.try_again();
                self.emit("server_up", None, None, "the ClearML server answers".to_owned());
            }
            ServerLink::Down { reason, .. } => {
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
        let notice = match &record.phase {
            Phase::Exited(exited) => Some(Notice::of_end(&exited.cause)),
            Phase::Claimed(_) | Phase::Prepared(_) | Phase::Running(_) | Phase::Settled(_) => Notice::named(kind),
        };
        note(notice, kind, &message, &Subject::of(record));
        self.tell(kind, Some(record.worker.clone()), Some((record.id.clone(), record.task.clone())), message);
    }

    pub(super) fn emit_run(&mut self, kind: &'static str, run: &RunId, message: String) {
        let record = self.runs.get(run).map(|slot| &slot.record);
        note(Notice::named(kind), kind, &message, &record.map_or_else(Subject::default, Subject::of));
        let about = record.map(|record| (record.id.clone(), record.task.clone()));
        let worker = record.map(|record| record.worker.clone());
        self.tell(kind, worker, about, message);
    }

    pub(super) fn emit(
        &mut self,
        kind: &'static str,
        worker: Option<WorkerName>,
        about: Option<(RunId, TaskId)>,
        message: String,
    ) {
        let (run, task) = about.as_ref().map(|(run, task)| (run.as_str(), task.as_str())).unzip();
        let subject = Subject { worker: worker.as_ref().map(WorkerName::as_str), run, task, ..Subject::default() };
        note(Notice::named(kind), kind, &message, &subject);
        self.tell(kind, worker, about, message);
    }

    /// To those who listen; the journal has it already.
    fn tell(
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

/// What an entry of the journal is about.
#[derive(Debug, Default)]
struct Subject<'a> {
    worker: Option<&'a str>,
    run: Option<&'a str>,
    task: Option<&'a str>,
    queue: Option<&'a str>,
    cause: Option<&'a str>,
    unit: Option<String>,
}

impl<'a> Subject<'a> {
    fn of(record: &'a RunRecord) -> Self {
        Self {
            worker: Some(record.worker.as_str()),
            run: Some(record.id.as_str()),
            task: Some(record.task.as_str()),
            queue: Some(&record.queue.name),
            cause: record.exited().map(|exited| exited.cause.word()),
            // So `journalctl -u` of the Run's unit shows this too.
            unit: Some(record.id.unit()),
        }
    }
}

/// Writes it to the journal; what is no notice only for those who look for a defect.
fn note(notice: Option<Notice>, kind: &str, message: &str, about: &Subject<'_>) {
    macro_rules! say {
        ($level:ident) => {
            tracing::$level!(
                MESSAGE_ID = notice.map(Notice::id),
                CLEARML_TASK_ID = about.task,
                CLEARML_RUN_ID = about.run,
                CLEARML_WORKER = about.worker,
                CLEARML_QUEUE = about.queue,
                CLEARML_CAUSE = about.cause,
                OBJECT_SYSTEMD_UNIT = about.unit.as_deref(),
                "{kind}: {message}"
            )
        };
    }
    match notice.map_or(Priority::Debug, Notice::priority) {
        Priority::Error => say!(error),
        Priority::Warning => say!(warn),
        Priority::Notice | Priority::Info => say!(info),
        Priority::Debug => say!(debug),
    }
}
