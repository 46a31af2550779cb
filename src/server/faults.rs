//! Failures on demand, so that a client's patience can be tested: by our own tests through [`Faults`], by others through
//! [`control`], which takes each [`Order`] as JSON.

pub(super) mod control;
mod order;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub use order::{Order, OrderError};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answer this HTTP status in an envelope (502, 503, 429, 500, 401 …) without doing anything.
    Status(u16),
    /// Answer this status and subcode in an envelope (400/121, 400/101 …) without doing anything.
    Refuse {
        /// HTTP status and result code.
        code: u16,
        /// Result subcode.
        subcode: u16,
    },
    /// Do and answer as always, but this much later.
    Delay(Duration),
    /// Close the connection without an answer and without doing anything.
    Drop,
    /// Do what is asked, then close the connection without an answer: the client cannot know.
    DropReply,
    /// Do what is asked, then close the connection in the middle of the answer.
    CutReply,
    /// Treat the token as expired (401/30).
    ExpiredToken,
}

/// The clock by which the server ends tasks that nobody has been heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchdogClock {
    /// How far it is ahead of the host's.
    pub ahead: Duration,
    /// How often it looks.
    pub every: Duration,
}

impl Default for WatchdogClock {
    fn default() -> Self {
        Self { ahead: Duration::ZERO, every: Duration::from_secs(900) }
    }
}

#[derive(Debug)]
struct Planned {
    /// `service.action`, or every endpoint.
    endpoint: Option<String>,
    /// `u32::MAX` stands for as long as nobody clears it.
    remaining: u32,
    fault: Fault,
}

/// The faults still to come. They are used up in the order in which they were planned.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Mutex<Vec<Planned>>,
    offline_until: Mutex<Option<Instant>>,
    log_delay: Mutex<Duration>,
    watchdog: watch::Sender<WatchdogClock>,
}

/// Each change is one assignment, so what a panicking thread left is whole.
fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faults {
    /// The next `times` calls, of whatever endpoint, meet `fault`; `u32::MAX` is every call until [`Faults::clear`].
    pub fn next(&self, times: u32, fault: Fault) {
        self.plan(None, times, fault);
    }

    /// The next `times` calls of `endpoint` (`tasks.started`) meet `fault`.
    pub fn next_of(&self, endpoint: &str, times: u32, fault: Fault) {
        self.plan(Some(endpoint.to_owned()), times, fault);
    }

    /// The next call that carries a token is told that it has expired.
    pub fn expire_token_once(&self) {
        self.plan(None, 1, Fault::ExpiredToken);
    }

    /// For this long every connection is closed without an answer, at the file server too.
    pub fn offline_for(&self, time: Duration) {
        *locked(&self.offline_until) = Instant::now().checked_add(time);
    }

    /// Log events are shown only so long after they have arrived, as by a store that indexes late.
    pub fn show_log_after(&self, delay: Duration) {
        *locked(&self.log_delay) = delay;
    }

    /// The watchdog goes by this clock from now on, and looks at once.
    pub fn set_watchdog(&self, clock: WatchdogClock) {
        self.watchdog.send_replace(clock);
    }

    /// Forgets what is still planned, and nothing is out of the ordinary any more.
    pub fn clear(&self) {
        locked(&self.planned).clear();
        *locked(&self.offline_until) = None;
        *locked(&self.log_delay) = Duration::ZERO;
        self.watchdog.send_replace(WatchdogClock::default());
    }

    /// What is still to come, as orders that would bring it about.
    #[must_use]
    pub fn list(&self) -> Vec<Order> {
        let planned = locked(&self.planned);
        let calls = planned.iter().map(|planned| Order::Calls {
            fault: planned.fault,
            endpoint: planned.endpoint.clone(),
            times: planned.remaining,
        });
        let offline = self.offline_left().map(Order::Offline);
        let delay = Some(self.log_delay()).filter(|delay| !delay.is_zero()).map(Order::LateLog);
        let clock = Some(*self.watchdog.borrow()).filter(|clock| *clock != WatchdogClock::default());
        calls.chain(offline).chain(delay).chain(clock.map(Order::Watchdog)).collect()
    }

    pub(super) fn is_offline(&self) -> bool {
        self.offline_left().is_some()
    }

    fn offline_left(&self) -> Option<Duration> {
        let until = (*locked(&self.offline_until))?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    pub(super) fn log_delay(&self) -> Duration {
        *locked(&self.log_delay)
    }

    pub(super) fn watchdog(&self) -> watch::Receiver<WatchdogClock> {
        self.watchdog.subscribe()
    }

    fn plan(&self, endpoint: Option<String>, remaining: u32, fault: Fault) {
        locked(&self.planned).push(Planned { endpoint, remaining, fault });
    }

    /// What this call meets. An expired token needs a token to expire, so a login by key pair never meets it.
    pub(super) fn take(&self, endpoint: &str, has_token: bool) -> Option<Fault> {
        let mut planned = locked(&self.planned);
        let index = planned.iter().position(|p| {
            p.remaining > 0
                && p.endpoint.as_deref().is_none_or(|wanted| wanted == endpoint)
                && (has_token || p.fault != Fault::ExpiredToken)
        })?;
        let found = &mut planned[index];
        if found.remaining < u32::MAX {
            found.remaining -= 1;
        }
        let fault = found.fault;
        planned.retain(|p| p.remaining > 0);
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_one_endpoint_waits_for_that_endpoint_and_is_used_up() {
        let faults = Faults::default();
        faults.next_of("tasks.started", 2, Fault::Status(503));
        assert_eq!(faults.take("tasks.ping", true), None);
        assert_eq!(faults.take("tasks.started", true), Some(Fault::Status(503)));
        assert_eq!(faults.take("tasks.started", true), Some(Fault::Status(503)));
        assert_eq!(faults.take("tasks.started", true), None);
    }

    #[test]
    fn a_login_by_key_pair_does_not_use_up_the_expiry_of_a_token() {
        let faults = Faults::default();
        faults.expire_token_once();
        assert_eq!(faults.take("auth.login", false), None);
        assert_eq!(faults.take("tasks.ping", true), Some(Fault::ExpiredToken));
    }

    #[test]
    fn a_fault_without_an_end_is_there_until_everything_is_cleared() {
        let faults = Faults::default();
        faults.next(u32::MAX, Fault::Drop);
        faults.offline_for(Duration::from_secs(60));
        faults.show_log_after(Duration::from_secs(3));
        faults.set_watchdog(WatchdogClock { ahead: Duration::from_secs(7200), every: Duration::from_secs(1) });
        assert_eq!(faults.take("tasks.ping", true), Some(Fault::Drop));
        assert_eq!(faults.list().first(), Some(&Order::Calls { fault: Fault::Drop, endpoint: None, times: u32::MAX }));
        assert!(faults.is_offline());
        assert_eq!(faults.list().len(), 4);
        faults.clear();
        assert_eq!((faults.list(), faults.is_offline(), faults.take("tasks.ping", true)), (Vec::new(), false, None));
    }
}
