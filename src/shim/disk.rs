//! Keeps this Run from filling the disk of the state directory, beside everything else that [`super::watch`] waits for.

use std::time::{Duration, Instant};

use super::cgroup::Cgroup;
use super::footprint::{Effort, Measurement, device_of};
use super::turn::Turn;
use super::watch::Why;
use super::{Shim, log};
use crate::domain::disk::{Footprint, Guard, Room, Verdict, until_measured_again};
use crate::domain::handover::file;
use crate::domain::sandbox::Access;
use crate::sys::disk::room;
use crate::sys::removal::remove_tree;

/// What a measurement may cost while the Run goes on, and while it is frozen so that it cannot run away from it. The
/// shim hears of no stop meanwhile.
const GOING: Effort = Effort { time: Duration::from_secs(1), entries: 2_000_000 };
const FROZEN: Effort = Effort { time: Duration::from_secs(10), ..GOING };
/// While others have filled the disk, a Run that is too small to be the reason is looked at this often, and for at most
/// this share of the time.
const CALM_MS: u64 = 500;
const CALM_SHARE: u64 = 20;

/// What is known of the disk.
#[derive(Debug)]
pub(super) struct DiskWatch {
    guard: Guard,
    /// When to look next, in ms since the Run began.
    next_look: u64,
    /// When to measure next for the Worker's limit.
    next_measurement: u64,
    /// Nothing of the Run goes on.
    frozen: bool,
    /// What it has written, and until when that holds while it goes on.
    measured: Option<(Footprint, u64)>,
    /// It has been said that the disk is short, but not by this Run.
    said: bool,
    /// This Run is killed for the disk: there is nothing to look at any more.
    leaves: bool,
    /// No other Run goes meanwhile.
    turn: Option<Turn>,
}

impl DiskWatch {
    /// Leaves so many bytes of the disk free.
    pub(super) fn new(reserve: Option<u64>) -> Self {
        Self {
            guard: Guard::new(reserve),
            next_look: 0,
            next_measurement: 0,
            frozen: false,
            measured: None,
            said: false,
            leaves: false,
            turn: None,
        }
    }
}

impl Shim {
    /// Looks at the disk when it is time to, and stops the Run when it has to go; how long until the next look.
    pub(super) fn look_at_disk(&mut self) -> Option<u64> {
        if self.killed || self.disk.leaves {
            return None;
        }
        if self.stop.is_some() {
            // One that is asked to end must be able to.
            self.thaw();
        }
        let now = self.now_ms();
        if now < self.disk.next_look {
            return Some(self.disk.next_look - now);
        }
        let room = room(&self.directory).ok()?;
        let another_goes = self.disk.guard.is_short(room) && Turn::is_taken(&self.directory);
        match self.disk.guard.look(room, now, self.disk.frozen, another_goes) {
            Verdict::Fine => {
                self.thaw();
                self.disk.said = false;
            }
            Verdict::Wait => self.hold_still(),
            Verdict::Short(bound) => self.face_shortage(room, bound),
        }
        self.keep_own_limit(now);
        let pause = self.disk.guard.pause_ms(room);
        self.disk.next_look = self.now_ms().saturating_add(pause);
        (!self.disk.leaves).then_some(pause)
    }

    /// The disk is short of room: nothing of the Run goes on until it is known whether it is the reason.
    fn face_shortage(&mut self, room: Room, bound: Footprint) {
        self.hold_still();
        let own = self.own();
        if own.reaches(bound) {
            self.leave_in_turn(own);
        } else if self.disk.guard.exhausted(room) {
            self.thaw();
            if !std::mem::replace(&mut self.disk.said, true) {
                let left = room.free >> 20;
                self.say(&format!("the worker's disk is short of room ({left} MiB left), but not by this task"));
            }
        }
    }

    /// Leaves for the disk, unless another Run does, or the room that it has made is enough.
    fn leave_in_turn(&mut self, own: Footprint) {
        let turn = match Turn::take(&self.directory) {
            Ok(None) if !self.disk.guard.impatient() => return,
            turn => turn.ok().flatten(),
        };
        let Some(room) = room(&self.directory).ok().filter(|room| self.disk.guard.is_short(*room)) else { return };
        self.disk.turn = turn;
        let reason = format!(
            "{} MiB were left free, and this run, which had written {} MiB in {} files, was the largest; let it write \
             less, or give the state directory a larger disk",
            room.free >> 20,
            own.bytes >> 20,
            own.files
        );
        // At once: what it writes meanwhile fills the disk further, and nothing of it would be kept.
        self.leave_for_disk(reason, 0);
    }

