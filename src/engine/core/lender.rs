//! What can be lent now: one look at the host for all questions of a turn.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Core, Post};
use crate::domain::fit;
use crate::domain::gpu::{GpuClaim, GpuId};
use crate::domain::health::Health;
use crate::domain::ids::RunId;
use crate::domain::inventory::Inventory;
use crate::domain::lease::{Lease, Pool, Unit};
use crate::domain::lending::{Portion, Share};
use crate::domain::reservation::Reservations;
use crate::domain::schedule::Gate;
use crate::domain::withheld::{Circumstances, Withheld};
use crate::domain::worker::Worker;
use crate::engine::Settings;

/// Knows what bears on lending.
pub(super) struct Lender<'a> {
    pool: &'a Pool,
    health: &'a Health,
    reservations: &'a Reservations,
    pub(super) seen: Arc<Inventory>,
    shims: BTreeMap<u32, RunId>,
    settings: Arc<Settings>,
}

/// What of its GPUs a Worker with dynamic ones could lend.
struct Room {
    free: Vec<Unit>,
    withheld: Vec<(GpuId, Withheld)>,
}

impl Core {
    pub(super) fn lender(&self) -> Lender<'_> {
        Lender {
            pool: &self.pool,
            health: &self.ward.health,
            reservations: &self.reservations,
            seen: self.world.gpus.seen(),
            shims: self.shims(),
            settings: Arc::clone(&self.settings.borrow()),
        }
    }
}

impl Lender<'_> {
    pub(super) fn circumstances(&self) -> Circumstances<'_> {
        Circumstances {
            inventory: &self.seen,
            pool: self.pool,
            health: self.health,
            reservations: self.reservations,
            shims: &self.shims,
            strangers: &self.settings.strangers,
        }
    }

    /// What a Run of the queue at `position` would be lent, or why it cannot be.
    pub(super) fn lease(&self, worker: &Worker, position: usize) -> Result<Lease, String> {
        match worker.lending.portions() {
            None => self.whole(worker),
            Some(portions) => self.portion(worker, portions.get(position).copied()),
        }
    }

    fn whole(&self, worker: &Worker) -> Result<Lease, String> {
        let (claim, share) = (worker.gpus.clone(), worker.lending.share());
        let units = self.seen.lend(&claim).map_err(|error| error.to_string())?;
        let circumstances = self.circumstances();
        let hindered = units.iter().find_map(|unit| Some((unit, circumstances.withheld(unit, share)?)));
        if let Some((unit, why)) = hindered {
            return Err(format!("GPU {} {why}", self.seen.word(unit)));
        }
        let lease = Lease { claim, units, share };
        // Where nobody knows the hardware, words are all that can be compared.
        self.pool.check(&lease).map_err(|error| error.to_string())?;
        Ok(lease)
    }

    fn portion(&self, worker: &Worker, portion: Option<Portion>) -> Result<Lease, String> {
        let room = self.room(worker)?;
        let free = room.free.len();
        let count = portion.and_then(|portion| portion.of(free));
        let count = count.ok_or_else(|| format!("only {free} of its GPUs are free"))?;
        let units = fit::pick(&self.seen, &room.free, count);
        let claim = GpuClaim::Some(units.iter().map(|unit| self.seen.word(unit)).collect());
        Ok(Lease { claim, units, share: Share::ALONE })
    }

    fn room(&self, worker: &Worker) -> Result<Room, String> {
        let units = self.seen.lend(&worker.gpus).map_err(|error| error.to_string())?;
        let circumstances = self.circumstances();
        let mut room = Room { free: Vec::new(), withheld: Vec::new() };
        for unit in units {
            match circumstances.withheld(&unit, Share::ALONE) {
                None => room.free.push(unit),
                Some(why) => room.withheld.push((self.seen.word(&unit), why)),
            }
        }
        Ok(room)
    }

    /// Of each queue, whether its next task can be taken. A Worker that lends all that it has has one gate.
    pub(super) fn gates(&self, worker: &Worker) -> Vec<Gate> {
        let Some(portions) = worker.lending.portions() else {
            let gate = if self.whole(worker).is_ok() { Gate::Open } else { Gate::Shut };
            return vec![gate; worker.queues.len()];
        };
        let Ok(room) = self.room(worker) else { return vec![Gate::Shut; portions.len()] };
        portions.iter().map(|portion| portion.gate(room.free.len(), room.later())).collect()
    }

    /// Whether it is worth asking its queues: one that waits for nothing but its own Runs need not.
    pub(super) fn wants(&self, post: &Post) -> bool {
        match post.worker.lending.portions() {
            None => post.active.is_empty(),
            Some(_) if post.active.is_empty() => true,
            Some(portions) => match self.room(&post.worker) {
                // What is withheld now may be free at the look that a waiting task brings about.
                Ok(room) => portions.iter().any(|portion| portion.least() <= room.beside_runs()),
                Err(_) => true,
            },
        }
    }

    /// What of its GPUs hinders a Worker, in a sentence.
    pub(super) fn problem(&self, post: &Post) -> Option<String> {
        let worker = &post.worker;
        let Some(portions) = worker.lending.portions() else {
            return if post.active.is_empty() { self.whole(worker).err() } else { None };
        };
        let room = match self.room(worker) {
            Ok(room) => room,
            Err(why) => return Some(why),
        };
        let lasting = || room.withheld.iter().filter(|(_, why)| !why.passes());
        let why: Vec<String> = lasting().map(|(gpu, why)| format!("GPU {gpu} {why}")).collect();
        let starved = portions.iter().zip(&worker.queues).find(|(portion, _)| portion.least() > room.later());
        let starved = starved.map(|(portion, queue)| {
            let (least, later) = (portion.least(), room.later());
            format!("queue `{}` wants {least} GPUs for each task, and at most {later} can be lent", queue.name)
        });
        let all: Vec<String> = starved.into_iter().chain(why).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

impl Room {
    /// How many are free when our own Runs have ended.
    fn later(&self) -> usize {
        self.free.len() + self.withheld.iter().filter(|(_, why)| why.passes()).count()
    }

    /// How many no Run of ours holds.
    fn beside_runs(&self) -> usize {
        self.free.len() + self.withheld.iter().filter(|(_, why)| !why.passes()).count()
    }
}
