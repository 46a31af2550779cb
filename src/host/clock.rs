//! Time and chance.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::hours::{LocalHour, Weekday};
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

    /// By TZ, or /etc/localtime, which is read anew every five minutes; without either it is UTC. Unlike the C library's,
    /// this is sound beside other threads and in a static program.
    fn local(&self) -> LocalHour {
        local(TimeZone::system().to_datetime(Timestamp::now()))
    }

    fn mint_run(&self) -> RunId {
        RunId::new(uuid::Uuid::new_v4().simple().to_string()).unwrap_or_else(|_| unreachable!("32 hexadecimal digits"))
    }
}

fn local(now: DateTime) -> LocalHour {
    let day = usize::try_from(now.weekday().to_sunday_zero_offset()).unwrap_or(0);
    LocalHour { day: Weekday::ALL[day % 7], hour: u8::try_from(now.hour()).unwrap_or(0) }
}

/// The identity of a state directory that is being made.
#[must_use]
pub fn mint_state() -> StateId {
    let id = uuid::Uuid::new_v4().simple().to_string();
    StateId::new(&id[..12]).unwrap_or_else(|_| unreachable!("12 hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central European time, with its changes of the clock.
    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    #[test]
    fn the_hour_on_the_wall_follows_zone_and_changes_of_the_clock() {
        for (zone, at, wanted) in [
            ("UTC0", "2026-11-24T15:59:59Z", "Tue 15:00"),
            ("<+0530>-5:30", "2026-11-24T18:30:00Z", "Wed 00:00"),
            ("EST5", "2026-11-22T04:00:00Z", "Sat 23:00"),
            // In spring 01:59 is followed by 03:00, in autumn 02:59 by 02:00.
            (BERLIN, "2026-03-29T00:59:59Z", "Sun 01:00"),
            (BERLIN, "2026-03-29T01:00:00Z", "Sun 03:00"),
            (BERLIN, "2026-10-25T00:59:59Z", "Sun 02:00"),
            (BERLIN, "2026-10-25T01:00:00Z", "Sun 02:00"),
            (BERLIN, "2026-10-25T02:00:00Z", "Sun 03:00"),
        ] {
            let zone = TimeZone::posix(zone).expect("a zone");
            let at: Timestamp = at.parse().expect("a time");
            assert_eq!(local(zone.to_datetime(at)).to_string(), wanted, "{at}");
        }
    }
}
