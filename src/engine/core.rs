//! The loop that owns Workers, Runs and leases. It never waits for the server and never for a program: what takes long
//! is an errand or a Run's own task, and comes back as [`News`].

mod commands;
mod control;
mod declared;
mod demand;
mod disk;
mod events;
mod explain;
mod files;
mod gpus;
mod health;
mod lender;
mod news;
mod refusals;
mod reservations;
mod runs;
mod sandbox;
mod workers;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, interval};

use demand::popped;
pub use news::News;

use super::drive::{Drive, Terms};
use super::handle::{Command, Event, Handle};
use super::poll::Demand;
use super::ports::StoreError;
use super::{Settings, World};
use crate::domain::handover::{Progress, StopRequest};
use crate::domain::health::Blame;
use crate::domain::ids::{RunId, UnixMillis, WorkerName};
use crate::domain::lease::Pool;
use crate::domain::reservation::Reservations;
use crate::domain::run::{Phase, RunRecord};
use crate::domain::worker::Worker;

/// Commands that may wait: more than one operator's scripts ever have on the way.
const COMMANDS: usize = 64;
/// News that may wait: a few for each Run that a host can have.
const NEWS: usize = 1024;
/// A poll that takes longer is none any more: the client gives up a call after a minute or so, and the poller waits a
/// minute between two. Then the watchdog's beat stops.
const POLL_OVERDUE: Duration = Duration::from_secs(300);
/// Events that a slow listener may be behind.
const EVENTS: usize = 1024;

/// A Run, as the core holds it.
#[derive(Debug)]
struct Slot {
    record: RunRecord,
    progress: Option<Progress>,
    stop: watch::Sender<Option<StopRequest>>,
    /// Since when it is to stop, as far as this daemon has seen.
    stopping: Option<Instant>,
    /// It does not end, and that was said of its GPUs.
    hung: bool,
    /// What it may die of.
    blame: watch::Sender<Option<Blame>>,
    /// Found without a shim: the server must not hear that we run the task, since another host may by now.
    orphaned: bool,
}

impl Slot {
    fn new(record: RunRecord, blame: Option<Blame>) -> Self {
        let (stop, blame) = (watch::Sender::new(record.stop.clone()), watch::Sender::new(blame));
        Self { record, progress: None, stop, stopping: None, hung: false, blame, orphaned: false }
    }
}

/// A Worker, as the core holds it.
#[derive(Debug)]
struct Post {
    worker: Worker,
    /// Its Runs, in the order of their claims: one at most, but of a Worker with dynamic GPUs.
    active: Vec<RunId>,
    /// Where order fairness goes on.
    cursor: usize,
    /// When it became idle, by a counter: who has waited longest asks first.
    idle_since: u64,
    problem: Option<String>,
    /// What its file has made of it meanwhile.
    pending: Option<declared::Pending>,
    /// Its queues are to be looked up.
    search: Option<declared::Search>,
}

impl Post {
    fn new(worker: Worker, idle_since: u64) -> Self {
        Self { worker, active: Vec::new(), cursor: 0, idle_since, problem: None, pending: None, search: None }
    }
}

/// The loop's state.
#[derive(Debug)]
pub struct Core {
    world: World,
    settings: watch::Sender<Arc<Settings>>,
    posts: BTreeMap<WorkerName, Post>,
    runs: BTreeMap<RunId, Slot>,
    pool: Pool,
    ward: health::Ward,
    reservations: Reservations,
    control: control::Control,
    refusals: refusals::Refusals,
    draining: bool,
    /// The daemon or the host is going down: as draining, but forgotten with this process.
    closing: bool,
    since: UnixMillis,
    remarks: Vec<String>,
    /// Files of declared Workers that cannot be followed, each a sentence.
    refused: Vec<String>,
    /// Why the disk hinders us, in a sentence.
    disk: Option<String>,
    /// What was last said of the server: whether it answers.
    answers: Option<bool>,
    turns: u64,
    /// When the poller last came back, or was not needed.
    polled: Instant,
    eager: u64,
    sequence: u64,
    commands: mpsc::Receiver<Command>,
    news: mpsc::Receiver<News>,
    news_in: mpsc::Sender<News>,
    /// The right to reload.
    reloads: Arc<Semaphore>,
    events: broadcast::Sender<Event>,
    demand: watch::Sender<Demand>,
    pulse: watch::Sender<u64>,
    drives: JoinSet<()>,
    errands: JoinSet<()>,
}

