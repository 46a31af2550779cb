//! Workers: declaring them, and which of them asks which queue.

use super::declared::Pending;
use super::demand::intended;
use super::gpus::LOOKED_AT;
use super::{Core, News, Post, Slot, sandbox};
use crate::domain::cause::Cause;
use crate::domain::gpu::GpuClaim;
use crate::domain::ids::{QueueId, TaskId, WorkerName};
use crate::domain::limits::{LimitError, Limits};
use crate::domain::requeue;
use crate::domain::run::RunRecord;
use crate::domain::schedule::{self, Gate, Idle, Pop};
use crate::domain::sharing::{self, Overlap};
use crate::domain::task::QueueView;
use crate::domain::worker::{Intent, Origin, QueueRef, Worker};
use crate::engine::World;
use crate::engine::handle::{EngineError, Reply, WorkerActivity, WorkerDraft, WorkerView};
use crate::engine::ports::ServerError;

impl Core {
    /// Checks what can be checked here, then has the queues looked up beside the loop.
    pub(super) fn begin_add(&mut self, draft: Box<WorkerDraft>, reply: Reply<WorkerView>) {
        if let Err(error) = self.check_draft(&draft) {
            let _ = reply.send(Err(error));
            return;
        }
        let (world, news) = (self.world.clone(), self.news_in.clone());
        self.errands.spawn(async move {
            // At the daemon's start the driver may not have answered yet.
            world.gpus.look(LOOKED_AT).await;
            let queues = match world.outfitter.check_sandbox(&draft.sandbox).await {
                Ok(()) => resolve(&world, &draft.queues, draft.create_queue).await,
                Err(error) => Err(EngineError::Invalid { reason: error.reason }),
            };
            let _ = news.send(News::Resolved { draft, queues, reply }).await;
        });
    }

    fn check_draft(&self, draft: &WorkerDraft) -> Result<(WorkerName, GpuClaim), EngineError> {
        let user = self.world.outfitter.check_user(draft.user.as_deref());
        user.map_err(|error| EngineError::Invalid { reason: error.reason })?;
        self.check_limits(&draft.limits).map_err(|error| EngineError::Invalid { reason: error.to_string() })?;
        self.permit_draft(draft).map_err(|reason| EngineError::Invalid { reason })?;
        let gpus = self.claimed(draft)?;
        let name = self.name_for(draft, &gpus)?;
        if let Some(post) = self.posts.get(&name) {
            let how = how_to_remove(&post.worker);
            let reason =
                format!("there is a worker `{name}` already; choose another --name, or remove it first ({how})");
            return Err(EngineError::Conflict { reason });
        }
        self.check_lending(draft, &gpus).map_err(|reason| EngineError::Invalid { reason })?;
        let (others, seen) = (self.posts.values().flat_map(Post::claims).collect::<Vec<_>>(), self.world.gpus.seen());
        if let Some(found) = sharing::overlap(&gpus, &draft.lending, &others, &seen) {
            return Err(EngineError::Conflict { reason: unshared(&found) });
        }
        Ok((name, gpus))
    }

    /// A limit that is accepted is one that the kernel holds.
    pub(super) fn check_limits(&self, limits: &Limits) -> Result<(), LimitError> {
        if limits.is_empty() {
            return Ok(());
        }
        self.world.launcher.describe().controllers.lacking(limits)?;
        let reserve = self.settings.borrow().reserve;
        self.world.outfitter.capacity().map_or(Ok(()), |host| limits.check(reserve.leaves(host)))
    }

    /// What hinders a Worker: a host that has lost what its limits need (a boot with other options) takes no task for
    /// it, rather than failing each.
    fn hindrance(&self, post: &Post) -> Option<String> {
        self.forbidden(&post.worker).or_else(|| post.problem.clone())
    }

    /// What the kernel cannot hold, or the policy does not allow.
    pub(super) fn forbidden(&self, worker: &Worker) -> Option<String> {
        let limits = self.check_limits(&worker.limits).err().map(|error| error.to_string());
        limits.or_else(|| Self::permit_worker(&self.world.declarations.policy(), worker).err())
    }

    /// The name given, or that of clearml-agent's rules with the smallest free slot.
    fn name_for(&self, draft: &WorkerDraft, gpus: &GpuClaim) -> Result<WorkerName, EngineError> {
        if let Some(name) = &draft.name {
            return Ok(name.clone());
        }
        let invalid = |error: crate::domain::ids::InvalidId| EngineError::Invalid {
            reason: format!("{error}; give the worker a --name"),
        };
        let settings = self.settings.borrow();
        if let Some(id) = &settings.worker_id {
            return WorkerName::new(id.clone()).map_err(invalid);
        }
        let host = &settings.host;
        for slot in 0..=self.posts.len() {
            let name = match (&draft.gpus, gpus) {
                // Neither flag nor variable, and no GPU here: a plain slot.
                (None, GpuClaim::None) => WorkerName::new(format!("{host}:{slot}")),
                (Some(_) | None, _) if draft.lending.portions().is_some() => gpus.dynamic_name(host),
                (Some(_) | None, _) => gpus.default_name(host, slot),
            }
            .map_err(invalid)?;
            let named_by_slot = matches!(gpus, GpuClaim::None);
            if !named_by_slot || !self.posts.contains_key(&name) {
                return Ok(name);
            }
        }
        unreachable!("of n + 1 slots one is free among n workers")
    }

