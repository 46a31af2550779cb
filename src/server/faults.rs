//! Failures on demand, so that a client's patience can be tested.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

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
    /// Treat the token as expired (401/30).
    ExpiredToken,
}

#[derive(Debug)]
struct Planned {
    /// `service.action`, or every endpoint.
    endpoint: Option<String>,
    remaining: u32,
    fault: Fault,
}

/// The faults still to come. They are used up in the order in which they were planned.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Mutex<Vec<Planned>>,
}

impl Faults {
    /// The next `times` calls, of whatever endpoint, meet `fault`.
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

    /// Forgets what is still planned.
    pub fn clear(&self) {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn plan(&self, endpoint: Option<String>, remaining: u32, fault: Fault) {
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).push(Planned { endpoint, remaining, fault });
    }

    /// What this call meets. An expired token needs a token to expire, so a login by key pair never meets it.
    pub(super) fn take(&self, endpoint: &str, has_token: bool) -> Option<Fault> {
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        let index = planned.iter().position(|p| {
            p.remaining > 0
                && p.endpoint.as_deref().is_none_or(|wanted| wanted == endpoint)
                && (has_token || p.fault != Fault::ExpiredToken)
        })?;
        let found = &mut planned[index];
        found.remaining -= 1;
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
}
