//! The way to journald: datagrams to its socket, which never wait. A journald that is stopped, slow or not there costs
//! its entries, and nobody's time.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use nix::sys::socket::{setsockopt, sockopt};
use rustix::io::Errno;

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// What may be under way to journald before the kernel says that it is full: its default is some hundred short entries.
const UNDER_WAY: usize = 1 << 20;

/// See the module.
#[derive(Debug)]
pub struct JournalSocket {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// journald has it, or will.
    Taken,
    /// journald does not read now; the same entry may be sent again later.
    Full,
    /// It can never be sent: there is no journald, or the entry is too long for it.
    Lost,
}

impl JournalSocket {
    /// To the socket at `path`. It may appear later.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), socket: connect(path).ok() }
    }

    /// Whether somebody listens.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Sends an entry without waiting.
    pub fn send(&mut self, entry: &[u8]) -> Sent {
        for _ in 0..2 {
            if self.socket.is_none() {
                self.socket = connect(&self.path).ok();
            }
            let Some(socket) = &self.socket else { return Sent::Lost };
            let Err(error) = socket.send(entry) else { return Sent::Taken };
            match Errno::from_io_error(&error) {
                Some(Errno::AGAIN | Errno::NOBUFS | Errno::INTR) => return Sent::Full,
                Some(Errno::MSGSIZE) => return Sent::Lost,
                // The other end is gone; another may be there by now.
                Some(_) | None => self.socket = None,
            }
        }
        Sent::Lost
    }

    /// Writable when a full journald reads again.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    // Only root may have that much; others have what there is.
    let _ = setsockopt(&socket, sockopt::SndBufForce, &UNDER_WAY);
    socket.connect(path)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journald_that_does_not_read_is_full_and_one_that_is_gone_is_found_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let mut socket = JournalSocket::new(&path);
        assert_eq!((socket.connected(), socket.send(b"A=1\n")), (false, Sent::Lost));
        let first = UnixDatagram::bind(&path).expect("bound");
        let sent = (0..1_000_000).map(|_| socket.send(&[b'x'; 1000])).find(|sent| *sent != Sent::Taken);
        assert_eq!(sent, Some(Sent::Full));
        drop(first);
        std::fs::remove_file(&path).expect("removed");
        let second = UnixDatagram::bind(&path).expect("bound");
        assert_eq!(socket.send(b"A=2\n"), Sent::Taken);
        let mut buffer = [0; 16];
        assert_eq!(second.recv(&mut buffer).expect("received"), 4);
    }

    #[test]
    fn an_entry_too_long_for_a_datagram_is_lost_and_the_next_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("socket");
        let _journald = UnixDatagram::bind(&path).expect("bound");
        let mut socket = JournalSocket::new(&path);
        assert_eq!(socket.send(&vec![b'x'; 8 << 20]), Sent::Lost);
        assert_eq!(socket.send(b"A=1\n"), Sent::Taken);
    }
}