    pub(super) async fn add(&mut self, draft: WorkerDraft, queues: Vec<QueueRef>) -> Result<WorkerView, EngineError> {
        // Again: another command may have come between.
        let (name, gpus) = self.check_draft(&draft)?;
        let worker = Worker::of(draft, name.clone(), gpus, queues, Origin::Operator, self.world.clock.now());
        // Queues that were given by their ids have names now.
        let permitted = Self::permit_worker(&self.world.declarations.policy(), &worker);
        permitted.map_err(|reason| EngineError::Invalid { reason })?;
        let differs = sandbox::said(&worker);
        self.keep(&worker).await?;
        self.posts.insert(name.clone(), Post::new(worker, self.turns));
        self.eager += 1;
        self.emit("worker_added", Some(name.clone()), None, format!("worker {name} added{differs}"));
        self.worker_view(&name)
    }

    /// Makes a Worker durable.
    pub(super) async fn keep(&self, worker: &Worker) -> Result<(), EngineError> {
        let kept = self.world.store.put_worker(worker).await;
        kept.map_err(|error| EngineError::Ledger { path: error.path.clone(), reason: error.source.to_string() })
    }

    pub(super) fn worker_view(&self, name: &WorkerName) -> Result<WorkerView, EngineError> {
        let post = self.post(name)?;
        let record = post.active.first().and_then(|run| self.runs.get(run)).map(|slot| &slot.record);
        let activity = match (record, post.worker.intent) {
            (Some(record), Intent::Active) if !self.draining => {
                WorkerActivity::Busy { run: record.id.clone(), task: record.task.clone() }
            }
            (Some(record), Intent::Active | Intent::Stopped) => {
                WorkerActivity::Finishing { run: record.id.clone(), task: record.task.clone() }
            }
            (None, Intent::Active) => WorkerActivity::Idle,
            (None, Intent::Stopped) => WorkerActivity::Stopped,
        };
        let problem = self.lender().problem(post).or_else(|| self.hindrance(post));
        Ok(WorkerView {
            worker: post.worker.clone(),
            hours: self.hours(&post.worker),
            activity,
            runs: post.active.clone(),
            problem,
            paused: self.paused(post),
            pending: post.pending_words(),
        })
    }

    pub(super) fn post(&self, name: &WorkerName) -> Result<&Post, EngineError> {
        self.posts.get(name).ok_or_else(|| EngineError::NotFound { kind: "worker", name: name.to_string() })
    }

    /// Workers that want a task.
    pub(super) fn idle_posts(&self) -> impl Iterator<Item = &Post> {
        let open = !self.draining && !self.closing && self.disk.is_none();
        let lender = self.lender();
        let free = move |post: &Post| post.pending.is_none() && lender.wants(post);
        let wants = |post: &Post| post.worker.intent == Intent::Active && !post.worker.queues.is_empty();
        let policy = self.world.declarations.policy();
        let may = move |post: &Post| {
            self.check_limits(&post.worker.limits).is_ok() && Self::permit_worker(&policy, &post.worker).is_ok()
        };
        self.posts.values().filter(move |post| open && free(post) && wants(post) && may(post))
    }

    /// What the poll saw becomes claims.
    pub(super) fn plan(&mut self, asked: &[QueueId], views: &[QueueView]) {
        self.note_missing(asked, views);
        self.note_queues(asked, views);
        // Who could not be lent its GPUs must not keep a task from another.
        self.identify_leases();
        let lender = self.lender();
        let gates = |post| -> (&Post, Vec<Gate>) { (post, lender.gates(&post.worker)) };
        let able = |(_, gates): &(&Post, Vec<Gate>)| gates.contains(&Gate::Open);
        let mut waiting: Vec<(&Post, Vec<Gate>)> = self.idle_posts().map(gates).filter(able).collect();
        waiting.sort_by_key(|(post, _)| post.idle_since);
        let now = self.world.clock.local();
        let idle: Vec<Idle> = waiting
            .into_iter()
            .map(|(post, gates)| Idle {
                worker: post.worker.name.clone(),
                queues: post.worker.queues.clone(),
                cursor: post.cursor,
                standing: self.standing(post, now),
                gates,
            })
            .collect();
        let views = self.unclaimed(views);
        self.ask_for_properties(schedule::undecided(&idle, &views));
        for pop in schedule::plan(&idle, &views) {
            self.claim(pop);
        }
    }

    /// A Worker with several Runs may look again while a pop is on its way: that task is as good as taken. A queue that
    /// has just refused one gives none.
    fn unclaimed(&self, views: &[QueueView]) -> Vec<QueueView> {
        let on_its_way = |task: &TaskId| {
            let mut records = self.runs.values().map(|slot| &slot.record);
            records.any(|record| record.task == *task && intended(record))
        };
        let open = |view: &QueueView| {
            let refuses = self.refusals.of(&view.id).is_some();
            let head = view.head.clone().filter(|head| !refuses && !on_its_way(head));
            QueueView { head, ..view.clone() }
        };
        views.iter().map(open).collect()
    }

