//! What the host decides.
//!
//! [`core`] is the loop that owns Workers, Runs and leases; it takes commands from [`handle`], views of queues from
//! [`poll`], and news from the Runs. [`drive`] is the life of one Run, a task of its own, that commits each phase before
//! it acts on it. [`watch`] asks the server for the state of all running tasks at once, [`report`] tells it of our
//! Workers, [`ship`] brings a Run's output there. The world is reached through [`ports`] only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch as channel;

use crate::domain::hours::KeptHours;
use crate::domain::reserve::{Reserve, Share};
use crate::domain::withheld::Strangers;
use handle::ServerLink;
use ports::{ClearMl, Clock, Declarations, Gpus, Launcher, Machine, Outfitter, Store};

pub mod core;
pub mod drive;
pub mod handle;
pub mod poll;
pub mod ports;
pub mod reload;
pub mod report;
pub mod ship;
pub mod watch;

/// The world, as the engine is given it.
#[derive(Debug, Clone)]
pub struct World {
    /// The ClearML server.
    pub clearml: Arc<dyn ClearMl>,
    /// How it is.
    pub link: channel::Receiver<ServerLink>,
    /// Where shims are started.
    pub launcher: Arc<dyn Launcher>,
    /// The state directory.
    pub store: Arc<dyn Store>,
    /// What Runs are given.
    pub outfitter: Arc<dyn Outfitter>,
    /// The host's GPUs.
    pub gpus: Arc<dyn Gpus>,
    /// What the operator has written into files.
    pub declarations: Arc<dyn Declarations>,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
}

/// What the operator chose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The host's name at the server (`agent.worker_name`).
    pub host: String,
    /// `agent.worker_id`: the name of a Worker that is added without one.
    pub worker_id: Option<String>,
    /// The hours of Workers that say none themselves (`agent.uptime`, `agent.downtime`).
    pub hours: KeptHours,
    /// Between two polls of the queues when nothing happens.
    pub poll_interval: Duration,
    /// Between two looks at the running tasks' state.
    pub watch_interval: Duration,
    /// Between two status reports of a Worker.
    pub report_interval: Duration,
    /// Between two pings of a running task.
    pub ping_interval: Duration,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// Most that a program's abort callback may ask for (`agent.abort_callback_max_timeout`).
    pub longest_callback: Duration,
    /// Settled Runs that are kept for `run list` and `run logs`.
    pub keep_runs: usize,
    /// And for how long at most.
    pub keep_runs_for: Duration,
    /// What is left to the system.
    pub reserve: Reserve,
    /// What of it the launcher holds all Runs to.
    pub held: Share,
    /// What is thought of foreign processes on GPUs.
    pub strangers: Strangers,
    /// Of this daemon's state directory.
    pub state_id: crate::domain::ids::StateId,
    /// Further sentences for `status`.
    pub remarks: Vec<String>,
    /// Every setting that was read, printable, for telling what a reload finds changed.
    pub described: BTreeMap<String, String>,
    /// A digest of the files that they came from: secrets look the same before and after.
    pub files: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            host: "localhost".to_owned(),
            worker_id: None,
            hours: KeptHours::default(),
            poll_interval: Duration::from_secs(1),
            watch_interval: Duration::from_secs(2),
            report_interval: Duration::from_secs(30),
            ping_interval: Duration::from_secs(60),
            grace: Duration::from_secs(10),
            longest_callback: Duration::from_secs(1800),
            keep_runs: 200,
            keep_runs_for: Duration::from_secs(30 * 24 * 3600),
            reserve: Reserve::default(),
            held: Share::default(),
            strangers: Strangers::default(),
            state_id: crate::domain::ids::StateId::new("unset").unwrap_or_else(|_| unreachable!("a plain word")),
            remarks: Vec::new(),
            described: BTreeMap::new(),
            files: String::new(),
        }
    }
}

/// A back-off between attempts at the engine's level: the server client has retried already.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// From `first`, doubling up to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// How long to wait now: the step with up to half of it taken off by chance, so that hosts do not come in step.
    pub fn step(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.longest);
        step.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

/// The engine, restored from the ledger and ready to serve. Nothing has been asked of the server, and nothing has been
/// launched, before [`Engine::run`].
#[derive(Debug)]
pub struct Engine {
    core: core::Core,
    world: World,
    settings: channel::Receiver<Arc<Settings>>,
    machine: Box<dyn Machine>,
    demand: channel::Receiver<poll::Demand>,
}

impl Engine {
    /// Adopts what the ledger knows. Local only: the server may be away.
    ///
    /// # Errors
    /// When the state directory cannot be read.
    pub async fn adopt(
        world: World,
        settings: Settings,
        machine: Box<dyn Machine>,
    ) -> Result<(Self, handle::Handle), ports::StoreError> {
        let (settings_in, settings) = channel::channel(Arc::new(settings));
        let (demand_in, demand) = channel::channel(poll::Demand::default());
        let (core, handle) = core::Core::adopt(world.clone(), settings_in, demand_in).await?;
        Ok((Self { core, world, settings, machine, demand }, handle))
    }

    /// Sentences about the ledger that an operator should read.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        self.core.remarks()
    }

    /// A counter that moves with every turn of the loops, for the watchdog.
    #[must_use]
    pub fn pulse(&self) -> channel::Receiver<u64> {
        self.core.pulse()
    }

    /// Serves until `shutdown`. Runs go on without us: their shims live.
    ///
    /// # Errors
    /// When a loop beside the core ended by itself: a daemon that goes on without it would look well and do nothing.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), LoopEnded> {
        let Self { core, world, settings, machine, demand } = self;
        let news = core.news_sender();
        let mut side = tokio::task::JoinSet::new();
        side.spawn(poll::run(
            Arc::clone(&world.clearml),
            Arc::clone(&world.gpus),
            settings.clone(),
            demand.clone(),
            news.clone(),
        ));
        side.spawn(watch::run(Arc::clone(&world.clearml), settings.clone(), demand.clone(), news));
        side.spawn(report::run(world.clone(), settings, demand.clone(), machine));
        // Whichever ends first, the other is dropped where it is: the ledger bears that at any point.
        let ended = tokio::select! {
            () = core.run(shutdown) => Ok(()),
            Some(ended) = side.join_next() => Err(LoopEnded { how: how(ended) }),
        };
        side.shutdown().await;
        let last = demand.borrow().clone();
        report::farewell(&world, &last).await;
        ended
    }
}

/// A loop of the engine ended although nobody had asked it to.
#[derive(Debug, thiserror::Error)]
#[error("a loop of the engine {how}; this is a defect of clearmld: please report it. Runs go on")]
pub struct LoopEnded {
    how: String,
}

fn how(ended: Result<(), tokio::task::JoinError>) -> String {
    ended.map_or_else(|error| format!("broke: {error}"), |()| "ended by itself".to_owned())
}

#[cfg(test)]
mod tests;
