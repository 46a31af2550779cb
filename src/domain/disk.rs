//! When a Run has to go, so that the disk of the state directory never fills: pure decisions about figures.
//!
//! Each shim looks at its own Run alone, and none talks to another. While the disk is short of room, the size from which
//! a Run has to go falls step by step: the largest is met first, its files are removed, and the others never hear of it.
//! All wait while one goes or room is being made, but none for more than [`LONGEST_MS`].

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
/// Between two steps of a shortage, and how long all steps together may be put off for others: of a Run that is frozen,
/// which costs nothing, and of one that may be filling the disk meanwhile.
const FROZEN: Pace = Pace { step_ms: 1000, patience_ms: 30_000 };
const WRITING: Pace = Pace { step_ms: 250, patience_ms: 2000 };
/// After this long no Run is held up any more, and none waits for another.
const LONGEST_MS: u64 = 60_000;
/// The share of what is missing that has to come back to count as room that is being made.
const RISE_SHARE: u64 = 16;
/// What a file takes at least, for those that could not be looked at one by one.
const LEAST_FILE: u64 = 4096;
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
struct Pace {
    step_ms: u64,
    patience_ms: u64,
}

#[derive(Debug, Clone, Copy)]
struct Shortage {
    began_ms: u64,
    looked_ms: u64,
    /// When the next step is taken.
    next_ms: u64,
    steps: u32,
    /// Nobody is met before then.
    still_until_ms: u64,
    /// How long it has been so in all, and whether that is all there can be of it.
    waited_ms: u64,
    impatient: bool,
    /// [`LONGEST_MS`] have passed.
    over: bool,
    /// The least that was missing so far.
    missing: Missing,
}

/// What would have to come back: bytes and inodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Missing {
    bytes: u64,
    files: u64,
}

/// What a look at the disk led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is room.
    Fine,
    /// There is not, but somebody makes some: nobody has to go now.
    Wait,
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
        self.missing(0).files > 0
    }

    fn missing(self, reserve: u64) -> Missing {
        let (bytes, files) = (reserve.saturating_sub(self.free), self.files / INODES_SHARE);
        Missing { bytes, files: files.saturating_sub(self.free_files) }
    }
}

// === impl Guard ===

impl Guard {
    /// Leaves `reserve` bytes free; 0 guards nothing, and none is [`Room::usual_reserve`].
    #[must_use]
    pub fn new(reserve: Option<u64>) -> Self {
        Self { reserve, short: None }
    }

    /// Judges a look at `now_ms`: whether this Run is frozen, and whether another one is just going.
    pub fn look(&mut self, room: Room, now_ms: u64, frozen: bool, another_goes: bool) -> Verdict {
        if !self.is_short(room) {
            self.short = None;
            return Verdict::Fine;
        }
        let missing = room.missing(self.reserve_of(room));
        let pace = if frozen { FROZEN } else { WRITING };
        let short = self.short.get_or_insert(Shortage::begin(now_ms, pace, missing));
        let rises = short.rises(missing);
        short.go_on(now_ms, pace, rises || another_goes);
        if short.still_until_ms > now_ms { Verdict::Wait } else { Verdict::Short(short.bound(room)) }
    }

    /// Whether less is left than has to be.
    #[must_use]
    pub fn is_short(&self, room: Room) -> bool {
        let reserve = self.reserve_of(room);
        reserve > 0 && room.missing(reserve) != Missing { bytes: 0, files: 0 }
    }

    /// Whether others have been waited for as long as can be.
    #[must_use]
    pub fn impatient(&self) -> bool {
        self.short.is_some_and(|short| short.impatient)
    }

    fn reserve_of(&self, room: Room) -> u64 {
        self.reserve.unwrap_or_else(|| room.usual_reserve())
    }

