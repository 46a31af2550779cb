//! What follows something does not end because the daemon is restarted or the server is away: the task goes on too.

use std::time::Duration;

use tokio::time::Instant;

use crate::ctl::console::Console;
use crate::ctl::failure::Failure;

/// How long in all, from the last answer on.
const LIMIT: Duration = Duration::from_secs(120);
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Counts how long nothing has come.
#[derive(Debug, Default)]
pub(super) struct Patience {
    since: Option<Instant>,
}

impl Patience {
    /// Something has come.
    pub(super) fn renew(&mut self) {
        self.since = None;
    }

    /// Waits before the next attempt, if the failure is one that passes and there is patience left. Says so once.
    pub(super) async fn wait(&mut self, console: &Console, failure: Failure) -> Result<(), Failure> {
        if !failure.passes() || self.since.is_some_and(|since| since.elapsed() > LIMIT) {
            return Err(failure);
        }
        if self.since.is_none() {
            self.since = Some(Instant::now());
            let limit = LIMIT.as_secs();
            console.say(&format!("note: {}; trying again for {limit} s", failure.words().0));
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}
