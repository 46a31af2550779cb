//! From an intent to a complete run directory.

use tokio::time::{Duration, sleep};

use super::{Broken, Drive, News, Next, Terms};
use crate::domain::cause::Cause;
use crate::domain::handover::{RunSpec, Secrets, StopRequest};
use crate::domain::limits::{Limits, TIME_PROPERTY};
use crate::domain::policy::Wish;
use crate::domain::run::{Claimed, Phase, Prepared};
use crate::domain::stop::StopReason;
use crate::domain::task::{TaskSnapshot, TaskStatus};
use crate::engine::ports::{OutfitError, PayloadToken, ServerError, StatusNote, StoreError};

/// How long another host may be between its pop and its `tasks.started`.
const ANOTHERS_POP: Duration = Duration::from_secs(15);

impl Drive {
    pub(super) async fn claim(&mut self, claimed: &Claimed) -> Next {
        if claimed.popped {
            return Next::Phase(self.accept().await);
        }
        if self.adopted {
            self.resolve().await;
            return Next::Forget { refused: None };
        }
        if self.world.launcher.going_down().await {
            // The task stays in its queue: another host may have it now, or we after the boot.
            let _ = self.news.send(News::GoingDown).await;
            return Next::Forget { refused: None };
        }
        match self.world.clearml.pop(&self.record.queue.id, &self.record.task).await {
            Ok(Some(task)) => {
                // An older server pops without a condition: what came counts.
                self.record.task = task;
                Next::Phase(Phase::Claimed(Claimed { popped: true, announced: false }))
            }
            Ok(None) => Next::Forget { refused: None },
            Err(error @ (ServerError::Unreachable { maybe_done: true, .. } | ServerError::Incomprehensible { .. })) => {
                self.resolve().await;
                Next::Forget { refused: Some(error.to_string()) }
            }
            Err(error) => {
                tracing::warn!(CLEARML_WORKER = %self.record.worker, CLEARML_QUEUE = %self.record.queue.name, %error,
                    "the queue gave no task");
                Next::Forget { refused: Some(error.to_string()) }
            }
        }
    }

    /// An intent of which nobody knows whether the pop happened. It is never run: a task that fell out of its queue is
    /// put back to the front.
    async fn resolve(&mut self) {
        for look in [0, 1] {
            let (task, queue) = (self.record.task.clone(), self.record.queue.id.clone());
            let ask = |world: super::World, _| {
                let (task, queue) = (task.clone(), queue.clone());
                async move { world.clearml.whereabouts(&task, &queue).await }
            };
            let Ok(found) = self.insist(ask).await else { return };
            let ours = found.queued_in.is_none()
                && found.state.as_ref().is_some_and(|state| {
                    state.status == TaskStatus::Queued
                        && state.last_worker.as_deref().is_none_or(|last| last == self.record.worker_id().as_str())
                });
            if !ours {
                return;
            }
            if look == 0 {
                sleep(ANOTHERS_POP.mul_f64(1.0 + fastrand::f64() / 3.0)).await;
            }
        }
        let put_back = |world: super::World, record: super::RunRecord| async move {
            world.clearml.put_back(&record.queue.id, &record.task, "its worker lost it between queue and start").await
        };
        match self.insist(put_back).await {
            Ok(()) => tracing::warn!(CLEARML_TASK_ID = %self.record.task, CLEARML_QUEUE = %self.record.queue.name,
                "a task had fallen out of its queue; it is at the front again"),
            Err(Broken::Stopped(_)) => {}
            Err(Broken::Refused(error)) => tracing::error!(CLEARML_TASK_ID = %self.record.task, %error,
                "a task fell out of its queue and cannot be put back"),
        }
    }

    /// The task is popped: say that we have it, then make its run directory.
    async fn accept(&mut self) -> Phase {
        let read =
            |world: super::World, record: super::RunRecord| async move { world.clearml.task(&record.task).await };
        let task = match self.insist(read).await {
            Ok(Some(task)) => task,
            Ok(None) => return self.exited(Cause::Stopped { reason: StopReason::TaskDeleted }),
            Err(broken) => return self.broken(broken),
        };
        self.record.task_name.clone_from(&task.name);
        // The pop itself made a stopped task queued again: one that is stopped now was aborted since.
        if matches!(
            task.status,
            TaskStatus::Published | TaskStatus::Publishing | TaskStatus::Closed | TaskStatus::Stopped
        ) {
            return self.exited(Cause::Stopped { reason: StopReason::TaskChanged });
        }
        if task.status == TaskStatus::InProgress && self.abort_is_wanted().await {
            return self.exited(Cause::Stopped { reason: StopReason::UserAbort });
        }
        if let Err(broken) = self.announce().await {
            return self.broken(broken);
        }
        self.record.phase = Phase::Claimed(Claimed { popped: true, announced: true });
        self.commit().await;
        let token = match self.insist(|world, _| async move { world.clearml.payload_token().await }).await {
            Ok(token) => token,
            Err(broken) => return self.broken(broken),
        };
        // It may take minutes, where a tool has to be fetched first. Cancel-safe: outfitting can be begun again.
        let outfitted = tokio::select! {
            outfitted = self.outfit(&task, &token) => outfitted,
            () = wanted(self.stop.clone()) => {
                self.take_stop().await;
                let reason = self.record.stop.as_ref().map_or(StopReason::Operator, |stop| stop.reason);
                return self.exited(Cause::Stopped { reason });
            }
        };
        match outfitted {
            Err(error) => self.exited(Cause::LaunchFailed { reason: error.reason }),
            Ok((spec, secrets)) => match self.prepare(&task, &spec, &secrets, &token).await {
                Ok(()) => Phase::Prepared(Prepared {}),
                Err(error) => self.unkept(&error),
            },
        }
    }

