//! From the end of the last process to the server's acknowledgement: first the output, then the status. Nothing here
//! holds a lease, so a server that is away for days holds no GPU.

use tokio::time::{Duration, sleep};

use super::Drive;
use super::requeue::Outcome;
use crate::domain::cause::{Cause, Verdict};
use crate::domain::ids::RunId;
use crate::domain::requeue::Requeue;
use crate::domain::run::{Exited, Phase, Settled};
use crate::engine::ports::{LogLevel, ServerError, StatusNote};
use crate::engine::ship::{self, ShipError};
use crate::engine::{Backoff, World};

impl Drive {
    pub(super) async fn settle(&mut self, mut exited: Exited) -> Phase {
        // The server may be away for days; what the payload left must not fill the disk meanwhile. And removing it may take
        // long, which is no reason to keep the end from the server.
        self.discard_beside();
        // What the last stage found out, if this daemon did not see it happen.
        if let Some(progress) = self.world.store.progress(&self.record.id).await {
            self.feed_back(&progress);
        }
        let verdict = exited.cause.verdict();
        let mut note = self.deliver_output().await;
        if verdict != Verdict::LeaveAlone {
            if let Some(feedback) = self.feedback.take() {
                let _ = feedback.await;
            }
            note = self.tell_end(&mut exited, verdict).await.or(note).or_else(|| exited.remark.clone());
        }
        if exited.started.is_none() {
            // A cgroup may have been made for a shim that never came.
            self.sweep().await;
        }
        if let Some(removal) = self.removal.take() {
            let _ = removal.await;
        }
        self.clean_up().await;
        Phase::Settled(Settled { exited, at: self.world.clock.now(), note })
    }

    fn discard_beside(&mut self) {
        let (world, run) = (self.world.clone(), self.record.id.clone());
        let removal = async move { discard(&world, &run).await };
        #[expect(clippy::disallowed_methods, reason = "owned by the Drive, which aborts it when it is dropped")]
        let removal = tokio::spawn(removal);
        self.removal = Some(removal);
    }

    pub(super) async fn discard_work(&self) {
        discard(&self.world, &self.record.id).await;
    }

    /// Waits until the spool is at the server; a sentence when it will not have it.
    async fn deliver_output(&mut self) -> Option<String> {
        self.ship();
        let shipping = self.shipping.as_mut()?;
        let _ = shipping.live.send(false);
        // Where it is: a Run that is dropped meanwhile takes it along.
        let delivered = (&mut shipping.task).await;
        self.shipping = None;
        match delivered {
            Ok(Ok(_)) => None,
            Ok(Err(ShipError::Refused(error))) => Some(format!("the rest of the output was refused: {error}")),
            Ok(Err(ShipError::Store(error))) => Some(format!("the rest of the output could not be read: {error}")),
            Err(_) => Some("the output's delivery broke off".to_owned()),
        }
    }

    /// Until the server answers for good; a sentence when it has its own opinion.
    async fn tell_end(&mut self, exited: &mut Exited, verdict: Verdict) -> Option<String> {
        if exited.requeue != Some(Requeue::Stopped) {
            self.close_log(exited).await;
        }
        if let Some(from) = exited.requeue {
            match self.requeue(exited, from).await {
                Outcome::Told(note) => return note,
                Outcome::Report => exited.requeue = None,
            }
        }
        self.report(exited, verdict).await
    }

    async fn close_log(&self, exited: &Exited) {
        let (level, mut text) = closing_line(&exited.cause);
        if let Some(remark) = &exited.remark {
            text.push_str(&format!("[clearmld] {remark}\n"));
        }
        if let Some(record) = &exited.record {
            text.insert_str(0, &format!("[clearmld] used {}\n", record.usage));
        }
        if exited.requeue.is_some() {
            text.push_str(&format!("[clearmld] the task goes back to the head of queue {}\n", self.record.queue.name));
        }
        if let Err(error) = ship::close(&self.world, &self.address(), exited.at, (level, text)).await {
            tracing::debug!(CLEARML_TASK_ID = %self.record.task, %error, "the closing line was refused");
        }
    }

    async fn report(&self, exited: &Exited, verdict: Verdict) -> Option<String> {
        let task = &self.record.task;
        let note = StatusNote {
            reason: exited.cause.reason(),
            message: format!("Changed by clearmld {}", self.record.worker_id()),
            force: false,
        };
        let clearml = &self.world.clearml;
        let refused = match verdict {
            Verdict::Completed => insist(|| clearml.completed(task, &note)).await,
            Verdict::Failed => insist(|| clearml.failed(task, &note)).await,
            Verdict::Stopped => insist(|| clearml.stopped(task, &note)).await,
            Verdict::LeaveAlone => None,
        };
        refused.map(|error| format!("the task has a status of its own: {error}"))
    }

    async fn clean_up(&self) {
        if let Some(token) = self.world.store.token(&self.record.id).await {
            // Best effort: it also expires by itself.
            if let Err(error) = self.world.clearml.revoke(&token).await {
                tracing::debug!(CLEARML_RUN_ID = %self.record.id, %error, "the payload's token is not revoked");
            }
        }
        if let Err(error) = self.world.store.clear(&self.record.id).await {
            tracing::warn!(CLEARML_RUN_ID = %self.record.id, %error, "the run's files stay on disk");
        }
    }
}

async fn discard(world: &World, run: &RunId) {
    if let Err(error) = world.store.discard_work(run).await {
        tracing::warn!(CLEARML_RUN_ID = %run, %error, "the run's files stay on disk for now");
    }
}

fn closing_line(cause: &Cause) -> (LogLevel, String) {
    match cause.verdict() {
        Verdict::Completed => (LogLevel::Info, "[clearmld] process completed successfully\n".to_owned()),
        Verdict::Stopped => (LogLevel::Warning, format!("[clearmld] process stopped: {}\n", cause.reason())),
        Verdict::Failed | Verdict::LeaveAlone => {
            (LogLevel::Error, format!("[clearmld] process failed: {}\n", cause.reason()))
        }
    }
}

/// Repeats a call until the server answers for good; its no, if that is the answer.
pub(super) async fn insist<F: Future<Output = Result<(), ServerError>>>(call: impl Fn() -> F) -> Option<ServerError> {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    loop {
        match call().await {
            Ok(()) => return None,
            Err(error) if error.retryable() => sleep(backoff.step()).await,
            Err(error) => return Some(error),
        }
    }
}
