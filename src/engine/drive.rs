//! The life of one Run: a loop over its phases. Each phase's step ends in the next phase, which is committed before it
//! is acted on; a daemon that finds the record after a crash enters the same loop at the same place.

mod claim;
mod feedback;
mod requeue;
mod settle;
mod supervise;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};

use super::core::News;
use super::ports::{ServerError, StoreError};
use super::ship::{self, ShipError};
use super::{Backoff, Settings, World};
use crate::domain::cause::Cause;
use crate::domain::handover::{Progress, StopRequest};
use crate::domain::health::Blame;
use crate::domain::limits::Limits;
use crate::domain::run::{Exited, Phase, RunRecord};
use crate::domain::sandbox::Sandbox;

/// A Run and what it needs to live.
#[derive(Debug)]
pub struct Drive {
    pub(super) world: World,
    pub(super) settings: Arc<Settings>,
    pub(super) record: RunRecord,
    /// What its Worker says about it.
    pub(super) terms: Terms,
    pub(super) news: mpsc::Sender<News>,
    /// What the core wants; sticky, and only ever hastened.
    pub(super) stop: watch::Receiver<Option<StopRequest>>,
    /// What the core knows that it may die of.
    pub(super) blame: watch::Receiver<Option<Blame>>,
    /// Whether the record was found in the ledger rather than made just now.
    pub(super) adopted: bool,
    progress: Option<Progress>,
    shipping: Option<Shipping>,
    feedback: Option<JoinHandle<()>>,
    removal: Option<JoinHandle<()>>,
}

/// What a Worker says about each of its Runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    /// The payload's user, when not the default one.
    pub user: Option<String>,
    /// What the Run may use at most.
    pub limits: Limits,
    /// What its sandbox shows and holds.
    pub sandbox: Sandbox,
}

#[derive(Debug)]
struct Shipping {
    task: JoinHandle<Result<u64, ShipError>>,
    live: watch::Sender<bool>,
}

impl Drop for Drive {
    /// Side tasks never outlive the Run's own: after a shutdown a new daemon begins where the ledger says.
    fn drop(&mut self) {
        if let Some(shipping) = &self.shipping {
            shipping.task.abort();
        }
        for task in [&self.feedback, &self.removal].into_iter().flatten() {
            task.abort();
        }
    }
}

/// What a step leads to.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one value a phase, never stored")]
enum Next {
    /// The next phase.
    Phase(Phase),
    /// There never was a Run: the queue gave nothing; maybe because the server would not.
    Forget { refused: Option<String> },
}

/// Why a call that was to be repeated until it succeeds did not.
#[derive(Debug)]
enum Broken {
    /// The server's no is final.
    Refused(ServerError),
    /// The Run is to be stopped meanwhile.
    Stopped(StopRequest),
}

impl Drive {
    /// A Run that was just claimed, or found in the ledger.
    #[must_use]
    pub fn new(
        world: World,
        settings: Arc<Settings>,
        record: RunRecord,
        terms: Terms,
        news: mpsc::Sender<News>,
        stop: watch::Receiver<Option<StopRequest>>,
        adopted: bool,
    ) -> Self {
        Self {
            world,
            settings,
            record,
            terms,
            news,
            stop,
            blame: watch::channel(None).1,
            adopted,
            progress: None,
            shipping: None,
            feedback: None,
            removal: None,
        }
    }

    /// Told by the core what its GPUs do.
    #[must_use]
    pub fn told(mut self, blame: watch::Receiver<Option<Blame>>) -> Self {
        self.blame = blame;
        self
    }

    /// Lives it to its end.
    pub async fn run(mut self) {
        if !self.adopted {
            self.commit().await;
        }
        loop {
            let next = match self.record.phase.clone() {
                Phase::Claimed(claimed) => self.claim(&claimed).await,
                Phase::Prepared(_) => Next::Phase(self.launch().await),
                Phase::Running(running) => Next::Phase(self.supervise(&running).await),
                Phase::Exited(exited) => Next::Phase(self.settle(exited).await),
                Phase::Settled(_) => return,
            };
            self.adopted = false;
            match next {
                Next::Phase(phase) => {
                    self.record.phase = phase;
                    self.commit().await;
                }
                Next::Forget { refused } => {
                    self.forget(refused).await;
                    return;
                }
            }
        }
    }

