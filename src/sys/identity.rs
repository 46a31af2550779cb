//! Which process is meant: a pid alone may mean another one by now.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::domain::handover::ProcessIdentity;

/// The identity of a living process.
///
/// # Errors
/// When there is no such process.
pub fn of(pid: u32) -> io::Result<ProcessIdentity> {
    Ok(ProcessIdentity { pid, start_ticks: start_ticks(pid)?, boot_id: boot_id()? })
}

/// A pidfd of exactly this process; none when it is gone (also when its pid is another's now, or the host was booted
/// since). A zombie is still there.
///
/// # Errors
/// When the kernel would not say: there is no descriptor left, or the call is filtered. That is no end of the process.
pub fn open(identity: &ProcessIdentity) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = i32::try_from(identity.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
    let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => pidfd,
        // The second is a thread of another process by now.
        Err(Errno::SRCH | Errno::INVAL) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // The pidfd is held while it is compared: what is compared is what the pidfd means.
    Ok(is_there(identity)?.then_some(pidfd))
}

/// Whether this process is there, by /proc alone. A zombie is still there.
///
/// # Errors
/// When /proc would not say.
pub fn is_there(identity: &ProcessIdentity) -> io::Result<bool> {
    match of(identity.pid) {
        Ok(found) => Ok(found == *identity),
        // The second is of a process that goes while it is read.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Field 22 of /proc/PID/stat.
fn start_ticks(pid: u32) -> io::Result<u64> {
    let stat = Stat::read(pid)?;
    Ok(stat.start_ticks)
}

/// As PID 1 sees it, where we may look. A container of systemd-nspawn has a boot id of its own, mounted over the
/// kernel's, and a service with ProtectKernelTunables= gets a fresh /proc without that: daemon and shim would not
/// recognise each other.
///
/// # Errors
/// When /proc cannot be read.
pub fn boot_id() -> io::Result<String> {
    let own = "/proc/sys/kernel/random/boot_id";
    let text = fs::read_to_string(format!("/proc/1/root{own}")).or_else(|_| fs::read_to_string(own))?;
    Ok(text.trim().to_owned())
}

/// What we need of /proc/PID/stat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// `Z` is a zombie.
    pub state: u8,
    /// The parent.
    pub parent: u32,
    /// When it was started, in ticks since boot.
    pub start_ticks: u64,
}

impl Stat {
    /// Reads it.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn read(pid: u32) -> io::Result<Self> {
        Self::parse(&fs::read(format!("/proc/{pid}/stat"))?).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// The second field, the name, is the process's own to choose: it may hold spaces, brackets and line ends.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(bytes.get(end + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Self {
            state: *fields.first()?.as_bytes().first()?,
            parent: fields.get(1)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_cannot_forge_its_identity_by_its_name() {
        let line = b"7 (x) Z 1 (y) S 42 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 10 11\n";
        assert_eq!(Stat::parse(line), Some(Stat { state: b'S', parent: 42, start_ticks: 987_654 }));
    }

    #[test]
    fn a_pid_of_another_time_is_not_opened() {
        let mut identity = of(std::process::id()).expect("we live");
        assert!(open(&identity).expect("asked").is_some());
        identity.start_ticks += 1;
        assert!(open(&identity).expect("asked").is_none());
    }
}