    /// The limit of this Run's Worker, measured as often as it is cheap.
    fn keep_own_limit(&mut self, now: u64) {
        let Some(limit) = self.spec.limits.disk else { return };
        if self.stop.is_some() || now < self.disk.next_measurement {
            return;
        }
        let (own, took) = self.footprint(false);
        self.disk.next_measurement = self.now_ms().saturating_add(until_measured_again(took));
        if own.bytes > limit.bytes() {
            let reason = format!(
                "the run had written {} MiB, and its limit is {limit}; let it write less, or give the worker more (--disk)",
                own.bytes >> 20
            );
            // While the disk is short, it is one Run less that may write.
            self.leave_for_disk(reason, if self.disk.frozen { 0 } else { self.spec.stop_grace_ms });
        }
    }

    /// What the Run has written, into shared caches too, as far as it can have changed since that was known.
    fn own(&mut self) -> Footprint {
        if let Some((own, until)) = self.disk.measured
            && (self.disk.frozen || self.now_ms() < until)
        {
            return own;
        }
        let (own, took) = self.footprint(true);
        let pause = if self.disk.said { took.saturating_mul(CALM_SHARE).max(CALM_MS) } else { took };
        self.disk.measured = Some((own, self.now_ms().saturating_add(pause)));
        own
    }

    /// What the Run has written, and how many milliseconds it took to know; with `shared`, where others write too.
    fn footprint(&mut self, shared: bool) -> (Footprint, u64) {
        let began = Instant::now();
        let effort = if self.disk.frozen { FROZEN } else { GOING };
        let (mut found, mut complete) = self.measure(shared, effort);
        if !complete && self.stop.is_none() && !self.disk.frozen && self.freeze() {
            (found, complete) = self.measure(shared, FROZEN);
            self.thaw();
        }
        if !complete {
            // Nobody hides a large file behind a million small ones.
            let written = self.cgroup.as_ref().map_or(0, |cgroup| cgroup.usage().written_bytes);
            found = found.or_at_least(if shared { written } else { 0 });
        }
        (found, u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn measure(&self, shared: bool, effort: Effort) -> (Footprint, bool) {
        let work = self.directory.join(file::WORK);
        let Some(device) = device_of(&work) else { return (Footprint::default(), true) };
        let mut measurement = Measurement::of(device, effort);
        measurement.tree(&work, None);
        measurement.unnamed();
        if shared {
            let since = i64::try_from(self.started.at.0 / 1000).unwrap_or(i64::MAX);
            let caches = &self.spec.caches;
            let binds = self.spec.sandbox.binds.iter().filter(|bind| bind.access == Access::ReadWrite);
            let caches = [&caches.mirrors, &caches.packages, &caches.environments].into_iter();
            for place in caches.chain(binds.map(|bind| &bind.source)) {
                measurement.tree(place, Some(since));
            }
        }
        measurement.sum()
    }

    fn leave_for_disk(&mut self, reason: String, grace_ms: u64) {
        self.say(&format!("the worker's disk is full, and the task is stopped: {reason}"));
        self.disk.leaves = grace_ms == 0;
        if self.disk.leaves && self.disk.turn.is_none() {
            self.disk.turn = Turn::take(&self.directory).ok().flatten();
        }
        self.begin_stop(Why::DiskFull { reason }, grace_ms);
    }

    /// Freezes the Run while the disk is short, unless it is being stopped or is known not to be the reason.
    fn hold_still(&mut self) {
        if self.stop.is_none() && !self.disk.said && !self.disk.frozen && self.freeze() {
            self.disk.measured = None;
        }
    }

    /// Whether nothing of the Run goes on any more.
    fn freeze(&mut self) -> bool {
        self.disk.frozen = self.cgroup.as_ref().is_some_and(|cgroup| cgroup.freeze(true).is_ok());
        self.disk.frozen
    }

    fn thaw(&mut self) {
        if std::mem::take(&mut self.disk.frozen)
            && let Some(Err(error)) = self.cgroup.as_ref().map(|cgroup: &Cgroup| cgroup.freeze(false))
        {
            log(&format!("cannot thaw the payload: {error}"));
        }
    }

    /// Gives back what the Run has on a disk that it has filled, now rather than when the server has been told. No
    /// process of it lives any more.
    pub(super) fn make_room(&mut self) {
        let full = self.stop.as_ref().is_some_and(|stopping| matches!(stopping.why, Why::DiskFull { .. }));
        if full || self.disk.leaves {
            let work = self.directory.join(file::WORK);
            if let Err(error) = remove_tree(&work) {
                log(&format!("cannot remove {}: {error}; the daemon will", work.display()));
            }
        }
        self.disk.turn = None;
    }
}
