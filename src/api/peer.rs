//! The caller of a connection: read from the socket and /proc when it is accepted, and told to each of its calls.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::geteuid;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tonic::Status;
use tonic::transport::server::Connected;

use super::access::{Decision, PeerFacts};
use super::status::{self, Reason};
use crate::domain::ids::StateId;

/// No real process has more ancestors; a walk that takes longer is going round in reused pids.
const MOST_ANCESTORS: usize = 512;

/// Decides about callers.
#[derive(Debug, Clone)]
pub(super) struct Fence {
    state: Arc<StateId>,
    decide: Decision,
}

/// Who called, for the audit log; and whether the calls are refused.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) pid: u32,
    pub(super) uid: u32,
    pub(super) exe: Option<PathBuf>,
    refusal: Option<Refusal>,
}

#[derive(Debug, Clone)]
enum Refusal {
    Inside { why: String },
    Unknown { why: String },
}

/// A connection, with its [`Peer`].
pub(super) struct Caller {
    stream: UnixStream,
    peer: Arc<Peer>,
}

// === impl Fence ===

impl Fence {
    pub(super) fn new(state: StateId, decide: Decision) -> Self {
        Self { state: Arc::new(state), decide }
    }
}

// === impl Peer ===

impl Peer {
    fn of(stream: &UnixStream, fence: &Fence) -> Self {
        let credentials = match stream.peer_cred() {
            Ok(credentials) => credentials,
            Err(error) => return Self::unknown(0, u32::MAX, format!("the kernel does not tell who it is: {error}")),
        };
        let uid = credentials.uid();
        // 0: it lives in a pid namespace that ours cannot see.
        let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        if pid == 0 {
            return Self::unknown(pid, uid, "its process is in a pid namespace that clearmld cannot see".into());
        }
        match read_facts(stream, pid, uid) {
            Err(error) => Self::unknown(pid, uid, format!("its process cannot be looked at: {error}")),
            Ok(facts) => {
                let inside = (fence.decide)(&facts, &fence.state);
                let refusal = inside.map(|inside| Refusal::Inside { why: inside.to_string() });
                Self { pid, uid, exe: facts.exe, refusal }
            }
        }
    }

    fn unknown(pid: u32, uid: u32, why: String) -> Self {
        Self { pid, uid, exe: None, refusal: Some(Refusal::Unknown { why }) }
    }
}

/// All of /proc that decides. Short files of a virtual file system that take no lock of the process: no blocking that
/// would matter to the runtime.
fn read_facts(stream: &UnixStream, pid: u32, uid: u32) -> io::Result<PeerFacts> {
    let pidfd = peer_pidfd(stream)?;
    let of = |name: &str| format!("/proc/{pid}/{name}");
    let own_namespace = fs::read_link("/proc/self/ns/pid")?;
    let facts = PeerFacts {
        pid,
        uid,
        exe: fs::read_link(of("exe")).ok(),
        cgroup: fs::read_to_string(of("cgroup"))?,
        same_pid_namespace: fs::read_link(of("ns/pid")).ok().map(|namespace| namespace == own_namespace),
        all_seeing: geteuid().is_root(),
        lineage: lineage(pid)?,
    };
    // What was read by pid is about the caller only if the caller lives still.
    match pidfd {
        Some(pidfd) if exited(&pidfd)? => Err(io::Error::new(io::ErrorKind::NotFound, "it has ended")),
        Some(_) | None => Ok(facts),
    }
}

/// None on kernels before 6.5.
fn peer_pidfd(stream: &UnixStream) -> io::Result<Option<OwnedFd>> {
    match getsockopt(stream, sockopt::PeerPidfd) {
        Ok(pidfd) => Ok(Some(pidfd)),
        Err(nix::Error::ENOPROTOOPT | nix::Error::EOPNOTSUPP) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn exited(pidfd: &OwnedFd) -> io::Result<bool> {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut fds, PollTimeout::ZERO)? > 0)
}

/// Names of the process and its ancestors. A parent that ends during the walk hands its children on, so the walk is
/// begun anew, a few times.
fn lineage(pid: u32) -> io::Result<Vec<String>> {
    let mut last = None;
    for _ in 0..4 {
        match walk(pid) {
            Ok(names) => return Ok(names),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("its ancestors cannot be found")))
}

fn walk(mut pid: u32) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    while pid != 0 {
        if names.len() > MOST_ANCESTORS {
            return Err(io::Error::other("its ancestors have no end"));
        }
        let stat = fs::read(format!("/proc/{pid}/stat"))?;
        let (name, parent) = parse_stat(&String::from_utf8_lossy(&stat))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "/proc/PID/stat is not understood"))?;
        names.push(name);
        pid = parent;
    }
    Ok(names)
}

/// `42 (na) me) S 1 …`: the name may hold anything, so it ends at the last parenthesis.
fn parse_stat(stat: &str) -> Option<(String, u32)> {
    let (_, rest) = stat.split_once('(')?;
    let (name, rest) = rest.rsplit_once(") ")?;
    let parent = rest.split(' ').nth(1)?.parse().ok()?;
    Some((name.to_owned(), parent))
}

/// Refuses the calls of a peer inside a Run, and of one that cannot be looked at.
pub(super) fn admit(peer: Option<&Peer>) -> Result<(), Status> {
    let refusal = match peer {
        None => &Refusal::Unknown { why: "the connection does not tell who it is".into() },
        Some(peer) => match &peer.refusal {
            None => return Ok(()),
            Some(refusal) => refusal,
        },
    };
    Err(match refusal {
        Refusal::Inside { why } => status::refuse(
            Reason::InsideRun,
            format!("a process inside a run may not use the control socket: {why}"),
            "call from a shell of the host, outside of containers and runs",
        ),
        Refusal::Unknown { why } => status::refuse(
            Reason::PeerUnknown,
            format!("the calling process is not known: {why}"),
            "call from the pid namespace that clearmld runs in, with a process that stays until it is answered",
        ),
    })
}

// === impl Caller ===

impl Caller {
    pub(super) fn meet(stream: UnixStream, fence: &Fence) -> Self {
        let peer = Arc::new(Peer::of(&stream, fence));
        Self { stream, peer }
    }
}

impl Connected for Caller {
    type ConnectInfo = Arc<Peer>;

    fn connect_info(&self) -> Arc<Peer> {
        Arc::clone(&self.peer)
    }
}

impl AsyncRead for Caller {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Caller {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_hide_the_parent() {
        assert_eq!(parse_stat("42 (a) S 1) S 7 42 42"), Some(("a) S 1".into(), 7)));
        assert_eq!(parse_stat("nonsense"), None);
    }

    #[test]
    fn the_walk_reaches_the_first_process() {
        let names = lineage(std::process::id()).expect("our own ancestors are there");
        assert!(names.len() >= 2, "{names:?}");
    }
}
