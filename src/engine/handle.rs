//! What the doors (gRPC, signals) may ask of the engine. One command is one message to the engine's loop, which owns
//! all state; answers are values.

mod views;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot};

pub use self::views::{Event, GpusView, HostStatus, RunView, ServerLink, WorkerActivity, WorkerView};
use super::ports::ServerError;
pub use super::reload::{Reload, SettingChange};
use crate::domain::explain::Finding;
use crate::domain::gpu::GpuId;
use crate::domain::health::Record;
use crate::domain::ids::{RunId, WorkerName};
use crate::domain::inventory::GpuView;
pub use crate::domain::worker::WorkerDraft;

/// Why a command was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No such thing.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// `worker`, `run`, `queue`, `gpu`.
        kind: &'static str,
        /// What was asked for.
        name: String,
    },
    /// It would contradict something that is.
    #[error("{reason}")]
    Conflict {
        /// Which, and what to do.
        reason: String,
    },
    /// The request itself makes no sense.
    #[error("{reason}")]
    Invalid {
        /// What and why.
        reason: String,
    },
    /// It needs the server.
    #[error(transparent)]
    Server(ServerError),
    /// It could not be made durable; nothing has changed.
    #[error("cannot write {path}: {reason}")]
    Ledger {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The daemon is going down.
    #[error("clearmld is shutting down")]
    Closing,
}

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A Worker.
    Worker(WorkerName),
    /// A task, by its id or that of a Run of it, or the beginning of either (≥ 4 characters).
    Task(String),
    /// A GPU or a slice.
    Gpu(GpuId),
}

/// What an operator may say of a GPU's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuOrder {
    /// It is lent to nobody.
    Quarantine,
    /// It is put on probation, and lent again if that goes well.
    Verify,
    /// It is lent again at once.
    Readmit,
}

/// A reservation that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReservation {
    /// Of which GPU or slice.
    pub gpu: GpuId,
    /// For whom.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
    /// For how long.
    pub ms: u64,
    /// From the end of the Run that holds it, instead of being refused.
    pub when_free: bool,
}

/// How old an inventory may be for an order about a GPU.
const RECENT: Duration = Duration::from_secs(2);

/// How a command travels: answered through the sender.
pub type Reply<T> = oneshot::Sender<Result<T, EngineError>>;

/// A command to the engine's loop.
#[expect(missing_docs, reason = "each is the method of Handle of that name")]
pub enum Command {
    Status(Reply<HostStatus>),
    Workers(Reply<Vec<WorkerView>>),
    AddWorker(Box<WorkerDraft>, Reply<WorkerView>),
    StopWorker { name: WorkerName, now: bool, reply: Reply<WorkerView> },
    ResumeWorker { name: WorkerName, reply: Reply<WorkerView> },
    RemoveWorker { name: WorkerName, now: bool, reply: Reply<()> },
    Runs(Reply<Vec<RunView>>),
    Gpus { age: Duration, reply: Reply<GpusView> },
    Explain { subject: Subject, reply: Reply<Vec<Finding>> },
    OrderGpu { gpu: GpuId, order: GpuOrder, reason: String, reply: Reply<Record> },
    ReserveGpu { asked: NewReservation, reply: Reply<()> },
    ReleaseGpu { gpu: GpuId, reply: Reply<()> },
    StopRun { run: RunId, grace_ms: Option<u64>, reply: Reply<RunView> },
    Drain(Reply<()>),
    Resume(Reply<()>),
    Plan(Reply<Reload>),
    Reload(Reply<Reload>),
    Close(Reply<()>),
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Status(_) => "Status",
            Self::Workers(_) => "Workers",
            Self::AddWorker(..) => "AddWorker",
            Self::StopWorker { .. } => "StopWorker",
            Self::ResumeWorker { .. } => "ResumeWorker",
            Self::RemoveWorker { .. } => "RemoveWorker",
            Self::Runs(_) => "Runs",
            Self::Gpus { .. } => "Gpus",
            Self::Explain { .. } => "Explain",
            Self::OrderGpu { .. } => "OrderGpu",
            Self::ReserveGpu { .. } => "ReserveGpu",
            Self::ReleaseGpu { .. } => "ReleaseGpu",
            Self::StopRun { .. } => "StopRun",
            Self::Drain(_) => "Drain",
            Self::Resume(_) => "Resume",
            Self::Plan(_) => "Plan",
            Self::Reload(_) => "Reload",
            Self::Close(_) => "Close",
        })
    }
}

