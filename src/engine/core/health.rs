//! The GPUs' health: what they report, what is seen of them, and what an operator says. Durable, since a card that was
//! bad before a restart is bad after it.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::time::{Duration, Instant};

use super::{Core, News};
use crate::domain::gpu::GpuId;
use crate::domain::health::{Blame, Change, Fault, Health, Record, Report, State};
use crate::domain::ids::RunId;
use crate::domain::lease::Unit;
use crate::domain::run::Phase;
use crate::engine::handle::{EngineError, GpuOrder};

/// How old an inventory may be while there is something to lose.
const LOOK: Duration = Duration::from_secs(15);
/// After SIGKILL a process ends at once, unless it waits in a driver for what does not come.
const UNKILLABLE: Duration = Duration::from_secs(120);

/// What is known of the GPUs' health.
#[derive(Debug)]
pub(super) struct Ward {
    pub(super) health: Health,
    /// What of it is on disk.
    kept: Health,
    /// Whether it was said that the disk does not take it.
    complained: bool,
    looked: Instant,
}

impl Ward {
    pub(super) fn new(health: Health) -> Self {
        Self { kept: health.clone(), health, complained: false, looked: Instant::now() }
    }
}

impl Core {
    /// A GPU reports a fault.
    pub(super) async fn hear_of_gpu(&mut self, report: Report) {
        let runs = self.holders(&report.unit);
        self.tell_of_fault(&report.unit, &report.fault, &runs);
        let change = self.ward.health.hear(&report.unit, report.fault, &runs, self.world.clock.now());
        self.changed_health(change.into_iter().collect()).await;
    }

    /// What can be seen by looking: lost cards, memory errors, Runs that do not end, and how a verification goes.
    pub(super) async fn mind_health(&mut self) {
        let (seen, now) = (self.world.gpus.seen(), self.world.clock.now());
        let leases: Vec<(RunId, Vec<Unit>)> =
            self.pool.held().map(|(run, lease)| (run.clone(), lease.units.clone())).collect();
        let holders = |unit: &Unit| {
            let holds = |units: &[Unit]| units.iter().any(|held| held.overlaps(unit));
            leases.iter().filter(|(_, units)| holds(units)).map(|(run, _)| run.clone()).collect::<Vec<_>>()
        };
        let mut changes = self.ward.health.observe(&seen, holders, now);
        changes.extend(self.ward.health.examine_suspects(|unit| !holders(unit).is_empty(), now));
        for (unit, run, reason) in self.unkillable() {
            changes.extend(self.ward.health.hear(&unit, Fault::Hung { reason }, &[run], now));
        }
        self.changed_health(changes).await;
        self.examine();
    }

    /// GPUs of Runs whose processes do not end although everything was tried, once each.
    fn unkillable(&mut self) -> Vec<(Unit, RunId, String)> {
        let longest = self.settings.borrow().longest_callback;
        let mut found = Vec::new();
        for slot in self.runs.values_mut() {
            let stop = slot.stop.borrow().clone();
            let Some(stop) = stop.filter(|_| matches!(slot.record.phase, Phase::Running(_))) else { continue };
            // An abort waits for the program's callback first, whose time is the program's to say, up to `longest`.
            let patience = Duration::from_millis(stop.grace_ms).saturating_add(longest).saturating_add(UNKILLABLE);
            let since = *slot.stopping.get_or_insert_with(Instant::now);
            if slot.hung || since.elapsed() < patience {
                continue;
            }
            slot.hung = true;
            let run = slot.record.id.clone();
            let reason = format!("processes of run {run} cannot be ended, not by SIGKILL either");
            found.extend(slot.record.units.iter().map(|unit| (unit.clone(), run.clone(), reason.clone())));
        }
        found
    }

    /// Looks at the GPUs beside the loop, now and then while there is something to lose; what is on probation is tried.
    fn examine(&mut self) {
        let probation = self.ward.health.on_probation();
        let idle = probation.is_empty() && self.pool.held().all(|(_, lease)| lease.units.is_empty());
        let due = if probation.is_empty() { LOOK } else { Duration::from_secs(2) };
        if idle || self.ward.looked.elapsed() < due {
            return;
        }
        self.ward.looked = Instant::now();
        let (gpus, news) = (Arc::clone(&self.world.gpus), self.news_in.clone());
        let records: Vec<(String, Record)> = probation
            .into_iter()
            .filter_map(|uuid| self.ward.health.records.get(&uuid).map(|record| (uuid.clone(), record.clone())))
            .collect();
        self.errands.spawn(async move {
            let seen = gpus.look(due).await;
            for (uuid, record) in records {
                let mut found = Health::examine(&seen, &record, &uuid);
                if found.is_ok()
                    && let Some(gpu) = seen.gpus.iter().find(|gpu| gpu.uuid == record.gpu)
                {
                    found = gpus.opens(gpu).await;
                }
                let _ = news.send(News::Examined { uuid, found }).await;
            }
        });
    }

    pub(super) async fn examined(&mut self, uuid: &str, found: Result<(), String>) {
        let change = self.ward.health.examined(uuid, found, self.world.clock.now());
        self.changed_health(change.into_iter().collect()).await;
    }

