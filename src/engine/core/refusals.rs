//! Queues that gave no task although one is first in them: the server refused the pop, or failed at it. They are left alone
//! for a while, longer each time, so that nothing goes round as fast as the server can say no.

use std::collections::BTreeMap;

use tokio::time::{Duration, Instant};

use crate::domain::ids::QueueId;
use crate::engine::Backoff;

/// The first pause; a poll is no longer apart.
const FIRST: Duration = Duration::from_secs(2);
/// The longest.
const LONGEST: Duration = Duration::from_secs(60);

/// Which queues refuse at present.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<QueueId, Refusal>);

#[derive(Debug)]
struct Refusal {
    reason: String,
    until: Instant,
    backoff: Backoff,
}

impl Refusals {
    /// It has refused once more.
    pub(super) fn add(&mut self, queue: &QueueId, reason: String) {
        let mut backoff = self.0.remove(queue).map_or_else(|| Backoff::new(FIRST, LONGEST), |before| before.backoff);
        let until = Instant::now() + backoff.step();
        self.0.insert(queue.clone(), Refusal { reason, until, backoff });
    }

    /// It has given a task, or there was none.
    pub(super) fn clear(&mut self, queue: &QueueId) {
        self.0.remove(queue);
    }

    /// Why it is left alone now, and for how long.
    pub(super) fn of(&self, queue: &QueueId) -> Option<(&str, Duration)> {
        let refusal = self.0.get(queue)?;
        let left = refusal.until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some((refusal.reason.as_str(), left))
    }

    /// Forgets queues that nobody serves.
    pub(super) fn retain(&mut self, served: impl Fn(&QueueId) -> bool) {
        self.0.retain(|queue, _| served(queue));
    }
}
