//! From a complete run directory to the end of its last process.

use tokio::time::{Duration, MissedTickBehavior, interval, sleep, timeout};

use super::Drive;
use crate::domain::cause::Cause;
use crate::domain::handover::{ExitRecord, Progress, StopRequest};
use crate::domain::run::{Exited, Phase, Running};
use crate::domain::stop::StopReason;
use crate::engine::Backoff;
use crate::engine::ports::{LaunchError, StoreError};

/// How often the shim's progress is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How long the driver has to say why a program on its GPU died.
const DRIVERS_WORD: Duration = Duration::from_secs(1);

impl Drive {
    /// Starts the shim, or finds the one that was started before a crash.
    pub(super) async fn launch(&mut self) -> Phase {
        self.take_stop().await;
        if let Some(stop) = &self.record.stop {
            return self.exited(Cause::Stopped { reason: stop.reason });
        }
        self.ship();
        let directory = self.world.store.run_directory(&self.record.id);
        match self.world.launcher.launch(&self.record.id, &directory).await {
            Ok(started) => Phase::Running(Running { shim: started.shim, started: started.at }),
            Err(error) => {
                self.sweep().await;
                self.unlaunched(&error).await
            }
        }
    }

    /// PID 1 starts nothing any more on its way down: that is not the task's failure.
    async fn unlaunched(&self, error: &LaunchError) -> Phase {
        let shutdown = Cause::Stopped { reason: StopReason::HostShutdown };
        let down = self.record.requeue_on_host_loss && self.world.launcher.going_down().await;
        let cause = if down { shutdown } else { Cause::LaunchFailed { reason: error.to_string() } };
        let requeue = self.requeue_after(&cause).await;
        Phase::Exited(Exited { cause, record: None, at: self.world.clock.now(), started: None, requeue, remark: None })
    }

    /// Waits for the shim's end; hands stops on; tells what it is at.
    pub(super) async fn supervise(&mut self, running: &Running) -> Phase {
        self.ship();
        self.take_stop().await;
        if let Some(stop) = self.record.stop.clone() {
            self.hand_on(running, &stop).await;
        }
        let launcher = std::sync::Arc::clone(&self.world.launcher);
        let gone = launcher.wait(&running.shim);
        tokio::pin!(gone);
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Cancel-safe: `gone` is polled in place, a watch and a tick lose nothing.
            tokio::select! {
                () = &mut gone => break,
                changed = self.stop.changed() => {
                    if changed.is_ok()
                        && self.take_stop().await
                        && let Some(stop) = self.record.stop.clone()
                    {
                        self.hand_on(running, &stop).await;
                    }
                    if changed.is_err() {
                        // The core is gone, and this task is about to be: the shim goes on.
                        std::future::pending::<()>().await;
                    }
                }
                _ = look.tick() => self.look().await,
            }
        }
        self.look().await;
        self.conclude(running).await
    }

    async fn hand_on(&self, running: &Running, stop: &StopRequest) {
        if let Err(error) = self.world.store.put_stop(&self.record.id, stop).await {
            tracing::error!(CLEARML_RUN_ID = %self.record.id, %error, "the stop cannot be handed to the shim");
            return;
        }
        if let Err(error) = self.world.launcher.nudge(&running.shim) {
            tracing::error!(CLEARML_RUN_ID = %self.record.id, %error, "the shim cannot be told to stop");
        }
    }

    async fn look(&mut self) {
        let Some(progress) = self.world.store.progress(&self.record.id).await else { return };
        if self.progress.as_ref() != Some(&progress) {
            self.progress = Some(progress.clone());
            self.feed_back(&progress);
            self.tell(progress).await;
        }
    }

    async fn tell(&self, progress: Progress) {
        let news = super::News::Progress { run: self.record.id.clone(), progress: Box::new(progress) };
        let _ = self.news.send(news).await;
    }

    /// The shim is gone: what it wrote last says how; without that nobody knows, and what is left is ended.
    async fn conclude(&mut self, running: &Running) -> Phase {
        self.sweep().await;
        let (cause, record) = match self.last_words().await {
            Ok(Some(record)) => (Cause::of(&record, self.record.stop.as_ref()), Some(record)),
            Ok(None) => (
                Cause::Lost {
                    reason: "its shim ended without a record: it was killed, or the host went down".to_owned(),
                },
                None,
            ),
            Err(error) => (Cause::Lost { reason: error.to_string() }, None),
        };
        let (cause, remark) = self.ask_gpus(cause).await;
        let at = record.as_ref().map_or_else(|| self.world.clock.now(), |record| record.at);
        let requeue = self.requeue_after(&cause).await;
        Phase::Exited(Exited { cause, record, at, started: Some(running.started), requeue, remark })
    }

    /// A program that failed may have died of its GPU. The driver is given a moment to say so: it reports beside us.
    async fn ask_gpus(&mut self, cause: Cause) -> (Cause, Option<String>) {
        if self.record.units.is_empty() {
            return (cause, None);
        }
        if cause.may_be_a_gpus() && self.blame.borrow().is_none() {
            self.world.gpus.look(Duration::ZERO).await;
            let _ = self.news.send(super::News::Seen).await;
            let _ = timeout(DRIVERS_WORD, self.blame.wait_for(Option::is_some)).await;
        }
        let blame = self.blame.borrow().clone();
        match blame {
            Some(blame) => cause.blamed_on(&blame),
            None => (cause, None),
        }
    }

    /// What the shim wrote last. That it cannot be read now does not mean that it is not there.
    async fn last_words(&self) -> Result<Option<ExitRecord>, StoreError> {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
        loop {
            match self.world.store.exit(&self.record.id).await {
                Err(error) if error.passes() => sleep(backoff.step()).await,
                other => return other,
            }
        }
    }

    pub(super) async fn sweep(&self) {
        if let Err(error) = self.world.launcher.sweep(&self.record.id).await {
            tracing::error!(CLEARML_RUN_ID = %self.record.id, %error, "something of the run may be left");
        }
    }
}
