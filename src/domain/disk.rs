//! When a Run has to go, so that the disk of the state directory never fills: pure decisions about figures.
//!
//! Each shim looks at its own Run alone, and none talks to another. While the disk is short of room, the size from which
//! a Run has to go falls step by step: the largest is met first, its files are removed, and the others never hear of it.

/// How much of the disk is left when nobody has said how much.
const USUAL_SHARE: u64 = 20;
/// On large disks it is not more than this.
const USUAL_MOST: u64 = 2 << 30;
/// The share of a disk's inodes that is left.
const INODES_SHARE: u64 = 50;
/// Runs with less are not why a disk is full.
const LEAST_BYTES: u64 = 64 << 20;
/// As many files as a small checkout.
const LEAST_FILES: u64 = 20_000;
/// What a fast disk takes in a millisecond.
const BYTES_A_MS: u64 = 4 << 20;
/// Between two looks at the disk.
const OFTEN_MS: u64 = 50;
const SELDOM_MS: u64 = 1000;
/// Between two measurements of a Run that has a limit of its own.
const MEASURE_MS: u64 = 5000;
/// They may take this share of the time.
const MEASURE_SHARE: u64 = 50;

/// A file system, as `statvfs` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// In bytes.
    pub size: u64,
    /// Bytes for those who are not root.
    pub free: u64,
    /// Inodes; 0 where they are made as they are needed.
    pub files: u64,
    /// Inodes that are free.
    pub free_files: u64,
}

/// What a Run has written, in files that are still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Blocks, in bytes.
    pub bytes: u64,
    /// Inodes.
    pub files: u64,
}

/// What keeps the disk from filling, for one Run.
#[derive(Debug, Clone)]
pub struct Guard {
    reserve: Option<u64>,
    short: Option<Shortage>,
}

#[derive(Debug, Clone, Copy)]
struct Shortage {
    /// When the next step is taken.
    next_ms: u64,
    steps: u32,
    free: u64,
}

/// What a look at the disk led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is room.
    Fine,
    /// There is not, and a Run from this size on has to go.
    Short(Footprint),
}

// === impl Room ===

impl Room {
    /// What is left free for the host when nobody has said how much.
    #[must_use]
    pub fn usual_reserve(self) -> u64 {
        (self.size / USUAL_SHARE).min(USUAL_MOST)
    }

    /// Whether so few inodes are left that the disk is as good as full.
    #[must_use]
    pub fn short_of_files(self) -> bool {
        self.files > 0 && self.free_files < self.files / INODES_SHARE
    }
}

// === impl Guard ===

impl Guard {
    /// Leaves `reserve` bytes free; 0 guards nothing, and none is [`Room::usual_reserve`].
    #[must_use]
    pub fn new(reserve: Option<u64>) -> Self {
        Self { reserve, short: None }
    }

    /// Judges a look at `now_ms`. Between two steps of a shortage `step_ms` pass: few where the Runs still write.
    pub fn look(&mut self, room: Room, now_ms: u64, step_ms: u64) -> Verdict {
        let reserve = self.reserve.unwrap_or_else(|| room.usual_reserve());
        if reserve == 0 || (room.free >= reserve && !room.short_of_files()) {
            self.short = None;
            return Verdict::Fine;
        }
        let next_ms = now_ms.saturating_add(step_ms);
        let short = self.short.get_or_insert(Shortage { next_ms, steps: 1, free: room.free });
        if room.free > short.free {
            // Somebody makes room: the next one may not be needed.
            short.next_ms = next_ms;
        } else if now_ms >= short.next_ms {
            (short.steps, short.next_ms) = (short.steps.saturating_add(1), next_ms);
        }
        short.free = room.free;
        Verdict::Short(short.bound(room))
    }

    /// Whether every Run that could be the reason has been met.
    #[must_use]
    pub fn exhausted(&self, room: Room) -> bool {
        let least = |bound: Footprint| bound.bytes == LEAST_BYTES && matches!(bound.files, LEAST_FILES | u64::MAX);
        self.short.is_some_and(|short| least(short.bound(room)))
    }

    /// How long the next look can wait: the disk is not faster than that.
    #[must_use]
    pub fn pause_ms(&self, room: Room) -> u64 {
        let reserve = self.reserve.unwrap_or_else(|| room.usual_reserve());
        if reserve == 0 || self.exhausted(room) {
            return SELDOM_MS;
        }
        (room.free.saturating_sub(reserve) / BYTES_A_MS).clamp(OFTEN_MS, SELDOM_MS)
    }
}

