//! Which Run goes when several are large enough: one after the other, so that each sees what room the one before made.
//! It is a lock of the directory that all Runs are in, which ends with whoever holds it.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// The right to go.
#[derive(Debug)]
pub(super) struct Turn {
    _lock: Flock<File>,
}

impl Turn {
    /// For the Run in `directory`; none while another Run goes.
    ///
    /// # Errors
    /// Where there is no such lock.
    pub(super) fn take(directory: &Path) -> io::Result<Option<Self>> {
        Ok(lock(directory, FlockArg::LockExclusiveNonblock)?.map(|lock| Self { _lock: lock }))
    }

    /// Whether another Run goes.
    #[must_use]
    pub(super) fn is_taken(directory: &Path) -> bool {
        // Shared, so that those who ask are in nobody's way but for a moment.
        lock(directory, FlockArg::LockSharedNonblock).is_ok_and(|lock| lock.is_none())
    }
}

fn lock(directory: &Path, how: FlockArg) -> io::Result<Option<Flock<File>>> {
    let runs = File::open(directory.parent().unwrap_or(directory))?;
    match Flock::lock(runs, how) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_goes_at_a_time_and_the_next_when_it_has_gone() {
        let runs = tempfile::tempdir().expect("a directory");
        let (one, other) = (runs.path().join("one"), runs.path().join("other"));
        assert!(!Turn::is_taken(&one));
        let turn = Turn::take(&one).expect("asked").expect("had");
        assert!(Turn::is_taken(&other) && Turn::take(&other).expect("asked").is_none());
        drop(turn);
        assert!(!Turn::is_taken(&other) && Turn::take(&other).expect("asked").is_some());
        assert!(Turn::take(Path::new("/nowhere/at/all")).is_err() && !Turn::is_taken(Path::new("/nowhere/at/all")));
    }
}
