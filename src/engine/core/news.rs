//! What comes back from errands and Runs.

use tokio::sync::OwnedSemaphorePermit;

use super::files::Files;
use crate::domain::handover::Progress;
use crate::domain::ids::{QueueId, RunId, WorkerName};
use crate::domain::run::RunRecord;
use crate::domain::stop::StopReason;
use crate::domain::task::QueueView;
use crate::domain::worker::QueueRef;
use crate::engine::handle::{EngineError, GpusView, Reply, WorkerDraft, WorkerView};
use crate::engine::ports::{Forced, ServerError};
use crate::engine::reload::Reload;

/// What comes back from errands and Runs.
#[derive(Debug)]
pub enum News {
    /// A Run's record was committed.
    Changed(Box<RunRecord>),
    /// A Run's shim is at something new.
    Progress {
        /// Which.
        run: RunId,
        /// At what.
        progress: Box<Progress>,
    },
    /// A claim came to nothing.
    Forgotten {
        /// Which.
        run: RunId,
        /// Why the server would not give the task; nothing when it was another's already.
        refused: Option<String>,
    },
    /// The host is on its way down.
    GoingDown,
    /// The poller's answer.
    Queues {
        /// What was asked.
        asked: Vec<QueueId>,
        /// What came.
        answer: Result<Vec<QueueView>, ServerError>,
    },
    /// The watcher wants a Run to end.
    Stop {
        /// Which.
        run: RunId,
        /// Why.
        reason: StopReason,
    },
    /// What the server says of Workers' runtime properties.
    Forced(Vec<(WorkerName, Result<Forced, ServerError>)>),
    /// The queues of a declared Worker were looked up.
    Located {
        /// Whose.
        worker: WorkerName,
        /// What was looked for.
        names: Vec<String>,
        /// Its queues, or why not.
        found: Result<Vec<QueueRef>, EngineError>,
    },
    /// The queues of a Worker that is being added are known.
    Resolved {
        /// The Worker.
        draft: Box<WorkerDraft>,
        /// Its queues, or why not.
        queues: Result<Vec<QueueRef>, EngineError>,
        /// Who asked.
        reply: Reply<WorkerView>,
    },
    /// The operator's files were read.
    Read {
        /// What they say.
        files: Box<Files>,
        /// Whether it is to be done.
        apply: bool,
        /// Who asked.
        reply: Reply<Reload>,
        /// The right to be the only one.
        turn: OwnedSemaphorePermit,
    },
    /// The GPUs were looked at for what may be wrong with them.
    Seen,
    /// A GPU on probation was examined.
    Examined {
        /// Which, by UUID.
        uuid: String,
        /// What speaks against it.
        found: Result<(), String>,
    },
    /// The GPUs have been looked at.
    Looked(Reply<GpusView>),
}