    /// Whether every Run that could be the reason has been met, as far as can be waited for.
    #[must_use]
    pub fn exhausted(&self, room: Room) -> bool {
        let least = |bound: Footprint| bound.bytes == LEAST_BYTES && matches!(bound.files, LEAST_FILES | u64::MAX);
        self.short.is_some_and(|short| short.over || least(short.bound(room)))
    }

    /// How long the next look can wait: the disk is not faster than that.
    #[must_use]
    pub fn pause_ms(&self, room: Room) -> u64 {
        let reserve = self.reserve_of(room);
        if reserve == 0 || self.exhausted(room) {
            return SELDOM_MS;
        }
        (room.free.saturating_sub(reserve) / BYTES_A_MS).clamp(OFTEN_MS, SELDOM_MS)
    }
}

impl Shortage {
    fn begin(now_ms: u64, pace: Pace, missing: Missing) -> Self {
        Self {
            began_ms: now_ms,
            looked_ms: now_ms,
            next_ms: now_ms.saturating_add(pace.step_ms),
            steps: 1,
            still_until_ms: 0,
            waited_ms: 0,
            impatient: false,
            over: false,
            missing,
        }
    }

    /// Whether clearly less is missing than ever since the shortage began.
    fn rises(&mut self, missing: Missing) -> bool {
        let clearly = |now: u64, least: u64| now < least - least.div_ceil(RISE_SHARE);
        let (bytes, files) = (clearly(missing.bytes, self.missing.bytes), clearly(missing.files, self.missing.files));
        if bytes {
            self.missing.bytes = missing.bytes;
        }
        if files {
            self.missing.files = missing.files;
        }
        bytes || files
    }

    fn go_on(&mut self, now_ms: u64, pace: Pace, room_is_made: bool) {
        if self.still_until_ms > self.looked_ms {
            self.waited_ms = self.waited_ms.saturating_add(now_ms.saturating_sub(self.looked_ms));
        }
        self.looked_ms = now_ms;
        self.over = now_ms.saturating_sub(self.began_ms) >= LONGEST_MS;
        self.impatient = self.over || self.waited_ms >= pace.patience_ms;
        let step_on = now_ms.saturating_add(pace.step_ms);
        if self.impatient {
            self.still_until_ms = 0;
        } else if room_is_made {
            self.still_until_ms = step_on;
        }
        if self.still_until_ms > now_ms {
            self.next_ms = self.still_until_ms.saturating_add(pace.step_ms);
        } else if now_ms >= self.next_ms {
            (self.steps, self.next_ms) = (self.steps.saturating_add(1), step_on);
        }
    }

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

