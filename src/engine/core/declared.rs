//! Declared Workers: read, plan, apply. No Run is touched: what is busy changes when its task has ended. Their queues are
//! names, looked up beside the loop until the server has answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::{Duration, Instant};

use super::files::{Files, Looked};
use super::{Core, News, Post, sandbox};
use crate::domain::declared::{self, Change, DeclaredFile, FieldChange, Found, Known};
use crate::domain::ids::WorkerName;
use crate::domain::notice::Notice;
use crate::domain::worker::{Origin, QueueRef, Worker, WorkerDraft};
use crate::engine::Backoff;
use crate::engine::handle::EngineError;
use crate::engine::ports::StoreError;
use crate::engine::reload::{self, Reload};

/// What a file has made of a Worker that is busy still.
#[derive(Debug)]
pub(super) enum Pending {
    /// It becomes this.
    Alter { worker: Box<Worker>, fields: Vec<FieldChange> },
    /// It goes.
    Remove { path: String },
}

/// A look-up of a Worker's queues that is not done.
#[derive(Debug)]
pub(super) struct Search {
    due: Instant,
    backoff: Backoff,
    /// One is under way.
    asked: bool,
}

impl Search {
    pub(super) fn now() -> Self {
        let backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));
        Self { due: Instant::now(), backoff, asked: false }
    }
}

impl Core {
    /// What these files make of what is; with `apply` it is done.
    pub(super) async fn follow(&mut self, files: Files, apply: bool) -> Reload {
        let mut plan = Reload::default();
        match &files.settings {
            Ok(found) => plan.settings = reload::settings(&self.settings.borrow(), found),
            Err(reason) => plan.problems.push(format!("the configuration is not taken:\n{reason}")),
        }
        match files.workers {
            Ok(files) => {
                let found: Vec<Found> = files.into_iter().map(|looked| self.identify(looked)).collect();
                let known = self.posts.values();
                let known = known.map(|post| Known { worker: &post.worker, run: post.active.first().cloned() });
                plan.workers = declared::plan(&found, &known.collect::<Vec<_>>(), &self.world.gpus.seen());
            }
            Err(reason) => plan.problems.push(reason),
        }
        if apply {
            if let Ok(found) = files.settings {
                let settings = reload::with_live(&self.settings.borrow(), &found);
                self.settings.send_replace(Arc::new(settings));
            }
            self.apply(&mut plan).await;
        }
        plan
    }

    /// Fills in what this host decides: name and GPUs, and whether the user may run tasks.
    fn identify(&self, looked: Looked) -> Found {
        let DeclaredFile { path, stem, said } = looked.file;
        let worker = match said {
            Ok(draft) => self.declare(draft, looked.paths, &path, &stem).map_err(|reason| vec![reason]),
            Err(reasons) => Err(reasons),
        };
        Found { path, worker }
    }

    fn declare(&self, draft: WorkerDraft, paths: Result<(), String>, path: &str, stem: &str) -> Result<Worker, String> {
        let user = self.world.outfitter.check_user(draft.user.as_deref());
        user.map_err(|error| format!("user: {}", error.reason))?;
        self.check_limits(&draft.limits).map_err(|error| format!("limits: {error}"))?;
        self.permit_draft(&draft)?;
        paths?;
        let gpus = self.claimed(&draft).map_err(|error| format!("gpus: {error}"))?;
        self.check_lending(&draft, &gpus).map_err(|error| format!("gpus: {error}"))?;
        let name = match &draft.name {
            Some(name) => name.clone(),
            None => WorkerName::new(format!("{}:{stem}", self.settings.borrow().host))
                .map_err(|error| format!("name: {error}; rename the file, or give the worker a name"))?,
        };
        let (queues, create_queue) = (draft.queues.clone(), draft.create_queue);
        let origin = Origin::File { path: path.to_owned(), queues, create_queue };
        Ok(Worker::of(draft, name, gpus, Vec::new(), origin, self.world.clock.now()))
    }