    /// A daemon that died after it had said `started` must not wipe the abort that came meanwhile by saying it again.
    async fn abort_is_wanted(&mut self) -> bool {
        let ask = |world: super::World, record: super::RunRecord| async move {
            world.clearml.task_states(std::slice::from_ref(&record.task)).await
        };
        let states = self.insist(ask).await.unwrap_or_default();
        states.iter().any(|state| state.status_message.contains("stopping"))
    }

    async fn announce(&mut self) -> Result<(), Broken> {
        let note = StatusNote {
            reason: "pulled from its queue".to_owned(),
            message: format!("pulled by clearmld worker {}", self.record.worker_id()),
            force: true,
        };
        self.insist(|world, record: super::RunRecord| {
            let note = note.clone();
            async move { world.clearml.started(&record.task, &note).await }
        })
        .await?;
        // Only for people who look at the task; not worth holding it up.
        if let Err(error) = self.world.clearml.set_host(&self.record.task, &self.settings.host).await {
            tracing::debug!(CLEARML_TASK_ID = %self.record.task, %error, "the host's name is not on the task");
        }
        Ok(())
    }

    async fn outfit(&self, task: &TaskSnapshot, token: &PayloadToken) -> Result<(RunSpec, Secrets), OutfitError> {
        let cgroup = self.world.launcher.cgroup(&self.record.id).await;
        let (outfitter, user) = (&self.world.outfitter, self.terms.user.as_deref());
        self.permitted().await?;
        let (spec, secrets) = outfitter.outfit(&self.record, user, task, token, cgroup).await?;
        let (limits, sandbox) = (self.limits(task).0, self.terms.sandbox.clone());
        Ok((RunSpec { limits, sandbox, ..spec }, secrets))
    }

    /// Once more: policy and disks may have changed since the Worker was added.
    async fn permitted(&self) -> Result<(), OutfitError> {
        let Terms { user, sandbox, .. } = &self.terms;
        let wish = Wish { queues: &[self.record.queue.name.as_str()], user: user.as_deref(), sandbox };
        let policy = self.world.declarations.policy().map_err(|reason| OutfitError { reason })?;
        policy.permit(wish).map_err(|error| OutfitError { reason: error.to_string() })?;
        self.world.outfitter.check_sandbox(sandbox).await
    }

    /// Its Worker's, and what the task asks for itself.
    fn limits(&self, task: &TaskSnapshot) -> (Limits, Option<String>) {
        self.terms.limits.with_time_of_task(task.properties.get(TIME_PROPERTY).map(String::as_str))
    }

    async fn prepare(
        &self,
        task: &TaskSnapshot,
        spec: &RunSpec,
        secrets: &Secrets,
        token: &PayloadToken,
    ) -> Result<(), StoreError> {
        let (run, store) = (&self.record.id, &self.world.store);
        store.prepare(spec, secrets, token).await?;
        let line = format!(
            "[clearmld] task {} pulled from queue {} by worker {} (run {run})",
            self.record.task,
            self.record.queue.name,
            self.record.worker_id()
        );
        store.note(run, &line).await?;
        if !spec.sandbox.relaxed.is_empty() {
            let line = format!("[clearmld] the worker's definition relaxes the sandbox: {}", spec.sandbox.relaxed);
            store.note(run, &line).await?;
        }
        if let Some(told) = self.limits(task).1 {
            store.note(run, &format!("[clearmld] the task's property {told}")).await?;
        }
        if let Some(image) = &task.container_image {
            let line = format!(
                "[clearmld] the task asks for container {image}; this worker runs processes, so it is not used"
            );
            store.note(run, &line).await?;
        }
        Ok(())
    }
}

/// Until a stop is wanted.
async fn wanted(mut stop: tokio::sync::watch::Receiver<Option<StopRequest>>) {
    if stop.wait_for(Option::is_some).await.is_err() {
        // The core is gone, and so is this Run's task in a moment.
        std::future::pending::<()>().await;
    }
}
