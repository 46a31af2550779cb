//! Time and chance.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::ids::{RunId, StateId, UnixMillis};
use crate::engine::ports::Clock;

/// The host's own.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostClock;

impl Clock for HostClock {
    fn now(&self) -> UnixMillis {
        // A clock before 1970 is a host's misconfiguration; stamps then begin at 0 and still only grow.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    fn mint_run(&self) -> RunId {
        RunId::new(uuid::Uuid::new_v4().simple().to_string()).unwrap_or_else(|_| unreachable!("32 hexadecimal digits"))
    }
}

/// The identity of a state directory that is being made.
#[must_use]
pub fn mint_state() -> StateId {
    let id = uuid::Uuid::new_v4().simple().to_string();
    StateId::new(&id[..12]).unwrap_or_else(|_| unreachable!("12 hexadecimal digits"))
}
