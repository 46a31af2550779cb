//! Runs: stopping, showing and forgetting them.

use std::sync::Arc;
use std::time::Duration;

use super::{Core, Slot};
use crate::domain::cause::Cause;
use crate::domain::handover::{self, StopRequest};
use crate::domain::ids::{RunId, UnixMillis, WorkerName};
use crate::domain::run::Phase;
use crate::domain::stop::StopReason;
use crate::engine::handle::RunView;
impl Core {
    pub(super) fn forgotten(&mut self, run: &RunId, refused: Option<String>) {
        if let Some(slot) = self.runs.remove(run) {
            match refused {
                Some(reason) => self.refusals.add(&slot.record.queue.id, reason),
                None => self.refusals.clear(&slot.record.queue.id),
            }
            self.free(run, &slot.record.worker);
        }
    }

    pub(super) fn free(&mut self, run: &RunId, worker: &WorkerName) {
        self.pool.release(run);
        if let Some(post) = self.posts.get_mut(worker)
            && post.active.contains(run)
        {
            post.active.retain(|active| active != run);
            post.idle_since = self.turns;
            self.eager += 1;
        }
    }

    /// Asks a Run to stop. The first reason stays; the grace can only get shorter. Whether there was a Run to ask.
    pub(super) fn stop(&mut self, run: &RunId, reason: StopReason, grace: Option<Duration>) -> bool {
        let Some(slot) = self.runs.get(run) else { return false };
        if !slot.record.holds_lease() {
            return false;
        }
        let grace = grace.unwrap_or(self.settings.borrow().grace);
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let moved = slot.stop.send_if_modified(|current| match current {
            None => {
                *current = Some(StopRequest { version: handover::VERSION, reason, grace_ms });
                true
            }
            Some(stop) if grace_ms < stop.grace_ms => {
                stop.grace_ms = grace_ms;
                true
            }
            Some(_) => false,
        });
        if moved {
            self.emit_run("run_stopping", run, format!("to be stopped: {}", Cause::Stopped { reason }.reason()));
        }
        true
    }

    /// Forgets settled Runs that are too old, and the oldest beyond what is to be kept.
    pub(super) async fn prune(&mut self) {
        let mut settled: Vec<(UnixMillis, RunId)> = self
            .runs
            .values()
            .filter_map(|slot| match &slot.record.phase {
                Phase::Settled(settled) => Some((settled.at, slot.record.id.clone())),
                Phase::Claimed(_) | Phase::Prepared(_) | Phase::Running(_) | Phase::Exited(_) => None,
            })
            .collect();
        settled.sort();
        let settings = Arc::clone(&self.settings.borrow());
        let surplus = settled.len().saturating_sub(settings.keep_runs);
        let longest = u64::try_from(settings.keep_runs_for.as_millis()).unwrap_or(u64::MAX);
        let oldest = UnixMillis(self.world.clock.now().0.saturating_sub(longest));
        let old = settled.into_iter().enumerate().filter(|(rank, (at, _))| *rank < surplus || *at < oldest);
        for (_, (_, run)) in old {
            if let Err(error) = self.world.store.drop_run(&run).await {
                tracing::warn!(CLEARML_RUN_ID = %run, %error, "an old run cannot be removed");
            }
            self.runs.remove(&run);
        }
    }

    pub(super) fn view(&self, slot: &Slot) -> RunView {
        RunView {
            record: slot.record.clone(),
            progress: slot.progress.clone(),
            spool: self.world.store.run_directory(&slot.record.id).join(handover::file::SPOOL),
            live: slot.record.holds_lease(),
        }
    }
}
