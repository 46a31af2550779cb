//! Making processes. Everything here wants a process with one thread, as the shim is: a child of a process with
//! several may find any lock held for ever.
#![expect(
    unsafe_code,
    reason = "fork, clone, _exit, clearenv, kill(-1) and inherited descriptors have no safe wrapper"
)]

use std::ffi::c_int;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Namespaces that a new process gets of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespaces {
    /// None: an ordinary child.
    Shared,
    /// Pid (the child is its init), mount and uts.
    Own {
        /// And ipc.
        ipc: bool,
        /// And network, with nothing in it that is up.
        network: bool,
    },
}

/// A child, and a pidfd of it that was made with it, so that it can never mean another process.
#[derive(Debug)]
pub struct Child {
    /// Its pid, as its parent sees it.
    pub pid: u32,
    /// The child.
    pub pidfd: OwnedFd,
}

/// Starts a child that runs `body` and exits with its result. A panic in `body` is exit code 101; nothing of the
/// parent's (destructors, buffers, exit hooks) runs in the child.
///
/// # Errors
/// When the kernel refuses: too many processes, or no right to make namespaces.
pub fn spawn(namespaces: Namespaces, body: impl FnOnce() -> i32) -> io::Result<Child> {
    let flags = match namespaces {
        Namespaces::Shared => 0,
        Namespaces::Own { ipc, network } => {
            let with = |wanted, flag| if wanted { flag } else { 0 };
            let always = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWUTS;
            always | with(ipc, libc::CLONE_NEWIPC) | with(network, libc::CLONE_NEWNET)
        }
    };
    let flags = (flags | libc::CLONE_PIDFD | libc::SIGCHLD) as libc::c_ulong;
    let mut pidfd: c_int = -1;
    let null = std::ptr::null_mut::<c_int>();
    // SAFETY: without CLONE_VM and with a null stack this is fork(2): the child runs on a copy of this stack. `pidfd`
    // is a valid place for the one value that CLONE_PIDFD stores; the last two arguments are not looked at. The caller
    // has one thread (module doc), so no lock of the C library can be held by a thread that the child lacks.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, null, &raw mut pidfd, null, null) };
    match pid {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
            exit_now(code)
        }
        pid => {
            // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Child { pid: u32::try_from(pid).unwrap_or(0), pidfd })
        }
    }
}

/// Ends this process at once: no destructors, no exit hooks.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes any value and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// Empties the environment.
pub fn clear_environment() {
    // SAFETY: nobody else reads or writes the environment: the process has one thread (module doc).
    unsafe {
        libc::clearenv();
    }
}

/// Sends `signal` to every process of this pid namespace but its init. Only for an init of ours.
///
/// # Errors
/// When this process is not pid 1: then it would be every process of the host.
pub fn signal_whole_namespace(signal: c_int) -> io::Result<()> {
    if std::process::id() != 1 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "only an init may signal its whole namespace"));
    }
    // SAFETY: kill takes plain numbers.
    if unsafe { libc::kill(-1, signal) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        error => Err(error),
    }
}

/// Takes over a descriptor that this process was started with; none when it is not open.
///
/// Call it once for a number, before anything else may have opened a descriptor.
#[must_use]
pub fn inherited(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: F_GETFD only looks.
    if number < 3 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open, and by this function's contract nothing in this process owns it yet.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Closes every descriptor from `first` on, whoever owns it: for the first moments of a process, and the last before
/// an exec.
///
/// # Errors
/// When the kernel has no close_range (before 5.9) and /proc is not there either.
pub fn close_from(first: RawFd) -> io::Result<()> {
    // SAFETY: the caller gives up all of these; owners that still exist are never used again (contract above).
    if unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) } == 0 {
        return Ok(());
    }
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd >= first)
        .collect();
    for fd in open {
        // SAFETY: as above; one of them was the directory's own and is closed already.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

/// Puts `wanted` at the descriptors 0, 1, 2, … without close-on-exec, and closes every other one.
///
/// # Errors
/// When there are too many open descriptors.
pub fn keep_only(wanted: &[RawFd]) -> io::Result<()> {
    let count = RawFd::try_from(wanted.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut above = Vec::with_capacity(wanted.len());
    for fd in wanted {
        // First out of the way, so that no dup2 below overwrites one that is still wanted.
        // SAFETY: duplicating touches no memory.
        let copy = unsafe { libc::fcntl(*fd, libc::F_DUPFD_CLOEXEC, count) };
        if copy < 0 {
            return Err(io::Error::last_os_error());
        }
        above.push(copy);
    }
    for (number, fd) in (0..count).zip(above) {
        // SAFETY: this process is about to exec or to take these numbers as its own; no owner of the old ones is used
        // again (contract of close_from).
        if unsafe { libc::dup2(fd, number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    close_from(count)
}

/// Leaves the session keyring that this process was started with for an empty one: who inherits a keyring may use what
/// is in it, whatever their user is. Where the kernel has no keyrings, there is nothing to leave.
pub fn leave_keyring() {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: a null name asks for a new anonymous keyring; nothing of ours is read or written.
    unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>()) };
}

/// Gives every signal its default action and an empty mask, as a fresh program expects.
pub fn reset_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL installs no handler; the refusals (SIGKILL, SIGSTOP, the C library's own) do not matter.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let _ = nix::sys::signal::SigSet::empty().thread_set_mask();
}