/// The engine, as its doors hold it.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<Event>,
}

impl Handle {
    /// Ties a handle to a loop that receives `commands` and sends `events`.
    #[must_use]
    pub fn new(commands: mpsc::Sender<Command>, events: broadcast::Sender<Event>) -> Self {
        Self { commands, events }
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| EngineError::Closing)?;
        answer.await.map_err(|_| EngineError::Closing)?
    }

    /// How the host is.
    ///
    /// # Errors
    /// Only when the daemon is going down, as of every reading method here.
    pub async fn status(&self) -> Result<HostStatus, EngineError> {
        self.ask(Command::Status).await
    }

    /// All Workers, by name.
    ///
    /// # Errors
    /// See [`Handle::status`].
    pub async fn workers(&self) -> Result<Vec<WorkerView>, EngineError> {
        self.ask(Command::Workers).await
    }

    /// One Worker.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn worker(&self, name: &WorkerName) -> Result<WorkerView, EngineError> {
        let found = self.workers().await?.into_iter().find(|view| view.worker.name == *name);
        found.ok_or_else(|| EngineError::NotFound { kind: "worker", name: name.to_string() })
    }

    /// Declares a Worker, durably.
    ///
    /// # Errors
    /// When its name or its GPUs are another's, a queue is unknown, the user may not be used, or the server is away.
    pub async fn add_worker(&self, draft: WorkerDraft) -> Result<WorkerView, EngineError> {
        self.ask(|reply| Command::AddWorker(Box::new(draft), reply)).await
    }

    /// The Worker takes no more tasks; `now` also aborts the one it has.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn stop_worker(&self, name: WorkerName, now: bool) -> Result<WorkerView, EngineError> {
        self.ask(|reply| Command::StopWorker { name, now, reply }).await
    }

    /// The Worker takes tasks again.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn resume_worker(&self, name: WorkerName) -> Result<WorkerView, EngineError> {
        self.ask(|reply| Command::ResumeWorker { name, reply }).await
    }

    /// Forgets a Worker. One with a live Run is refused, unless `now`, which aborts the Run first.
    ///
    /// # Errors
    /// When there is none of that name, or it is busy.
    pub async fn remove_worker(&self, name: WorkerName, now: bool) -> Result<(), EngineError> {
        self.ask(|reply| Command::RemoveWorker { name, now, reply }).await
    }

    /// All Runs that the ledger has, newest first.
    ///
    /// # Errors
    /// See [`Handle::status`].
    pub async fn runs(&self) -> Result<Vec<RunView>, EngineError> {
        self.ask(Command::Runs).await
    }

    /// One Run: by its id, by the id of its Task (the newest), or by an unambiguous beginning of either (≥ 4 characters).
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub async fn run(&self, key: &str) -> Result<RunView, EngineError> {
        let runs = self.runs().await?;
        let exact = runs.iter().position(|run| run.record.id.as_str() == key || run.record.task.as_str() == key);
        if let Some(found) = exact {
            return Ok(runs.into_iter().nth(found).unwrap_or_else(|| unreachable!("a position is an index")));
        }
        let not_found = || EngineError::NotFound { kind: "run", name: key.to_owned() };
        if key.len() < 4 {
            return Err(not_found());
        }
        let mut matches = runs
            .into_iter()
            .filter(|run| run.record.id.as_str().starts_with(key) || run.record.task.as_str().starts_with(key));
        let found = matches.next().ok_or_else(not_found)?;
        match matches.find(|other| other.record.task != found.record.task) {
            None => Ok(found),
            Some(other) => Err(EngineError::Conflict {
                reason: format!("`{key}` means run {} or run {}; write more of it", found.record.id, other.record.id),
            }),
        }
    }

    /// The host's GPUs, looked at no longer than `age` ago where the driver answers in time; zero looks anew.
    ///
    /// # Errors
    /// See [`Handle::status`].
    pub async fn gpus(&self, age: Duration) -> Result<GpusView, EngineError> {
        self.ask(|reply| Command::Gpus { age, reply }).await
    }

    /// One GPU, by its index or UUID, or by a name of one of its slices.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn gpu(&self, id: &GpuId, age: Duration) -> Result<GpuView, EngineError> {
        let GpusView { inventory, gpus } = self.gpus(age).await?;
        let uuid = inventory.find(id).map(|gpu| &gpu.uuid);
        let found = gpus.into_iter().find(|view| Some(&view.gpu.uuid) == uuid);
        found.ok_or_else(|| EngineError::NotFound { kind: "gpu", name: id.to_string() })
    }

    /// Why nothing runs there, or why it is what it is; from what is known here. The most decisive first.
    ///
    /// # Errors
    /// When there is no such worker or GPU. A task that is not known is an answer.
    pub async fn explain(&self, subject: Subject) -> Result<Vec<Finding>, EngineError> {
        self.ask(|reply| Command::Explain { subject, reply }).await
    }

    /// Takes a GPU or a slice out of use, verifies it, or lends it again. Durable; what a Run holds it keeps to its end.
    ///
    /// # Errors
    /// When there is none of that name, it is that already, or a Run holds what is to be verified.
    pub async fn order_gpu(&self, gpu: GpuId, order: GpuOrder, reason: String) -> Result<Record, EngineError> {
        // At the daemon's start the driver may not have answered yet.
        self.gpus(Duration::from_secs(2)).await?;
        self.ask(|reply| Command::OrderGpu { gpu, order, reason, reply }).await
    }

    /// Keeps a GPU or a slice from all Workers for a while. Durable; what a Run holds it keeps to its end.
    ///
    /// # Errors
    /// When there is none of that name, it is reserved already, or a Run holds it and that is not to be waited for.
    pub async fn reserve_gpu(&self, asked: NewReservation) -> Result<GpuView, EngineError> {
        let gpu = asked.gpu.clone();
        self.gpu(&gpu, RECENT).await?;
        self.ask(|reply| Command::ReserveGpu { asked, reply }).await?;
        self.gpu(&gpu, RECENT).await
    }

    /// Gives a reserved GPU or slice back to the Workers.
    ///
    /// # Errors
    /// When it is not reserved.
    pub async fn release_gpu(&self, gpu: GpuId) -> Result<(), EngineError> {
        self.ask(|reply| Command::ReleaseGpu { gpu, reply }).await
    }

    /// Stops a Run, after its grace.
    ///
    /// # Errors
    /// When there is none, or it has ended already.
    pub async fn stop_run(&self, run: RunId, grace_ms: Option<u64>) -> Result<RunView, EngineError> {
        self.ask(|reply| Command::StopRun { run, grace_ms, reply }).await
    }

    /// The host takes no more tasks, until [`Handle::resume`]. Durable.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub async fn drain(&self) -> Result<(), EngineError> {
        self.ask(Command::Drain).await
    }

    /// The host takes tasks again.
    ///
    /// # Errors
    /// When it cannot be made durable.
    pub async fn resume(&self) -> Result<(), EngineError> {
        self.ask(Command::Resume).await
    }

    /// What [`Handle::reload`] would do now.
    ///
    /// # Errors
    /// See [`Handle::status`]. What cannot be read is part of the answer.
    pub async fn plan(&self) -> Result<Reload, EngineError> {
        self.ask(Command::Plan).await
    }

    /// Follows the operator's files: declared Workers, and the settings that take effect without a restart. Running tasks
    /// are not touched. What was done, and what was not.
    ///
    /// # Errors
    /// See [`Handle::status`].
    pub async fn reload(&self) -> Result<Reload, EngineError> {
        self.ask(Command::Reload).await
    }

    /// No more tasks are taken until the daemon ends, which is soon. Everything else goes on. Not durable.
    ///
    /// # Errors
    /// See [`Handle::status`].
    pub async fn close(&self) -> Result<(), EngineError> {
        self.ask(Command::Close).await
    }

    /// What happens from now on. A receiver that lags is told how many events it missed.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }
}