    async fn apply(&mut self, plan: &mut Reload) {
        self.refused.clear();
        for post in self.posts.values_mut() {
            post.pending = None;
        }
        for change in plan.workers.clone() {
            let done = match change {
                Change::Add { worker } => self.declare_new(worker).await,
                Change::Alter { worker, fields, after: None } => self.alter(worker, &fields).await,
                Change::Remove { name, path, after: None } => self.forget_declared(&name, &path).await,
                Change::Alter { worker, fields, after: Some(_) } => {
                    let name = worker.name.clone();
                    self.postpone(&name, Pending::Alter { worker: Box::new(worker), fields });
                    Ok(())
                }
                Change::Remove { name, path, after: Some(_) } => {
                    self.postpone(&name, Pending::Remove { path });
                    Ok(())
                }
                // Its queues may have been made anew.
                Change::Keep { name, .. } => {
                    self.search(&name);
                    Ok(())
                }
                Change::Refuse { path, reasons, .. } => {
                    for reason in reasons {
                        tracing::error!(MESSAGE_ID = Notice::ConfigurationKept.id(), "{path}: {reason}");
                        self.refused.push(format!("{path}: {reason}"));
                    }
                    Ok(())
                }
            };
            if let Err(error) = done {
                plan.problems.push(error.to_string());
            }
        }
        for problem in &plan.problems {
            tracing::error!(MESSAGE_ID = Notice::ConfigurationKept.id(), "{problem}");
        }
        self.refused.extend(plan.problems.iter().cloned());
        self.tell_settings(plan);
        self.eager += 1;
    }

    fn tell_settings(&self, plan: &Reload) {
        for change in &plan.settings {
            let nothing = || "(unset)".to_owned();
            let (from, to) = (change.from.clone().unwrap_or_else(nothing), change.to.clone().unwrap_or_else(nothing));
            if change.live {
                tracing::info!("{}: {from} -> {to}", change.key);
            } else {
                tracing::warn!("{}: {from} -> {to}: restart clearmld to use it (runs go on)", change.key);
            }
        }
    }

    fn postpone(&mut self, name: &WorkerName, pending: Pending) {
        let Some(post) = self.posts.get_mut(name) else { return };
        let said = said(&pending);
        post.pending = Some(pending);
        let run = post.active.first().map(ToString::to_string).unwrap_or_default();
        tracing::info!(CLEARML_WORKER = %name, "worker_pending: {said}, after run {run}");
        self.emit("worker_pending", Some(name.clone()), None, format!("{said}, after run {run}"));
    }

    async fn declare_new(&mut self, worker: Worker) -> Result<(), EngineError> {
        self.keep(&worker).await?;
        let (name, path) = (worker.name.clone(), worker.file().unwrap_or_default().to_owned());
        let differs = sandbox::said(&worker);
        let mut post = Post::new(worker, self.turns);
        post.search = Some(Search::now());
        self.posts.insert(name.clone(), post);
        self.emit("worker_added", Some(name.clone()), None, format!("worker {name} added, as {path} says{differs}"));
        Ok(())
    }

    async fn alter(&mut self, worker: Worker, fields: &[FieldChange]) -> Result<(), EngineError> {
        self.keep(&worker).await?;
        let name = worker.name.clone();
        if let Some(post) = self.posts.get_mut(&name) {
            post.worker = worker;
            post.cursor = 0;
            post.problem = None;
            post.search = Some(Search::now());
        }
        let fields = said_fields(fields);
        self.emit("worker_changed", Some(name.clone()), None, format!("worker {name}: {fields}"));
        Ok(())
    }

    async fn forget_declared(&mut self, name: &WorkerName, path: &str) -> Result<(), EngineError> {
        self.world
            .store
            .drop_worker(name)
            .await
            .map_err(|StoreError { path, source, .. }| EngineError::Ledger { path, reason: source.to_string() })?;
        self.posts.remove(name);
        self.emit("worker_removed", Some(name.clone()), None, format!("worker {name} removed: {path} is gone"));
        Ok(())
    }

