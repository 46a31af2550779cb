//! From a copy of the shim to the stage program, as the payload's user: the last steps before the exec.
//!
//! The stage finds its order on descriptor 3, answers on 4, and prints to one pipe on 1 and 2, so that what it prints
//! stays in order. Nothing else is open.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use rustix::io::FdFlags;

use super::seccomp::Filter;
use super::word::Word;
use super::{privileges, rlimits};
use crate::domain::handover::Identity;
use crate::sys::process::{exit_now, inherited, keep_only, reset_signals};

/// Where the stage finds its order.
pub(super) const ORDER: i32 = 3;
/// Where it answers.
pub(super) const REPORT: i32 = 4;
/// Closed by the exec.
const WORDS: i32 = 5;

/// What the payload's first process takes with it.
#[derive(Debug)]
pub(super) struct Luggage {
    /// Who it becomes.
    pub identity: Identity,
    /// What it execs, as seen from inside.
    pub program: PathBuf,
    /// Its order.
    pub order: OwnedFd,
    /// Standard output and error.
    pub output: OwnedFd,
    /// For its report.
    pub report: OwnedFd,
    /// For what goes wrong before the exec.
    pub words: OwnedFd,
    /// cgroup.procs of the payload's cgroup.
    pub door: Option<File>,
    /// The system calls that it has.
    pub filter: Filter,
    /// How many processes its user may have, where no cgroup holds their number.
    pub processes: Option<u32>,
    /// The parent whose death is ours; none where an init sees to that.
    pub parent: Option<u32>,
}

/// Becomes the stage, or says why not and ends.
pub(super) fn become_stage(luggage: &Luggage) -> ! {
    if let Err(error) = prepare(luggage) {
        Word::Failed { reason: format!("cannot start the payload: {error}") }.say(&luggage.words);
        exit_now(127);
    }
    // From here on the descriptors are 0 to 5, and no other owner of any is used again.
    let Some(words) = inherited(WORDS) else { exit_now(127) };
    let Err(reason) = last_steps(luggage, &words);
    Word::Failed { reason }.say(&words);
    exit_now(127)
}

fn prepare(luggage: &Luggage) -> io::Result<()> {
    // A session of its own: no terminal, and no process group shared with init.
    nix::unistd::setsid()?;
    if let Some(door) = &luggage.door {
        io::Write::write_all(&mut &*door, b"0")?;
    }
    // Before CAP_SYS_RESOURCE is dropped: the shim's low value must not be inherited. An ordinary user's own value
    // cannot be lower than it was.
    let adjusted = rustix::fs::open("/proc/self/oom_score_adj", rustix::fs::OFlags::WRONLY, rustix::fs::Mode::empty())
        .and_then(|file| rustix::io::write(file, b"0"));
    if nix::unistd::geteuid().is_root() {
        adjusted?;
    }
    rlimits::apply(luggage.processes)?;
    let null = File::open("/dev/null")?;
    let output = luggage.output.as_raw_fd();
    let wanted = [
        null.as_raw_fd(),
        output,
        output,
        luggage.order.as_raw_fd(),
        luggage.report.as_raw_fd(),
        luggage.words.as_raw_fd(),
    ];
    // Its number is about to be another's.
    std::mem::forget(null);
    keep_only(&wanted)
}

fn last_steps(luggage: &Luggage, words: &OwnedFd) -> Result<Infallible, String> {
    rustix::io::fcntl_setfd(words, FdFlags::CLOEXEC).map_err(|error| error.to_string())?;
    privileges::drop_to(&luggage.identity).map_err(|error| error.to_string())?;
    if let Some(parent) = luggage.parent {
        // After the change of user, which clears it. The parent may have died before: then nobody would end us.
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("cannot follow the shim: {error}"))?;
        if std::os::unix::process::parent_id() != parent {
            return Err("the shim is gone".to_owned());
        }
    }
    umask(Mode::from_bits_truncate(0o022));
    reset_signals();
    std::env::set_current_dir("/").map_err(|error| format!("cannot enter /: {error}"))?;
    let program = CString::new(luggage.program.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    // Last of all: everything above may use any call.
    luggage.filter.install().map_err(|error| format!("cannot filter system calls: {error}"))?;
    let Err(error) = nix::unistd::execve(&program, &[c"clearmld-shim", c"stage"], &[] as &[&std::ffi::CStr]);
    Err(format!("cannot execute {}: {}", luggage.program.display(), error.desc()))
}