impl Core {
    /// Restores what the ledger knows: leases before anything else, so that nothing is lent twice.
    pub(super) async fn adopt(
        world: World,
        settings: watch::Sender<Arc<Settings>>,
        demand: watch::Sender<Demand>,
    ) -> Result<(Self, Handle), StoreError> {
        let loaded = world.store.load().await?;
        let (command_in, commands) = mpsc::channel(COMMANDS);
        let (news_in, news) = mpsc::channel(NEWS);
        let (events, _) = broadcast::channel(EVENTS);
        let since = world.clock.now();
        let mut core = Self {
            world,
            settings,
            posts: BTreeMap::new(),
            runs: BTreeMap::new(),
            pool: Pool::default(),
            ward: health::Ward::new(loaded.health),
            reservations: loaded.reservations,
            control: control::Control::default(),
            refusals: refusals::Refusals::default(),
            draining: loaded.draining,
            closing: false,
            since,
            remarks: loaded.set_aside,
            refused: Vec::new(),
            disk: None,
            answers: None,
            turns: 0,
            polled: Instant::now(),
            eager: 0,
            sequence: 0,
            commands,
            news,
            news_in,
            reloads: Arc::new(Semaphore::new(1)),
            events: events.clone(),
            demand,
            pulse: watch::Sender::new(0),
            drives: JoinSet::new(),
            errands: JoinSet::new(),
        };
        for worker in loaded.workers {
            let post = Post::new(worker, 0);
            core.posts.insert(post.worker.name.clone(), post);
        }
        for record in loaded.runs {
            core.restore(record);
        }
        Ok((core, Handle::new(command_in, events)))
    }

    fn restore(&mut self, record: RunRecord) {
        if record.holds_lease() {
            if let Err(error) = self.pool.lease(&record.id, record.lease()) {
                self.remarks.push(format!("run {}: its GPUs cannot be restored: {error}", record.id));
            }
            if let Some(post) = self.posts.get_mut(&record.worker) {
                post.active.push(record.id.clone());
            }
        }
        let orphaned = matches!(&record.phase, Phase::Running(running) if !self.world.launcher.alive(&running.shim));
        let blame = self.ward.health.blame(&record.id);
        let slot = Slot { orphaned, ..Slot::new(record, blame) };
        self.runs.insert(slot.record.id.clone(), slot);
    }

    pub(super) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    pub(super) fn pulse(&self) -> watch::Receiver<u64> {
        self.pulse.subscribe()
    }

    pub(super) fn news_sender(&self) -> mpsc::Sender<News> {
        self.news_in.clone()
    }

