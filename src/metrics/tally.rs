//! What has ended since the daemon's start, by cause and by how long it took.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::ids::RunId;
use crate::engine::handle::RunView;

/// Upper bounds of the buckets, in seconds: a minute to a week.
pub(super) const BOUNDS: [f64; 8] = [60.0, 300.0, 900.0, 3600.0, 14_400.0, 43_200.0, 86_400.0, 604_800.0];

/// Counters. A Run is counted once, however often it is seen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Those whose end is counted, or was known before we came up.
    known: Option<BTreeSet<RunId>>,
    pub(super) ends: BTreeMap<&'static str, u64>,
    /// One more than there are bounds: the rest.
    pub(super) buckets: [u64; BOUNDS.len() + 1],
    pub(super) seconds: f64,
}

impl Tally {
    /// Looks at what the ledger has. The first look counts nothing: those ends are of an earlier daemon.
    pub(super) fn observe(&mut self, runs: &[RunView]) {
        let ended = runs.iter().filter_map(|run| Some((run, run.record.exited()?)));
        let first = self.known.is_none();
        let known = self.known.take().unwrap_or_default();
        let mut now = BTreeSet::new();
        for (run, exited) in ended {
            if !first && !known.contains(&run.record.id) {
                *self.ends.entry(exited.cause.word()).or_default() += 1;
                if let Some(started) = exited.started {
                    self.took(exited.at.0.saturating_sub(started.0) as f64 / 1000.0);
                }
            }
            now.insert(run.record.id.clone());
        }
        // What the ledger has forgotten need not be known any more.
        self.known = Some(now);
    }

    fn took(&mut self, seconds: f64) {
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket] += 1;
        self.seconds += seconds;
    }
}