    /// Carries out what waited for a Run's end. What the disk will not take is tried again at the next turn.
    pub(super) async fn catch_up(&mut self) {
        let ready: Vec<WorkerName> = self
            .posts
            .iter()
            .filter(|(_, post)| post.pending.is_some() && post.active.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        for name in ready {
            let Some(post) = self.posts.get_mut(&name) else { continue };
            let done = match post.pending.take() {
                None => Ok(()),
                Some(Pending::Alter { worker, fields }) => {
                    let now = declared::inherit((*worker).clone(), &post.worker);
                    let done = self.alter(now, &fields).await;
                    if done.is_err()
                        && let Some(post) = self.posts.get_mut(&name)
                    {
                        post.pending = Some(Pending::Alter { worker, fields });
                    }
                    done
                }
                Some(Pending::Remove { path }) => {
                    let done = self.forget_declared(&name, &path).await;
                    if done.is_err()
                        && let Some(post) = self.posts.get_mut(&name)
                    {
                        post.pending = Some(Pending::Remove { path });
                    }
                    done
                }
            };
            if let Err(error) = done {
                tracing::error!(CLEARML_WORKER = %name, %error, "a declared worker cannot be changed yet");
            }
        }
    }

    fn search(&mut self, name: &WorkerName) {
        if let Some(post) = self.posts.get_mut(name) {
            post.search.get_or_insert_with(Search::now).due = Instant::now();
        }
    }

    /// The server answers: whoever waits for it looks now.
    pub(super) fn search_again(&mut self) {
        for search in self.posts.values_mut().filter_map(|post| post.search.as_mut()) {
            search.due = Instant::now();
        }
    }

    /// Begins what look-ups are due.
    pub(super) fn look_up_queues(&mut self) {
        let mut asked: BTreeMap<WorkerName, (Vec<String>, bool)> = BTreeMap::new();
        for (name, post) in &mut self.posts {
            if let (Some(search), Origin::File { queues, create_queue, .. }) = (&mut post.search, &post.worker.origin)
                && !search.asked
                && search.due <= Instant::now()
            {
                search.asked = true;
                asked.insert(name.clone(), (queues.clone(), *create_queue));
            }
        }
        for (worker, (names, create)) in asked {
            let (world, news) = (self.world.clone(), self.news_in.clone());
            self.errands.spawn(async move {
                let found = super::workers::resolve(&world, &names, create).await;
                let _ = news.send(News::Located { worker, names, found }).await;
            });
        }
    }

    /// What the server said of a declared Worker's queues.
    pub(super) async fn located(
        &mut self,
        name: &WorkerName,
        names: &[String],
        found: Result<Vec<QueueRef>, EngineError>,
    ) {
        let Some(post) = self.posts.get_mut(name) else { return };
        let Origin::File { path, queues, .. } = &post.worker.origin else { return };
        let Some(search) = &mut post.search else { return };
        search.asked = false;
        if queues != names {
            search.due = Instant::now();
            return;
        }
        let known = !post.worker.queues.is_empty();
        let problem = match found {
            Ok(queues) => {
                post.search = None;
                let worker = Worker { queues, ..post.worker.clone() };
                return self.serve(worker).await;
            }
            Err(EngineError::NotFound { name, .. }) => Some(format!(
                "the server has no queue `{name}`; make it (clearmlctl queue create {name}), or write create_queue = true into {path}"
            )),
            Err(EngineError::Server(error)) if error.retryable() => {
                (!known).then(|| format!("its queues are not known yet: {error}"))
            }
            Err(error) => Some(error.to_string()),
        };
        search.due = Instant::now() + search.backoff.step();
        if problem.is_some() && post.problem != problem {
            tracing::warn!(CLEARML_WORKER = %name, reason = problem, "a declared worker's queues cannot be looked up");
        }
        post.problem = problem.or(post.problem.take());
    }

    async fn serve(&mut self, worker: Worker) {
        let name = worker.name.clone();
        let moved = self.posts.get(&name).is_some_and(|post| post.worker.queues != worker.queues);
        let kept = if moved { self.keep(&worker).await } else { Ok(()) };
        let Some(post) = self.posts.get_mut(&name) else { return };
        match kept {
            Ok(()) => {
                post.worker.queues = worker.queues;
                post.problem = None;
                self.eager += 1;
            }
            Err(error) => {
                tracing::error!(CLEARML_WORKER = %name, %error, "a declared worker's queues cannot be kept");
                post.search = Some(Search { due: Instant::now() + Duration::from_secs(2), ..Search::now() });
            }
        }
    }
}

impl Post {
    /// What waits for the Run's end, in a sentence.
    pub(super) fn pending_words(&self) -> Option<String> {
        let run = self.active.first().map(ToString::to_string).unwrap_or_default();
        self.pending.as_ref().map(|pending| format!("{}, after run {run}", said(pending)))
    }
}

fn said(pending: &Pending) -> String {
    match pending {
        Pending::Alter { fields, .. } => said_fields(fields),
        Pending::Remove { path } => format!("to be removed: {path} is gone"),
    }
}

fn said_fields(fields: &[FieldChange]) -> String {
    let fields = fields.iter().map(|field| format!("{}: {} -> {}", field.field, field.from, field.to));
    fields.collect::<Vec<_>>().join(", ")
}