    /// Serves until `shutdown`; then every Run's task is dropped where it is: the ledger knows where that was.
    pub(super) async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        let unfinished: Vec<RunRecord> = self
            .runs
            .values()
            .filter(|slot| !matches!(slot.record.phase, Phase::Settled(_)))
            .map(|slot| slot.record.clone())
            .collect();
        for record in unfinished {
            self.drive(record, true);
        }
        // Who asks meanwhile waits: what is declared is there with the first answer.
        let files = files::read(&self.world).await;
        self.follow(files, true).await;
        self.look_up_queues();
        self.publish();
        tokio::pin!(shutdown);
        let mut reports = self.world.gpus.reports();
        let mut beat = interval(Duration::from_secs(2));
        let mut link = self.world.link.clone();
        loop {
            // Cancel-safe: receivers lose nothing when another arm wins; joins and ticks neither.
            tokio::select! {
                () = &mut shutdown => break,
                Some(command) = self.commands.recv() => self.obey(command).await,
                Some(news) = self.news.recv() => self.hear(news).await,
                Some(ended) = self.drives.join_next(), if !self.drives.is_empty() => self.check(ended),
                Some(ended) = self.errands.join_next(), if !self.errands.is_empty() => self.check(ended),
                Ok(()) = link.changed() => {
                    let link = link.borrow_and_update().clone();
                    self.link_changed(&link);
                }
                report = health::next(&mut reports) => self.hear_of_gpu(report).await,
                _ = beat.tick() => {
                    self.mind_health().await;
                    self.look_at_disk().await;
                    self.mind_reservations().await;
                    self.prune().await;
                }
            }
            self.catch_up().await;
            self.look_up_queues();
            self.turns += 1;
            if self.idle_posts().next().is_none() {
                self.polled = Instant::now();
            }
            if self.polled.elapsed() < POLL_OVERDUE {
                self.pulse.send_replace(self.turns);
            }
            self.publish();
        }
        self.drives.shutdown().await;
    }

    fn check(&mut self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            // A bug of ours: say so loudly, keep serving the others. The Run's record is where it was.
            self.emit("internal_error", None, None, format!("a task of the engine broke: {error}"));
        }
    }

    fn drive(&mut self, record: RunRecord, adopted: bool) {
        let worker = self.posts.get(&record.worker).map(|post| &post.worker);
        let terms = worker
            .map(|worker| Terms { user: worker.user.clone(), limits: worker.limits, sandbox: worker.sandbox.clone() })
            .unwrap_or_default();
        let Some(slot) = self.runs.get(&record.id) else { return };
        let (world, settings) = (self.world.clone(), Arc::clone(&self.settings.borrow()));
        let drive = Drive::new(world, settings, record, terms, self.news_in.clone(), slot.stop.subscribe(), adopted)
            .told(slot.blame.subscribe());
        self.drives.spawn(drive.run());
    }

    async fn hear(&mut self, news: News) {
        match news {
            News::Changed(record) => self.changed(*record).await,
            News::Progress { run, progress } => {
                if let Some(slot) = self.runs.get_mut(&run) {
                    let stage = progress.stage;
                    let moved = slot.progress.as_ref().is_none_or(|before| before.stage != stage);
                    slot.progress = Some(*progress);
                    if moved {
                        self.emit_run("run_stage", &run, format!("{} stage", stage.as_str()));
                    }
                }
            }
            News::Forgotten { run, refused } => self.forgotten(&run, refused),
            News::GoingDown => {
                if !self.closing {
                    tracing::info!("the host is going down: no more tasks are taken");
                }
                self.closing = true;
            }
            News::Queues { asked, answer } => {
                self.polled = Instant::now();
                if let Ok(views) = answer {
                    self.plan(&asked, &views);
                }
            }
            News::Forced(answers) => self.forced(answers),
            News::Stop { run, reason } => {
                self.stop(&run, reason, None);
            }
            News::Located { worker, names, found } => self.located(&worker, &names, found).await,
            News::Resolved { draft, queues, reply } => {
                let added = match queues {
                    Ok(queues) => self.add(*draft, queues).await,
                    Err(error) => Err(error),
                };
                let _ = reply.send(added);
            }
            News::Read { files, apply, reply, turn } => {
                let done = self.follow(*files, apply).await;
                drop(turn);
                let _ = reply.send(Ok(done));
            }
            News::Seen => self.mind_health().await,
            News::Examined { uuid, found } => self.examined(&uuid, found).await,
            News::Looked(reply) => {
                self.identify_leases();
                drop(reply.send(Ok(self.gpus_view())));
            }
        }
    }

    async fn changed(&mut self, record: RunRecord) {
        let Some(slot) = self.runs.get_mut(&record.id) else { return };
        let before = std::mem::discriminant(&slot.record.phase);
        let taken = popped(&record) && !popped(&slot.record);
        let moved = taken || before != std::mem::discriminant(&record.phase);
        slot.record = record.clone();
        // Release before report: a server that is away holds no GPU.
        if !record.holds_lease() {
            self.free(&record.id, &record.worker);
        }
        if taken {
            self.control.took(&record.queue.id, &record.task);
            self.refusals.clear(&record.queue.id);
            // The queue may hold more, and another Worker may be idle.
            self.eager += 1;
        }
        if moved {
            self.emit_phase(&record);
        }
    }
}
