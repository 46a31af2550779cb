//! How long a call keeps trying: full jitter, bounded in tries and in time.

use std::time::Duration;

use tokio::time::Instant;

/// Tries of one call.
const TRIES: u32 = 5;
/// No try begins later than this after the first.
const BUDGET: Duration = Duration::from_secs(30);
/// The first pause is up to this; each next one up to twice as much.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// No pause of ours is longer.
const MOST_PAUSE: Duration = Duration::from_secs(10);
/// What a server may ask for with Retry-After.
pub(super) const MOST_RETRY_AFTER: Duration = Duration::from_secs(300);

/// What is left of a call's patience.
#[derive(Debug)]
pub(super) struct Patience {
    began: Instant,
    tries: u32,
}

impl Patience {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), tries: 0 }
    }

    /// For what is not tried again.
    pub(super) fn one_try() -> Self {
        Self { began: Instant::now(), tries: TRIES - 1 }
    }

    /// How long to wait before the next try, which is not to be before `not_before`; none when it is time to give up.
    /// `chance` is in 0..1.
    pub(super) fn next(&mut self, not_before: Option<Instant>, chance: f64) -> Option<Duration> {
        self.tries += 1;
        if self.tries >= TRIES {
            return None;
        }
        let most = FIRST_PAUSE.saturating_mul(1 << (self.tries - 1)).min(MOST_PAUSE);
        let now = Instant::now();
        let asked = not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let pause = most.mul_f64(chance.clamp(0.0, 1.0)).max(asked);
        (now + pause <= self.began + BUDGET).then_some(pause)
    }

    /// For the error: `5 tries in 7 s`.
    pub(super) fn spent(&self) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        let tries = if self.tries == 1 { "1 try" } else { &format!("{} tries", self.tries) };
        format!("{tries} in {seconds:.1} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_are_five_tries_with_growing_pauses() {
        let mut patience = Patience::begin();
        let pauses: Vec<_> = std::iter::from_fn(|| patience.next(None, 1.0)).map(|p| p.as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_asks_for_more_than_the_budget_is_not_waited_for() {
        let later = |seconds| Some(Instant::now() + Duration::from_secs(seconds));
        assert_eq!(Patience::begin().next(later(3), 0.0), Some(Duration::from_secs(3)));
        assert_eq!(Patience::begin().next(later(31), 0.0), None);
    }

    #[tokio::test(start_paused = true)]
    async fn no_try_begins_after_the_budget() {
        let mut patience = Patience::begin();
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(patience.next(None, 0.0), None);
    }
}
