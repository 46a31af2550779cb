//! What a process of ours does first of all: it keeps nothing of whoever started it.

use std::io;
use std::os::fd::RawFd;

use nix::sys::prctl;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};

use crate::sys::process::{clear_environment, close_from, leave_keyring, reset_signals};

/// For the shim: no descriptors but 0 to 2, no environment, no core dumps and no tracing by others of the same user.
///
/// # Errors
/// When descriptors cannot be closed.
pub(super) fn shim() -> io::Result<()> {
    close_from(3)?;
    clear_environment();
    reset_signals();
    umask(Mode::from_bits_truncate(0o077));
    leave_keyring();
    // For the payload too: a core file would hold its token, and the host's core handler is none of its business.
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    // The secrets of the Run are in memory, and stay there in the copies that its children are until they exec.
    prctl::set_dumpable(false)?;
    Ok(())
}

/// For a stage: it keeps what [`super::payload`] gave it, up to `last`, and nothing else.
///
/// # Errors
/// When descriptors cannot be closed.
pub(super) fn stage(last: RawFd) -> io::Result<()> {
    close_from(last + 1)?;
    clear_environment();
    reset_signals();
    umask(Mode::from_bits_truncate(0o022));
    Ok(())
}
