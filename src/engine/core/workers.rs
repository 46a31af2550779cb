//! Workers: declaring them, and which of them asks which queue.

use super::gpus::LOOKED_AT;
use super::{Core, News, Post, Slot};
use crate::domain::gpu::GpuClaim;
use crate::domain::ids::{QueueId, WorkerName};
use crate::domain::limits::{LimitError, Limits};
use crate::domain::run::RunRecord;
use crate::domain::schedule::{self, Idle, Pop};
use crate::domain::task::QueueView;
use crate::domain::worker::{self, Intent, QueueRef, Worker};
use crate::engine::World;
use crate::engine::handle::{EngineError, Reply, WorkerActivity, WorkerDraft, WorkerView};
use crate::engine::ports::ServerError;

impl Core {
    /// Checks what can be checked here, then has the queues looked up beside the loop.
    pub(super) fn begin_add(&mut self, draft: WorkerDraft, reply: Reply<WorkerView>) {
        if let Err(error) = self.check_draft(&draft) {
            let _ = reply.send(Err(error));
            return;
        }
        let (world, news) = (self.world.clone(), self.news_in.clone());
        self.errands.spawn(async move {
            // At the daemon's start the driver may not have answered yet.
            world.gpus.look(LOOKED_AT).await;
            let queues = resolve(&world, &draft).await;
            let _ = news.send(News::Resolved { draft, queues, reply }).await;
        });
    }

    fn check_draft(&self, draft: &WorkerDraft) -> Result<(WorkerName, GpuClaim), EngineError> {
        let user = self.world.outfitter.check_user(draft.user.as_deref());
        user.map_err(|error| EngineError::Invalid { reason: error.reason })?;
        self.check_limits(&draft.limits).map_err(|error| EngineError::Invalid { reason: error.to_string() })?;
        let gpus = self.claimed(draft)?;
        let name = self.name_for(draft, &gpus)?;
        if self.posts.contains_key(&name) {
            let reason = format!(
                "there is a worker `{name}` already; choose another --name, or remove it first (clearmlctl worker remove {name})"
            );
            return Err(EngineError::Conflict { reason });
        }
        for post in self.posts.values() {
            if let Some(gpu) = self.world.gpus.seen().overlap(&post.worker.gpus, &gpus) {
                let holder = &post.worker.name;
                let reason = format!(
                    "GPU {gpu} belongs to worker `{holder}`; choose other --gpus, or remove that worker first (clearmlctl worker remove {holder})"
                );
                return Err(EngineError::Conflict { reason });
            }
        }
        Ok((name, gpus))
    }

    /// A limit that is accepted is one that the kernel holds.
    fn check_limits(&self, limits: &Limits) -> Result<(), LimitError> {
        if limits.is_empty() {
            return Ok(());
        }
        self.world.launcher.describe().controllers.lacking(limits)?;
        self.world.outfitter.capacity().map_or(Ok(()), |host| limits.check(host))
    }

    /// What hinders a Worker: a host that has lost what its limits need (a boot with other options) takes no task for
    /// it, rather than failing each.
    fn hindrance(&self, post: &Post) -> Option<String> {
        match self.check_limits(&post.worker.limits) {
            Ok(()) => post.problem.clone(),
            Err(error) => Some(error.to_string()),
        }
    }

