//! How much of a program's output goes to the journal: so much at once, so much a second, so much of one Run. A flood
//! must not push out what else the host's journal holds; the whole is in the spool.

/// What may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Lines a second, in the long run.
    pub lines_per_second: u32,
    /// Bytes of one Run, all in all.
    pub budget: u64,
}

impl Limits {
    /// Of a line, on average.
    const LINE: u64 = 256;
    /// Seconds' worth that may come at once.
    const BURST: u64 = 50;

    /// Lines that may come at once.
    #[must_use]
    pub fn burst(&self) -> u64 {
        u64::from(self.lines_per_second) * Self::BURST
    }
}

/// What did not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeftOut {
    /// Whole and unfinished lines.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// See the module. Time is milliseconds of any clock that only goes forward.
#[derive(Debug)]
pub struct Gate {
    lines: Bucket,
    bytes: Bucket,
    budget: u64,
    left_out: LeftOut,
    closed: bool,
}

impl Gate {
    /// Open, with a whole burst to spend.
    #[must_use]
    pub fn new(limits: Limits, now: u64) -> Self {
        let (rate, burst) = (u64::from(limits.lines_per_second), limits.burst());
        Self {
            lines: Bucket::full(rate * 60, burst, now),
            bytes: Bucket::full(rate * Limits::LINE * 60, burst * Limits::LINE, now),
            budget: limits.budget,
            left_out: LeftOut::default(),
            closed: false,
        }
    }

    /// Whether lines may pass now. Once something was left out, a quarter of a burst must have come together again, or
    /// every line would be a gap of its own.
    pub fn open(&mut self, now: u64) -> bool {
        if self.closed && self.opens_in(now) == Some(0) {
            self.closed = false;
        }
        !self.closed
    }

    /// Whether a line of so many bytes passes.
    pub fn admit(&mut self, bytes: usize, now: u64) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if !self.open(now) {
            return false;
        }
        if self.budget < bytes || !self.lines.has(1, now) || !self.bytes.has(bytes, now) {
            self.closed = true;
            self.budget = if self.budget < bytes { 0 } else { self.budget };
            return false;
        }
        self.lines.take(1);
        self.bytes.take(bytes);
        self.budget -= bytes;
        true
    }

    /// Nothing passes for now: there is nobody to take it.
    pub fn shut(&mut self) {
        self.lines.empty();
        self.closed = true;
    }

    /// Counts what did not pass.
    pub fn leave_out(&mut self, lines: u64, bytes: u64) {
        self.left_out.lines = self.left_out.lines.saturating_add(lines);
        self.left_out.bytes = self.left_out.bytes.saturating_add(bytes);
    }

    /// What has to be said of the last gap, once.
    pub fn gap(&mut self) -> Option<LeftOut> {
        let left_out = std::mem::take(&mut self.left_out);
        (left_out != LeftOut::default()).then_some(left_out)
    }

    /// Whether the Run has had its share of the journal.
    #[must_use]
    pub fn spent(&self) -> bool {
        self.budget == 0
    }

    /// When a closed gate opens, in milliseconds; none when it is open, or for ever closed.
    #[must_use]
    pub fn opens_in(&self, now: u64) -> Option<u64> {
        if !self.closed || self.spent() {
            return None;
        }
        Some(self.lines.quarter_in(now).max(self.bytes.quarter_in(now)))
    }
}

/// A token bucket, in millionths of a token. Time is as in [`Gate`].
#[derive(Debug)]
pub struct Bucket {
    per_ms: u64,
    capacity: u64,
    level: u64,
    at: u64,
}

/// Millionths in a token.
const TOKEN: u64 = 1_000_000;

impl Bucket {
    /// With `burst` tokens in it, which is also the most that it holds.
    #[must_use]
    pub fn full(per_minute: u64, burst: u64, now: u64) -> Self {
        let capacity = burst.saturating_mul(TOKEN);
        Self { per_ms: per_minute.saturating_mul(TOKEN) / 60_000, capacity, level: capacity, at: now }
    }

    fn level(&self, now: u64) -> u64 {
        let grown = now.saturating_sub(self.at).saturating_mul(self.per_ms);
        self.level.saturating_add(grown).min(self.capacity)
    }

    /// Whether so many tokens are there.
    pub fn has(&mut self, count: u64, now: u64) -> bool {
        (self.level, self.at) = (self.level(now), now.max(self.at));
        self.level >= count.saturating_mul(TOKEN)
    }

    /// Takes them out.
    pub fn take(&mut self, count: u64) {
        self.level = self.level.saturating_sub(count.saturating_mul(TOKEN));
    }

    fn empty(&mut self) {
        self.level = 0;
    }

    fn quarter_in(&self, now: u64) -> u64 {
        (self.capacity / 4).saturating_sub(self.level(now)).div_ceil(self.per_ms.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { lines_per_second: 20, budget: 1 << 20 };

    fn passed(gate: &mut Gate, count: u64, now: u64) -> u64 {
        (0..count)
            .map(|_| {
                let passed = gate.admit(10, now);
                if !passed {
                    gate.leave_out(1, 10);
                }
                u64::from(passed)
            })
            .sum()
    }

    #[test]
    fn a_burst_passes_and_the_rest_of_a_flood_is_counted() {
        let mut gate = Gate::new(LIMITS, 0);
        assert_eq!(passed(&mut gate, 200_000, 0), 1000);
        assert_eq!(gate.gap(), Some(LeftOut { lines: 199_000, bytes: 1_990_000 }));
        assert_eq!(gate.gap(), None);
    }

    #[test]
    fn after_a_gap_it_opens_for_many_lines_at_once() {
        let mut gate = Gate::new(LIMITS, 0);
        passed(&mut gate, 2000, 0);
        assert_eq!(gate.opens_in(0), Some(12_500));
        assert_eq!(passed(&mut gate, 1000, 12_499), 0);
        assert_eq!(passed(&mut gate, 1000, 12_500), 250);
        // A flood that never ends gets the rate, in few gaps.
        let gaps = (0..1000).filter(|second| passed(&mut gate, 1000, 12_500 + second * 1000) > 0).count();
        assert!((70..=80).contains(&gaps), "{gaps}");
    }

    #[test]
    fn long_lines_are_counted_by_their_bytes() {
        let mut gate = Gate::new(LIMITS, 0);
        let passed = (0..1000).filter(|_| gate.admit(10_000, 0)).count();
        assert_eq!(passed, 25);
    }

    #[test]
    fn a_run_has_its_budget_and_no_more() {
        let mut gate = Gate::new(Limits { budget: 100, ..LIMITS }, 0);
        assert_eq!(passed(&mut gate, 50, 0), 10);
        assert!(gate.spent());
        assert_eq!((passed(&mut gate, 50, 1 << 40), gate.opens_in(1 << 40)), (0, None));
    }

    #[test]
    fn a_clock_that_stands_still_or_jumps_back_lets_nothing_extra_through() {
        let mut gate = Gate::new(LIMITS, 1000);
        passed(&mut gate, 2000, 1000);
        assert_eq!(passed(&mut gate, 2000, 0), 0);
    }
}