    fn note_missing(&mut self, asked: &[QueueId], views: &[QueueView]) {
        let mut news = Vec::new();
        for post in self.posts.values_mut() {
            let gone = |queue: &&QueueRef| asked.contains(&queue.id) && !views.iter().any(|view| view.id == queue.id);
            let gone: Vec<&str> = post.worker.queues.iter().filter(gone).map(|queue| queue.name.as_str()).collect();
            if !gone.is_empty() {
                let reason = format!("the server has no queue {} any more", gone.join(", "));
                if post.problem.as_ref() != Some(&reason) {
                    news.push((post.worker.name.clone(), reason.clone()));
                }
                post.problem = Some(reason);
            } else if post.worker.queues.iter().any(|queue| asked.contains(&queue.id)) {
                post.problem = None;
            }
        }
        for (worker, reason) in news {
            self.emit("queue_gone", Some(worker), None, reason);
        }
    }

    /// How often the task was put back since its host had gone without notice, as far as the ledger remembers.
    fn losses(&self, task: &TaskId) -> usize {
        let lost = |slot: &&Slot| {
            let exited = slot.record.exited().filter(|_| slot.record.task == *task);
            exited.is_some_and(|exited| exited.requeue.is_some() && matches!(exited.cause, Cause::Lost { .. }))
        };
        self.runs.values().filter(lost).count()
    }

    /// Lease before poll: the GPUs are held from the intent on.
    fn claim(&mut self, pop: Pop) {
        let lease = self.posts.get(&pop.worker).and_then(|post| self.lender().lease(&post.worker, pop.position).ok());
        let Some(lease) = lease else { return };
        let run = self.world.clock.mint_run();
        let Some(post) = self.posts.get_mut(&pop.worker).filter(|_| self.pool.lease(&run, lease.clone()).is_ok())
        else {
            return;
        };
        post.active.push(run.clone());
        let dynamic = post.worker.lending.portions().is_some();
        if post.worker.order_fairness {
            post.cursor = (pop.position + 1) % post.worker.queues.len().max(1);
        }
        let at = self.world.clock.now();
        let requeue = post.worker.requeue_on_host_loss;
        let served_as = if dynamic { lease.claim.name_below(&pop.worker).ok() } else { None };
        let claimed = RunRecord::claim(run.clone(), pop.worker, pop.queue, pop.head, lease.claim, at);
        let mut record = RunRecord { units: lease.units, share: lease.share, served_as, ..claimed };
        record.requeue_on_host_loss = requeue && self.losses(&record.task) < requeue::MOST_LOSSES;
        self.runs.insert(run, Slot::new(record.clone(), None));
        self.drive(record, false);
    }
}

impl Post {
    /// What it claims, and what it will when its Run has ended.
    fn claims(&self) -> impl Iterator<Item = &Worker> {
        let next = match &self.pending {
            Some(Pending::Alter { worker, .. }) => Some(worker.as_ref()),
            Some(Pending::Remove { .. }) | None => None,
        };
        std::iter::once(&self.worker).chain(next)
    }
}

/// Why a GPU cannot be had beside another Worker, and what could be done.
fn unshared(found: &Overlap<'_>) -> String {
    let (gpu, name, how, sharers) = (&found.gpu, &found.holder.name, how_to_remove(found.holder), found.sharers);
    let share = if found.remedy { format!(", or let all {sharers} say --share {sharers}") } else { String::new() };
    format!("GPU {gpu} belongs to worker `{name}`; choose other --gpus, remove that worker first ({how}){share}")
}

fn how_to_remove(worker: &Worker) -> String {
    match worker.file() {
        None => format!("clearmlctl worker remove {}", worker.name),
        Some(path) => format!("delete {path}, then clearmlctl reload"),
    }
}

/// Queues at the server, made where that is wanted.
pub(super) async fn resolve(world: &World, names: &[String], create_queue: bool) -> Result<Vec<QueueRef>, EngineError> {
    let names = if names.is_empty() { vec!["default".to_owned()] } else { names.to_vec() };
    let mut queues: Vec<QueueRef> = Vec::new();
    for name in names {
        let found = world.clearml.resolve_queue(&name).await.map_err(EngineError::Server)?;
        let queue = match found {
            Some(queue) => queue,
            None if create_queue => create(world, &name).await?,
            None => return Err(EngineError::NotFound { kind: "queue", name }),
        };
        if queues.iter().any(|other| other.id == queue.id) {
            return Err(EngineError::Invalid {
                reason: format!("queue `{name}` is named twice; name each queue once"),
            });
        }
        queues.push(queue);
    }
    Ok(queues)
}

async fn create(world: &World, name: &str) -> Result<QueueRef, EngineError> {
    world.clearml.create_queue(name).await.map_err(|error| match error {
        ServerError::Rejected { code: 400, message, .. } => {
            EngineError::Invalid { reason: format!("queue `{name}` cannot be made: {message}") }
        }
        other => EngineError::Server(other),
    })
}