    /// The name given, or that of clearml-agent's rules with the smallest free slot.
    fn name_for(&self, draft: &WorkerDraft, gpus: &GpuClaim) -> Result<WorkerName, EngineError> {
        if let Some(name) = &draft.name {
            return Ok(name.clone());
        }
        let invalid = |error: crate::domain::ids::InvalidId| EngineError::Invalid {
            reason: format!("{error}; give the worker a --name"),
        };
        if let Some(id) = &self.settings.worker_id {
            return WorkerName::new(id.clone()).map_err(invalid);
        }
        let host = &self.settings.host;
        for slot in 0..=self.posts.len() {
            let name = match (&draft.gpus, gpus) {
                // Neither flag nor variable, and no GPU here: a plain slot.
                (None, GpuClaim::None) => WorkerName::new(format!("{host}:{slot}")),
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
        let worker = Worker {
            version: worker::VERSION,
            name: name.clone(),
            queues,
            gpus,
            order_fairness: draft.order_fairness,
            user: draft.user,
            limits: draft.limits,
            intent: Intent::Active,
            added: self.world.clock.now(),
        };
        self.keep(&worker).await?;
        let post = Post { worker, active: None, cursor: 0, idle_since: self.turns, problem: None };
        self.posts.insert(name.clone(), post);
        self.eager += 1;
        self.emit("worker_added", Some(name.clone()), None, format!("worker {name} added"));
        self.worker_view(&name)
    }

    /// Makes a Worker durable.
    pub(super) async fn keep(&self, worker: &Worker) -> Result<(), EngineError> {
        let kept = self.world.store.put_worker(worker).await;
        kept.map_err(|error| EngineError::Ledger { path: error.path.clone(), reason: error.source.to_string() })
    }

    pub(super) fn worker_view(&self, name: &WorkerName) -> Result<WorkerView, EngineError> {
        let post = self.post(name)?;
        let record = post.active.as_ref().and_then(|run| self.runs.get(run)).map(|slot| &slot.record);
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
        let problem = self.gpu_problem(post).or_else(|| self.hindrance(post));
        Ok(WorkerView { worker: post.worker.clone(), activity, problem })
    }

    pub(super) fn post(&self, name: &WorkerName) -> Result<&Post, EngineError> {
        self.posts.get(name).ok_or_else(|| EngineError::NotFound { kind: "worker", name: name.to_string() })
    }

    /// Workers that want a task.
    pub(super) fn idle_posts(&self) -> impl Iterator<Item = &Post> {
        let open = !self.draining && !self.closing && self.disk.is_none();
        let wants = |post: &Post| post.active.is_none() && post.worker.intent == Intent::Active;
        let may = |post: &Post| self.check_limits(&post.worker.limits).is_ok();
        self.posts.values().filter(move |post| open && wants(post) && may(post))
    }

    /// What the poll saw becomes claims.
    pub(super) fn plan(&mut self, asked: &[QueueId], views: &[QueueView]) {
        self.note_missing(asked, views);
        // Who could not be lent its GPUs must not keep a task from another.
        self.identify_leases();
        let able = |post: &&Post| self.lease_for(post).is_ok();
        let mut waiting: Vec<&Post> = self.idle_posts().filter(able).collect();
        waiting.sort_by_key(|post| post.idle_since);
        let idle: Vec<Idle> = waiting
            .into_iter()
            .map(|post| Idle {
                worker: post.worker.name.clone(),
                queues: post.worker.queues.clone(),
                cursor: post.cursor,
            })
            .collect();
        for pop in schedule::plan(&idle, views) {
            self.claim(pop);
        }
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

    /// Lease before poll: the GPUs are held from the intent on.
    fn claim(&mut self, pop: Pop) {
        let Some(lease) = self.posts.get(&pop.worker).and_then(|post| self.lease_for(post).ok()) else { return };
        let run = self.world.clock.mint_run();
        let Some(post) = self.posts.get_mut(&pop.worker).filter(|_| self.pool.lease(&run, lease.clone()).is_ok())
        else {
            return;
        };
        post.active = Some(run.clone());
        if post.worker.order_fairness {
            post.cursor = (pop.position + 1) % post.worker.queues.len().max(1);
        }
        let at = self.world.clock.now();
        let claimed = RunRecord::claim(run.clone(), pop.worker, pop.queue, pop.head, lease.claim, at);
        let record = RunRecord { units: lease.units, ..claimed };
        let stop = tokio::sync::watch::Sender::new(None);
        self.runs.insert(run, Slot { record: record.clone(), progress: None, stop });
        self.drive(record, false);
    }
}

/// The draft's queues at the server, made where that is wanted.
async fn resolve(world: &World, draft: &WorkerDraft) -> Result<Vec<QueueRef>, EngineError> {
    let names = if draft.queues.is_empty() { vec!["default".to_owned()] } else { draft.queues.clone() };
    let mut queues: Vec<QueueRef> = Vec::new();
    for name in names {
        let found = world.clearml.resolve_queue(&name).await.map_err(EngineError::Server)?;
        let queue = match found {
            Some(queue) => queue,
            None if draft.create_queue => create(world, &name).await?,
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
