//! What the doors may ask, carried out between two turns of the loop.

use std::time::Duration;

use super::Core;
use super::declared::Pending;
use crate::domain::ids::{RunId, WorkerName};
use crate::domain::run::Phase;
use crate::domain::stop::StopReason;
use crate::domain::worker::Intent;
use crate::engine::handle::{Command, EngineError, HostStatus, RunView, WorkerView};
use crate::engine::ports::StoreError;

impl Core {
    /// Every answer may find that its asker has gone; that is no error.
    pub(super) async fn obey(&mut self, command: Command) {
        match command {
            Command::Status(reply) => drop(reply.send(Ok(self.status()))),
            Command::Workers(reply) => {
                let names: Vec<WorkerName> = self.posts.keys().cloned().collect();
                drop(reply.send(names.iter().map(|name| self.worker_view(name)).collect()));
            }
            Command::AddWorker(draft, reply) => self.begin_add(draft, reply),
            Command::StopWorker { name, now, reply } => drop(reply.send(self.stop_worker(&name, now).await)),
            Command::ResumeWorker { name, reply } => drop(reply.send(self.set_intent(&name, Intent::Active).await)),
            Command::RemoveWorker { name, now, reply } => drop(reply.send(self.remove_worker(&name, now).await)),
            Command::Gpus { age, reply } => self.begin_look(age, reply),
            Command::Explain { subject, reply } => drop(reply.send(self.explain(&subject))),
            Command::OrderGpu { gpu, order, reason, reply } => {
                drop(reply.send(self.order_gpu(&gpu, order, reason).await));
            }
            Command::ReserveGpu { asked, reply } => drop(reply.send(self.reserve(asked).await)),
            Command::ReleaseGpu { gpu, reply } => drop(reply.send(self.release(&gpu).await)),
            Command::Runs(reply) => drop(reply.send(Ok(self.run_views()))),
            Command::StopRun { run, grace_ms, reply } => drop(reply.send(self.stop_run(&run, grace_ms))),
            Command::Drain(reply) => drop(reply.send(self.set_draining(true).await)),
            Command::Resume(reply) => drop(reply.send(self.set_draining(false).await)),
            Command::Plan(reply) => self.begin_reload(false, reply),
            Command::Reload(reply) => self.begin_reload(true, reply),
            Command::Close(reply) => {
                self.closing = true;
                drop(reply.send(Ok(())));
            }
        }
    }

    fn status(&self) -> HostStatus {
        let live = |run: &&super::Slot| run.record.holds_lease();
        let unsettled = |run: &&super::Slot| matches!(run.record.phase, Phase::Exited(_));
        let settings = self.settings.borrow();
        HostStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: settings.host.clone(),
            state_dir: self.world.store.root().to_owned(),
            state_id: settings.state_id.clone(),
            since: self.since,
            draining: self.draining,
            server: self.world.clearml.identity(),
            link: self.world.link.borrow().clone(),
            launcher: self.world.launcher.describe(),
            remarks: self.remarks_now(),
            workers: self.posts.len(),
            live_runs: self.runs.values().filter(live).count(),
            unsettled_runs: self.runs.values().filter(unsettled).count(),
            all_runs: settings.reserve.describe(settings.held),
        }
    }

    fn remarks_now(&self) -> Vec<String> {
        let settings = self.settings.borrow();
        let kept = settings.remarks.iter().chain(&self.remarks).chain(&self.refused).chain(&self.disk).cloned();
        kept.chain(self.gpu_remarks()).chain(self.sandbox_remarks()).chain(self.resting()).collect()
    }

    fn run_views(&self) -> Vec<RunView> {
        let mut views: Vec<RunView> = self.runs.values().map(|slot| self.view(slot)).collect();
        views.sort_by(|a, b| (b.record.claimed, &b.record.id).cmp(&(a.record.claimed, &a.record.id)));
        views
    }

    async fn stop_worker(&mut self, name: &WorkerName, now: bool) -> Result<WorkerView, EngineError> {
        let view = self.set_intent(name, Intent::Stopped).await?;
        let runs = if now { self.post(name)?.active.clone() } else { Vec::new() };
        for run in runs {
            self.stop(&run, StopReason::WorkerStopped, None);
        }
        Ok(view)
    }

    async fn set_intent(&mut self, name: &WorkerName, intent: Intent) -> Result<WorkerView, EngineError> {
        let mut worker = self.post(name)?.worker.clone();
        worker.intent = intent;
        self.keep(&worker).await?;
        if let Some(post) = self.posts.get_mut(name) {
            post.worker = worker;
        }
        self.eager += 1;
        let (kind, message) = match intent {
            Intent::Active => ("worker_resumed", format!("worker {name} takes tasks")),
            Intent::Stopped => ("worker_stopped", format!("worker {name} takes no more tasks")),
        };
        self.emit(kind, Some(name.clone()), None, message);
        self.worker_view(name)
    }

    async fn remove_worker(&mut self, name: &WorkerName, now: bool) -> Result<(), EngineError> {
        let post = self.post(name)?;
        if let Some(path) = post.worker.file()
            && !matches!(post.pending, Some(Pending::Remove { .. }))
        {
            let reason = format!("worker `{name}` is declared in {path}; delete that file, then `clearmlctl reload`");
            return Err(EngineError::Conflict { reason });
        }
        let runs = post.active.clone();
        if let Some(run) = runs.first().filter(|_| !now) {
            let reason = format!(
                "worker `{name}` is busy with run {run}; wait (clearmlctl worker stop {name}), or abort it (clearmlctl worker remove --now {name})"
            );
            return Err(EngineError::Conflict { reason });
        }
        for run in runs {
            self.stop(&run, StopReason::WorkerStopped, None);
        }
        self.world.store.drop_worker(name).await.map_err(ledger)?;
        self.posts.remove(name);
        self.emit("worker_removed", Some(name.clone()), None, format!("worker {name} removed"));
        Ok(())
    }

    fn stop_run(&mut self, run: &RunId, grace_ms: Option<u64>) -> Result<RunView, EngineError> {
        let slot = self.runs.get(run).ok_or_else(|| EngineError::NotFound { kind: "run", name: run.to_string() })?;
        let view = self.view(slot);
        if !self.stop(run, StopReason::Operator, grace_ms.map(Duration::from_millis)) {
            return Err(EngineError::Conflict {
                reason: format!("run {run} has ended already; see clearmlctl run show {run}"),
            });
        }
        Ok(view)
    }

    async fn set_draining(&mut self, draining: bool) -> Result<(), EngineError> {
        self.world.store.put_draining(draining).await.map_err(ledger)?;
        self.draining = draining;
        self.eager += 1;
        let (kind, message) = if draining {
            ("host_draining", "the host takes no more tasks")
        } else {
            ("host_resumed", "the host takes tasks")
        };
        self.emit(kind, None, None, message.to_owned());
        Ok(())
    }
}

pub(super) fn ledger(error: StoreError) -> EngineError {
    EngineError::Ledger { path: error.path, reason: error.source.to_string() }
}