    /// What an operator says. Durable before it is answered.
    pub(super) async fn order_gpu(
        &mut self,
        id: &GpuId,
        order: GpuOrder,
        reason: String,
    ) -> Result<Record, EngineError> {
        let unit = self.unit_of(id)?;
        let held = self.holders(&unit);
        if let (GpuOrder::Verify, Some(run)) = (order, held.first()) {
            let reason = format!(
                "run {run} holds GPU {id}; wait for its end, or stop it (clearmlctl run stop {run}): what is used cannot \
                 be verified"
            );
            return Err(EngineError::Conflict { reason });
        }
        let (before, now) = (self.ward.health.clone(), self.world.clock.now());
        let health = &mut self.ward.health;
        let changed = match order {
            GpuOrder::Quarantine => health.quarantine(&unit, reason, now),
            GpuOrder::Verify => health.verify(&unit, reason, now),
            GpuOrder::Readmit => health.readmit(&unit, reason, now),
        };
        let change = changed.map_err(|refused| EngineError::Conflict { reason: refused.to_string() })?;
        if let Err(error) = self.world.store.put_health(&self.ward.health).await {
            self.ward.health = before;
            return Err(EngineError::Ledger { path: error.path, reason: error.source.to_string() });
        }
        self.ward.kept = self.ward.health.clone();
        let record = change.record.clone();
        self.changed_health(vec![change]).await;
        Ok(record)
    }

    /// Of a card that is not there any more only its UUID is known.
    fn unit_of(&self, id: &GpuId) -> Result<Unit, EngineError> {
        let seen = self.world.gpus.seen();
        if let Some(gpu) = seen.find(id) {
            let slice = gpu.slices.iter().find(|slice| match id {
                GpuId::Index(_) => false,
                GpuId::Slice(_, index) => slice.index == *index,
                GpuId::Uuid(uuid) => slice.uuid == *uuid,
            });
            let uuid = slice.map_or(&gpu.uuid, |slice| &slice.uuid);
            return Ok(Unit { uuid: uuid.clone(), gpu: gpu.uuid.clone(), nodes: Vec::new() });
        }
        let name = id.to_string();
        match self.ward.health.records.get(&name) {
            Some(record) => Ok(Unit { uuid: name, gpu: record.gpu.clone(), nodes: Vec::new() }),
            None => Err(EngineError::NotFound { kind: "gpu", name }),
        }
    }

    fn holders(&self, unit: &Unit) -> Vec<RunId> {
        let holds = |units: &[Unit]| units.iter().any(|held| held.overlaps(unit));
        self.pool.held().filter(|(_, lease)| holds(&lease.units)).map(|(run, _)| run.clone()).collect()
    }

    /// Makes it durable, tells of it, and tells Runs what they may die of: also if the disk does not take it.
    async fn changed_health(&mut self, changes: Vec<Change>) {
        self.keep_health().await;
        for Change { uuid, record } in &changes {
            let kind = match record.state {
                State::Healthy => "gpu_healthy",
                State::Suspect => "gpu_suspect",
                State::Quarantined { .. } => "gpu_quarantined",
                State::Verifying { .. } => "gpu_verifying",
            };
            let next = Some(record.next_step(uuid)).filter(|next| !next.is_empty());
            let next = next.map_or_else(String::new, |next| format!("; {next}"));
            self.emit(kind, None, None, format!("GPU {uuid} is {}: {}{next}", record.state.word(), record.reason));
            // What was withheld may be lent, or the other way round.
            self.eager += 1;
        }
        let class = |blame: &Option<Blame>| blame.as_ref().map(|blame| blame.fault.class());
        for slot in self.runs.values().filter(|slot| slot.record.holds_lease()) {
            let blame = self.ward.health.blame(&slot.record.id);
            slot.blame.send_if_modified(|known| {
                // What is worse stays, also when it is no longer kept.
                let worse = class(&blame) > class(known);
                if worse {
                    *known = blame;
                }
                worse
            });
        }
    }

    async fn keep_health(&mut self) {
        if self.ward.health == self.ward.kept {
            return;
        }
        match self.world.store.put_health(&self.ward.health).await {
            Ok(()) => {
                self.ward.kept = self.ward.health.clone();
                self.ward.complained = false;
            }
            // It is tried again with the next beat.
            Err(error) if !self.ward.complained => {
                tracing::error!(%error, "the health of the GPUs cannot be kept");
                self.ward.complained = true;
            }
            Err(_) => {}
        }
    }

    fn tell_of_fault(&mut self, unit: &Unit, fault: &Fault, runs: &[RunId]) {
        let what = format!("GPU {} reports {}", unit.uuid, fault.sentence());
        if runs.is_empty() {
            self.emit("gpu_fault", None, None, format!("{what} while no run holds it"));
        }
        for run in runs {
            self.emit_run("gpu_fault", run, format!("{what} while run {run} holds it"));
        }
    }
}

/// The next report; never, when nobody reports any more.
pub(super) async fn next(reports: &mut broadcast::Receiver<Report>) -> Report {
    loop {
        match reports.recv().await {
            Ok(report) => return report,
            // The oldest are gone, of whatever GPU they were. A card that is lost, needs a reset or loses memory is found
            // by looking too; the kernel's log has them all.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}
