//! Keeps this Run from filling the disk of the state directory, beside everything else that [`super::watch`] waits for.

use std::path::Path;
use std::time::Instant;

use super::cgroup::Cgroup;
use super::footprint::{Measurement, device_of};
use super::watch::Why;
use super::{Shim, log};
use crate::domain::disk::{Footprint, Guard, Room, Verdict, until_measured_again};
use crate::domain::handover::file;
use crate::sys::removal::remove_tree;

/// Between two steps of a shortage, when nothing of the Run can write meanwhile, and when it can.
const FROZEN_STEP_MS: u64 = 1000;
const STEP_MS: u64 = 250;
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
    next_measurement: u64,
    /// Nothing of the Run goes on; what it has written, once that is known.
    frozen: bool,
    measured: Option<Footprint>,
    /// It has been said that the disk is short, but not by this Run.
    said: bool,
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
        }
    }
}

impl Shim {
    /// Looks at the disk when it is time to, and stops the Run when it has to go; how long until the next look.
    pub(super) fn look_at_disk(&mut self) -> Option<u64> {
        if let Some(stopping) = &self.stop {
            // One that is asked to end must be able to; one that is killed for the disk had better not go on.
            if !matches!(stopping.why, Why::DiskFull { .. }) {
                self.thaw();
            }
            return None;
        }
        let now = self.now_ms();
        if now < self.disk.next_look {
            return Some(self.disk.next_look - now);
        }
        let room = room(&self.directory)?;
        let step = if self.disk.frozen { FROZEN_STEP_MS } else { STEP_MS };
        match self.disk.guard.look(room, now, step) {
            Verdict::Fine => {
                self.thaw();
                self.disk.said = false;
            }
            Verdict::Short(bound) => self.face_shortage(room, bound),
        }
        self.keep_own_limit(now);
        let pause = self.disk.guard.pause_ms(room);
        self.disk.next_look = self.now_ms().saturating_add(pause);
        self.stop.is_none().then_some(pause)
    }

    /// The disk is short of room: nothing of the Run goes on until it is known whether it is the reason.
    fn face_shortage(&mut self, room: Room, bound: Footprint) {
        if self.disk.said && self.now_ms() < self.disk.next_measurement {
            return;
        }
        if !self.disk.frozen && !self.disk.said {
            self.disk.frozen = self.cgroup.as_ref().is_some_and(|cgroup| cgroup.freeze(true).is_ok());
        }
        let (own, took) = match self.disk.measured {
            Some(own) => (own, 0),
            None => self.footprint(true),
        };
        self.disk.measured = self.disk.frozen.then_some(own);
        if own.reaches(bound) {
            let reason = format!(
                "{} MiB were left free, and this run, which had written {} MiB in {} files, was the largest; let it \
                 write less, or give the state directory a larger disk",
                room.free >> 20,
                own.bytes >> 20,
                own.files
            );
            // At once: what it writes meanwhile fills the disk further, and nothing of it would be kept.
            self.leave_for_disk(reason, 0);
        } else if self.disk.guard.exhausted(room) {
            self.thaw();
            self.disk.next_measurement = self.now_ms().saturating_add(took.saturating_mul(CALM_SHARE).max(CALM_MS));
            if !std::mem::replace(&mut self.disk.said, true) {
                let left = room.free >> 20;
                self.say(&format!("the worker's disk is short of room ({left} MiB left), but not by this task"));
            }
        }
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
            self.leave_for_disk(reason, self.spec.stop_grace_ms);
        }
    }

    /// What the Run has written, and how many milliseconds it took to know; with `shared`, into caches that others fill
    /// too.
    fn footprint(&self, shared: bool) -> (Footprint, u64) {
        let began = Instant::now();
        let work = self.directory.join(file::WORK);
        let mut measurement = Measurement::default();
        measurement.tree(&work, None);
        if let Some(device) = device_of(&work) {
            measurement.unnamed(device);
        }
        if shared {
            let since = i64::try_from(self.started.at.0 / 1000).unwrap_or(i64::MAX);
            let caches = &self.spec.caches;
            for cache in [&caches.mirrors, &caches.packages, &caches.environments] {
                measurement.tree(cache, Some(since));
            }
        }
        (measurement.sum(), u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn leave_for_disk(&mut self, reason: String, grace_ms: u64) {
        self.say(&format!("the worker's disk is full, and the task is stopped: {reason}"));
        self.begin_stop(Why::DiskFull { reason }, grace_ms);
    }

    fn thaw(&mut self) {
        self.disk.measured = None;
        if std::mem::take(&mut self.disk.frozen)
            && let Some(Err(error)) = self.cgroup.as_ref().map(|cgroup: &Cgroup| cgroup.freeze(false))
        {
            log(&format!("cannot thaw the payload: {error}"));
        }
    }

    /// Gives back what the Run has on a disk that it has filled, now rather than when the server has been told. No
    /// process of it lives any more.
    pub(super) fn make_room(&self) {
        if !self.stop.as_ref().is_some_and(|stopping| matches!(stopping.why, Why::DiskFull { .. })) {
            return;
        }
        let work = self.directory.join(file::WORK);
        if let Err(error) = remove_tree(&work) {
            log(&format!("cannot remove {}: {error}; the daemon will", work.display()));
        }
    }
}

fn room(directory: &Path) -> Option<Room> {
    let disk = rustix::fs::statvfs(directory).ok()?;
    Some(Room {
        size: disk.f_blocks.saturating_mul(disk.f_frsize),
        free: disk.f_bavail.saturating_mul(disk.f_frsize),
        files: disk.f_files,
        free_files: disk.f_favail,
    })
}
