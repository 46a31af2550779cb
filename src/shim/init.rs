//! Pid 1 of the Run's pid namespace: it builds the payload's view of the files, starts the payload's first process,
//! reaps whatever is left to it, and ends with that first process. When it ends, the kernel kills everything else in
//! the namespace before anybody can see that it has ended.

use std::os::fd::{AsFd, OwnedFd};

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{WaitOptions, wait};

use super::payload::{Luggage, become_stage};
use super::rootfs::{self, RootPlan};
use super::word::{Word, end_of};
use crate::sys::network::loopback_up;
use crate::sys::process::{Namespaces, signal_whole_namespace, spawn};

/// Tells init to send SIGTERM to every process of its namespace.
pub(super) const TERMINATE: rustix::process::Signal = rustix::process::Signal::USR2;

/// Lives as init; the result is the exit code.
///
/// `alive` is the reading end of a pipe whose only writing end the shim has: it hangs up when the shim is gone.
pub(super) fn live(root: &RootPlan, own_network: bool, luggage: &Luggage, alive: &OwnedFd) -> i32 {
    match try_live(root, own_network, luggage, alive) {
        Ok(()) => 0,
        Err(reason) => {
            Word::Failed { reason }.say(&luggage.words);
            1
        }
    }
}

fn try_live(root: &RootPlan, own_network: bool, luggage: &Luggage, alive: &OwnedFd) -> Result<(), String> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| format!("cannot follow the shim: {error}"))?;
    // getppid is of no use here: the shim is outside of our pid namespace. A shim that died before the line above has
    // closed the pipe.
    if hung_up(alive, Some(0)) {
        return Err("the shim is gone".to_owned());
    }
    let _ = prctl::set_name(c"clearmld-init");
    let mut wanted = SigSet::empty();
    wanted.add(Signal::SIGCHLD);
    wanted.add(Signal::SIGUSR2);
    // Blocked since before the clone (see Inbox): nothing that was sent to us is lost.
    let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .map_err(|error| format!("cannot wait for signals: {error}"))?;
    if own_network {
        loopback_up().map_err(|error| format!("cannot give it a loopback interface of its own: {error}"))?;
    }
    for what in rootfs::enter(root).map_err(|error| error.to_string())? {
        Word::Missing { what }.say(&luggage.words);
    }
    let first = spawn(Namespaces::Shared, || become_stage(luggage))
        .map_err(|error| format!("cannot start the payload: {error}"))?;
    Word::Started { pid: first.pid }.say(&luggage.words);
    loop {
        let mut descriptors =
            [PollFd::new(&signals, PollFlags::IN), PollFd::from_borrowed_fd(alive.as_fd(), PollFlags::empty())];
        match poll(&mut descriptors, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("init cannot wait: {error}")),
        }
        if descriptors[1].revents().contains(PollFlags::HUP) {
            return Err("the shim is gone".to_owned());
        }
        while let Ok(Some(signal)) = signals.read_signal() {
            if signal.ssi_signo == Signal::SIGUSR2 as u32 {
                let _ = signal_whole_namespace(nix::libc::SIGTERM);
            }
        }
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if u32::try_from(pid.as_raw_nonzero().get()) == Ok(first.pid) {
                Word::Ended { end: end_of(status) }.say(&luggage.words);
                return Ok(());
            }
        }
    }
}

fn hung_up(pipe: &OwnedFd, milliseconds: Option<i32>) -> bool {
    let mut descriptors = [PollFd::new(pipe, PollFlags::empty())];
    let timeout = milliseconds.map(|_| rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 });
    poll(&mut descriptors, timeout.as_ref()).is_ok_and(|count| count > 0)
}