    /// Of a tree that was too large to be looked at: what was found, what its entries take at least, or `written`.
    #[must_use]
    pub fn or_at_least(self, written: u64) -> Self {
        let entries = self.files.saturating_mul(LEAST_FILE);
        Self { bytes: self.bytes.max(entries).max(written), ..self }
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

    /// Looks every quarter of a second from `from` on until somebody would be met, or for two minutes.
    fn first_met(guard: &mut Guard, from: u64, frozen: bool, look: impl Fn(u64) -> (u64, bool)) -> Option<u64> {
        (from..from + 120_000).step_by(250).find(|now| {
            let (free, another_goes) = look(*now);
            matches!(guard.look(disk(free), *now, frozen, another_goes), Verdict::Short(_))
        })
    }

    #[test]
    fn with_room_beyond_the_reserve_nobody_has_to_go() {
        let mut guard = Guard::new(None);
        assert_eq!(guard.look(disk(2 * GIB), 0, false, true), Verdict::Fine);
        assert!(matches!(guard.look(disk(2 * GIB - 1), 0, false, false), Verdict::Short(_)));
        assert_eq!(Guard::new(Some(0)).look(disk(0), 0, false, false), Verdict::Fine, "a guard that was switched off");
        assert_eq!(Room { size: GIB, ..disk(0) }.usual_reserve(), GIB / 20);
    }

    #[test]
    fn the_largest_is_met_first_and_the_small_ones_never() {
        let (mut guard, mut met) = (Guard::new(None), Vec::new());
        let runs = [300 * GIB, 40 * GIB, GIB, 10 << 20].map(|bytes| Footprint { bytes, files: 10 });
        for now in (0..120_000).step_by(250) {
            let Verdict::Short(bound) = guard.look(disk(GIB), now, true, false) else { panic!("short") };
            met.extend(runs.iter().filter(|run| run.reaches(bound)).map(|run| run.bytes));
        }
        met.dedup();
        assert_eq!((met[0], met.contains(&(10 << 20))), (300 * GIB, false));
        let first = |size| met.iter().position(|met| *met == size).expect("met");
        assert!(first(300 * GIB) < first(40 * GIB) && first(40 * GIB) < first(GIB));
        assert!(guard.exhausted(disk(GIB)));
    }

    #[test]
    fn while_somebody_makes_room_nobody_is_met_and_the_next_shortage_begins_anew() {
        let mut guard = Guard::new(None);
        let first = guard.look(disk(0), 0, true, false);
        for (now, free) in [(1000, GIB / 4), (1750, GIB / 2)] {
            assert_eq!(guard.look(disk(free), now, true, false), Verdict::Wait);
        }
        assert_eq!(guard.look(disk(3 * GIB), 2250, true, false), Verdict::Fine);
        assert_eq!(guard.look(disk(0), 2500, true, false), first);
    }

    #[test]
    fn a_block_that_comes_and_goes_puts_off_nothing() {
        let mut guard = Guard::new(None);
        for now in (0..15_000).step_by(250) {
            let verdict = guard.look(disk(now % 1000 * 4096 + now), now, true, false);
            assert!(matches!(verdict, Verdict::Short(_)), "{now}: {verdict:?}");
        }
        assert!(guard.exhausted(disk(0)));
    }

    #[test]
    fn while_one_goes_no_other_is_met_but_not_for_ever() {
        for (frozen, most) in [(true, FROZEN), (false, WRITING)] {
            let mut guard = Guard::new(None);
            assert_eq!(first_met(&mut guard, 0, frozen, |_| (0, true)), Some(most.patience_ms));
            let mut guard = Guard::new(None);
            let gone = first_met(&mut guard, 0, frozen, |now| (0, now < 1000)).expect("met");
            assert_eq!(gone, 750 + most.step_ms, "a step later than it has gone");
        }
    }

    #[test]
    fn whatever_happens_no_run_is_held_up_for_more_than_a_minute() {
        let mut guard = Guard::new(Some(u64::MAX));
        let huge = |free| Room { size: u64::MAX, ..disk(free) };
        for now in (0..LONGEST_MS).step_by(250) {
            guard.look(huge(now << 40), now, true, true);
        }
        assert!(matches!(guard.look(huge(0), LONGEST_MS, true, true), Verdict::Short(_)));
        assert!(guard.exhausted(huge(0)) && guard.impatient());
    }

    #[test]
    fn what_could_not_be_looked_at_counts_by_its_entries_and_by_what_was_written() {
        let found = Footprint { bytes: 5 * 4096, files: 10 };
        assert_eq!((found.or_at_least(0).bytes, found.or_at_least(GIB).bytes), (10 * 4096, GIB));
        assert_eq!(Footprint { bytes: GIB, files: 10 }.or_at_least(5).bytes, GIB);
    }

    #[test]
    fn a_disk_without_inodes_is_as_full_as_one_without_bytes() {
        let mut guard = Guard::new(None);
        let room = Room { free_files: 10_000, ..disk(500 * GIB) };
        let Verdict::Short(bound) = guard.look(room, 0, false, false) else { panic!("short") };
        assert!(Footprint { bytes: 0, files: 600_000 }.reaches(bound));
        let made_as_needed = Room { files: 0, free_files: 0, ..disk(500 * GIB) };
        assert_eq!(Guard::new(None).look(made_as_needed, 0, false, false), Verdict::Fine);
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