impl Shortage {
    /// Half of all that is used at first, and half of that with each step.
    fn bound(self, room: Room) -> Footprint {
        let half = |used: u64| used.checked_shr(self.steps).unwrap_or(0);
        let files = half(room.files.saturating_sub(room.free_files)).max(LEAST_FILES);
        Footprint {
            bytes: half(room.size.saturating_sub(room.free)).max(LEAST_BYTES),
            files: if room.short_of_files() { files } else { u64::MAX },
        }
    }
}

// === impl Footprint ===

impl Footprint {
    /// Whether one of both is reached.
    #[must_use]
    pub fn reaches(self, bound: Self) -> bool {
        self.bytes >= bound.bytes || self.files >= bound.files
    }
}

/// How long after a measurement that took `took_ms` a Run with a limit of its own is measured again.
#[must_use]
pub fn until_measured_again(took_ms: u64) -> u64 {
    took_ms.saturating_mul(MEASURE_SHARE).max(MEASURE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn disk(free: u64) -> Room {
        Room { size: 1024 * GIB, free, files: 1_000_000, free_files: 900_000 }
    }

    #[test]
    fn with_room_beyond_the_reserve_nobody_has_to_go() {
        let mut guard = Guard::new(None);
        assert_eq!(guard.look(disk(2 * GIB), 0, 250), Verdict::Fine);
        assert!(matches!(guard.look(disk(2 * GIB - 1), 0, 250), Verdict::Short(_)));
        assert_eq!(Guard::new(Some(0)).look(disk(0), 0, 250), Verdict::Fine, "a guard that was switched off");
        assert_eq!(Room { size: GIB, ..disk(0) }.usual_reserve(), GIB / 20);
    }

    #[test]
    fn the_largest_is_met_first_and_the_small_ones_never() {
        let (mut guard, mut met) = (Guard::new(None), Vec::new());
        let runs = [300 * GIB, 40 * GIB, GIB, 10 << 20].map(|bytes| Footprint { bytes, files: 10 });
        for now in (0..20_000).step_by(250) {
            let Verdict::Short(bound) = guard.look(disk(GIB), now, 250) else { panic!("short") };
            met.extend(runs.iter().filter(|run| run.reaches(bound)).map(|run| run.bytes));
        }
        met.dedup();
        assert_eq!((met[0], met.contains(&(10 << 20))), (300 * GIB, false));
        let first = |size| met.iter().position(|met| *met == size).expect("met");
        assert!(first(300 * GIB) < first(40 * GIB) && first(40 * GIB) < first(GIB));
        assert!(guard.exhausted(disk(GIB)));
    }

    #[test]
    fn while_somebody_makes_room_no_further_one_is_met() {
        let mut guard = Guard::new(None);
        let first = guard.look(disk(0), 0, 250);
        for (now, free) in [(250, 1), (500, 2), (750, 3)] {
            assert_eq!(guard.look(disk(free), now, 250), first_of(first, disk(free)), "{now}");
        }
        let Verdict::Short(later) = guard.look(disk(3), 1000, 250) else { panic!("short") };
        assert!(matches!(first, Verdict::Short(bound) if later.bytes < bound.bytes));
        assert_eq!(guard.look(disk(3 * GIB), 1250, 250), Verdict::Fine);
        assert_eq!(guard.look(disk(0), 1500, 250), first, "the next shortage begins anew");
    }

    /// The same number of steps on a disk with a little more room.
    fn first_of(verdict: Verdict, room: Room) -> Verdict {
        assert!(matches!(verdict, Verdict::Short(_)));
        Verdict::Short(Shortage { next_ms: 0, steps: 1, free: room.free }.bound(room))
    }

    #[test]
    fn a_disk_without_inodes_is_as_full_as_one_without_bytes() {
        let mut guard = Guard::new(None);
        let room = Room { free_files: 10_000, ..disk(500 * GIB) };
        let Verdict::Short(bound) = guard.look(room, 0, 250) else { panic!("short") };
        assert!(Footprint { bytes: 0, files: 600_000 }.reaches(bound));
        let made_as_needed = Room { files: 0, free_files: 0, ..disk(500 * GIB) };
        assert_eq!(Guard::new(None).look(made_as_needed, 0, 250), Verdict::Fine);
    }

    #[test]
    fn the_closer_the_end_the_more_often_one_looks() {
        let guard = Guard::new(Some(2 * GIB));
        assert_eq!((guard.pause_ms(disk(500 * GIB)), guard.pause_ms(disk(GIB))), (SELDOM_MS, OFTEN_MS));
        let pause = guard.pause_ms(disk(3 * GIB));
        assert!(pause * BYTES_A_MS <= GIB && pause > OFTEN_MS, "{pause}");
        assert_eq!((until_measured_again(10), until_measured_again(1000)), (5000, 50_000));
    }
}
