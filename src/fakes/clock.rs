//! A clock whose wall shows what a test says; its other hands are the host's.

use std::sync::Mutex;

use crate::domain::hours::{LocalHour, Weekday};
use crate::domain::ids::{RunId, UnixMillis};
use crate::engine::ports::Clock;
use crate::host::clock::HostClock;

#[derive(Debug)]
pub(crate) struct FakeClock {
    wall: Mutex<LocalHour>,
}

impl Default for FakeClock {
    fn default() -> Self {
        Self { wall: Mutex::new(LocalHour { day: Weekday::Monday, hour: 12 }) }
    }
}

impl FakeClock {
    pub(crate) fn show(&self, day: Weekday, hour: u8) {
        *self.wall.lock().expect("no test panicked") = LocalHour { day, hour };
    }
}

impl Clock for FakeClock {
    fn now(&self) -> UnixMillis {
        HostClock.now()
    }

    fn local(&self) -> LocalHour {
        *self.wall.lock().expect("no test panicked")
    }

    fn mint_run(&self) -> RunId {
        HostClock.mint_run()
    }
}
