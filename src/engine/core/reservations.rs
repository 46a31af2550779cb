//! GPUs that a person keeps for a while: made, given back, over.

use super::Core;
use crate::domain::gpu::GpuId;
use crate::domain::ids::UnixMillis;
use crate::domain::lease::Unit;
use crate::domain::lending::Share;
use crate::domain::reservation::{Reservation, Reservations, Term};
use crate::engine::handle::{EngineError, NewReservation};

impl Core {
    pub(super) async fn reserve(&mut self, asked: NewReservation) -> Result<(), EngineError> {
        let NewReservation { gpu, by, reason, ms, when_free } = asked;
        let unit = self.unit(&gpu)?;
        if let Some(found) = self.reservations.of(&unit) {
            let reason = format!(
                "GPU {gpu} is reserved already, by {}: {}; give it back first (clearmlctl gpu release {gpu})",
                found.by, found.reason
            );
            return Err(EngineError::Conflict { reason });
        }
        let holder = self.pool.keeps(&unit, Share::ALONE).cloned();
        if let Some(run) = holder.as_ref().filter(|_| !when_free) {
            let reason = format!(
                "GPU {gpu} is held by run {run}; wait for it (--when-free), or stop it first (clearmlctl run stop {run})"
            );
            return Err(EngineError::Conflict { reason });
        }
        let now = self.world.clock.now();
        let term = match holder {
            Some(_) => Term::WhenFree(ms),
            None => Term::Until(UnixMillis(now.0.saturating_add(ms))),
        };
        let message = match &holder {
            Some(run) => format!("GPU {gpu} ({}) is reserved by {by}, from the end of run {run}: {reason}", unit.uuid),
            None => format!("GPU {gpu} ({}) is reserved by {by}: {reason}", unit.uuid),
        };
        let mut all = self.reservations.clone();
        all.made.push(Reservation { unit, by, reason, made: now, term });
        self.keep_reservations(all).await?;
        self.emit("gpu_reserved", None, None, message);
        Ok(())
    }

    pub(super) async fn release(&mut self, gpu: &GpuId) -> Result<(), EngineError> {
        let (left, given_back) = self.reservations.without(&self.reserved_unit(gpu)?);
        if given_back.is_empty() {
            let reason = format!("GPU {gpu} is not reserved; see clearmlctl gpu list");
            return Err(EngineError::Conflict { reason });
        }
        self.keep_reservations(left).await?;
        for one in given_back {
            let message = format!("GPU {gpu} ({}), reserved by {}, was given back", one.unit.uuid, one.by);
            self.emit("gpu_released", None, None, message);
        }
        Ok(())
    }

    /// What time has brought about. What the disk will not take is tried again at the next beat.
    pub(super) async fn mind_reservations(&mut self) {
        if self.reservations.made.is_empty() {
            return;
        }
        let (left, over) = self.reservations.at(self.world.clock.now(), |unit| self.pool.holds(unit));
        if left == self.reservations {
            return;
        }
        if let Err(error) = self.keep_reservations(left).await {
            tracing::error!(%error, "reservations of GPUs that are over cannot be forgotten yet");
            return;
        }
        for one in over {
            let message = format!("the reservation of GPU {} by {} is over: {}", one.unit.uuid, one.by, one.reason);
            self.emit("gpu_released", None, None, message);
        }
    }

    async fn keep_reservations(&mut self, all: Reservations) -> Result<(), EngineError> {
        self.world.store.put_reservations(&all).await.map_err(super::commands::ledger)?;
        self.reservations = all;
        self.eager += 1;
        Ok(())
    }

    fn unit(&self, gpu: &GpuId) -> Result<Unit, EngineError> {
        let unit = self.world.gpus.seen().unit(gpu);
        unit.ok_or_else(|| EngineError::NotFound { kind: "gpu", name: gpu.to_string() })
    }

    /// Also of a card that is gone, by its UUID.
    fn reserved_unit(&self, gpu: &GpuId) -> Result<Unit, EngineError> {
        let mut reserved = self.reservations.made.iter().map(|one| &one.unit);
        let known = reserved.find(|unit| *gpu == GpuId::Uuid(unit.uuid.clone())).cloned();
        known.map_or_else(|| self.unit(gpu), Ok)
    }
}