    /// Writes the record, however long the disk takes, then tells the core. A Run that has ended may be what fills it.
    async fn commit(&mut self) {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        while let Err(error) = self.world.store.put_run(&self.record).await {
            tracing::error!(CLEARML_RUN_ID = %self.record.id, %error, "the ledger cannot be written; trying again");
            if error.disk_full() && matches!(self.record.phase, Phase::Exited(_)) {
                self.discard_work().await;
            }
            sleep(backoff.step()).await;
        }
        let _ = self.news.send(News::Changed(Box::new(self.record.clone()))).await;
    }

    async fn forget(&self, refused: Option<String>) {
        if let Err(error) = self.world.store.drop_run(&self.record.id).await {
            tracing::warn!(CLEARML_RUN_ID = %self.record.id, %error, "an empty claim stays in the ledger");
        }
        let _ = self.news.send(News::Forgotten { run: self.record.id.clone(), refused }).await;
    }

    /// Takes over a stop that the core wants. Whether it is new.
    async fn take_stop(&mut self) -> bool {
        let wanted = self.stop.borrow_and_update().clone();
        if wanted.is_none() || wanted == self.record.stop {
            return false;
        }
        self.record.stop = wanted;
        self.commit().await;
        true
    }

    /// Repeats a call until the server answers for good, or a stop comes.
    async fn insist<T, F>(&mut self, call: impl Fn(World, RunRecord) -> F) -> Result<T, Broken>
    where
        F: Future<Output = Result<T, ServerError>> + Send,
    {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        loop {
            self.take_stop().await;
            if let Some(stop) = &self.record.stop {
                return Err(Broken::Stopped(stop.clone()));
            }
            match call(self.world.clone(), self.record.clone()).await {
                Ok(value) => return Ok(value),
                Err(error) if error.retryable() => {
                    tracing::debug!(CLEARML_RUN_ID = %self.record.id, %error, "trying again");
                    // Cancel-safe: both arms only wait; the stop is read at the top.
                    tokio::select! {
                        () = sleep(backoff.step()) => {}
                        _ = self.stop.changed() => {}
                    }
                }
                Err(error) => return Err(Broken::Refused(error)),
            }
        }
    }

    fn exited(&self, cause: Cause) -> Phase {
        Phase::Exited(Exited {
            cause,
            record: None,
            at: self.world.clock.now(),
            started: None,
            requeue: None,
            remark: None,
        })
    }

    fn broken(&self, broken: Broken) -> Phase {
        self.exited(match broken {
            Broken::Stopped(stop) => Cause::Stopped { reason: stop.reason },
            Broken::Refused(error) => Cause::LaunchFailed { reason: error.to_string() },
        })
    }

    fn unkept(&self, error: &StoreError) -> Phase {
        let reason = error.to_string();
        self.exited(if error.disk_full() { Cause::DiskFull { reason } } else { Cause::LaunchFailed { reason } })
    }

    fn address(&self) -> ship::Address {
        ship::Address {
            run: self.record.id.clone(),
            task: self.record.task.clone(),
            worker: self.record.worker_id().clone(),
        }
    }

    /// Begins to deliver the output, if that has not begun.
    fn ship(&mut self) {
        if self.shipping.is_some() {
            return;
        }
        let (live, receiver) = watch::channel(true);
        let to = self.address();
        #[expect(clippy::disallowed_methods, reason = "owned by the Drive, which aborts it when it is dropped")]
        let task = tokio::spawn(ship::run(self.world.clone(), to, receiver));
        self.shipping = Some(Shipping { task, live });
    }
}
