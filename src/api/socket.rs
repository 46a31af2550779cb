//! The socket file: who may open it, and that no two daemons serve one.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt};
use nix::unistd::{Gid, Group, chown, geteuid};
use tokio::net::{UnixListener, UnixSocket};

use super::peer::{Caller, Fence};

/// The group whose members are operators.
pub const OPERATORS: &str = "clearml";
/// `sun_path` holds 108 bytes, the last of them 0.
const LONGEST_PATH: usize = 107;
/// Connections that wait to be accepted; more are refused by the kernel.
const BACKLOG: u32 = 128;

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody answers.
    #[error(
        "another clearmld serves {path}; stop it (`systemctl stop clearmld`), or give this one a socket and a state \
         directory of its own (--socket, --state-dir)"
    )]
    Served {
        /// Where.
        path: PathBuf,
    },
    /// Something else has the name.
    #[error("{path} is there and no socket; move it away or choose another --socket")]
    NoSocket {
        /// What.
        path: PathBuf,
    },
    /// The kernel's limit.
    #[error("{path} is longer than {LONGEST_PATH} bytes, which no socket may be; choose a shorter --socket")]
    TooLong {
        /// What.
        path: PathBuf,
    },
    /// A step failed.
    #[error("cannot {operation} {path}")]
    Io {
        /// `bind`.
        operation: &'static str,
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A socket that takes connections; they wait until [`super::serve`].
pub struct Listening {
    listener: UnixListener,
    file: SocketFile,
    /// Something that an operator should know, in a sentence.
    pub remark: Option<String>,
}

/// Removes the socket's file at its end, unless another daemon has put its own there.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").field("file", &self.file).finish_non_exhaustive()
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode);
        if ours {
            // A file that stays is found stale by the next daemon.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Listening {
    /// Where.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// For what is served there without gRPC. The file goes with the guard.
    #[must_use]
    pub fn into_plain(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }

    pub(super) fn into_incoming(self, fence: Fence) -> (BoxStream<'static, io::Result<Caller>>, SocketFile) {
        let accept = move |listener: UnixListener| {
            let fence = fence.clone();
            async move {
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => return Some((Ok(Caller::meet(stream, &fence)), listener)),
                        Err(error) => {
                            // Mostly EMFILE, which stays until some caller hangs up: trying at once would spin.
                            tracing::warn!(%error, "cannot accept a call on the control socket");
                            tokio::time::sleep(Duration::from_millis(200)).await;
                        }
                    }
                }
            }
        };
        (stream::unfold(self.listener, accept).boxed(), self.file)
    }
}

/// Makes the socket at `path` and its directory. A stale one is replaced, but only after nobody has answered on it.
/// Mode 0660 and group `clearml` where root finds that group; else the daemon's own user alone can call.
///
/// Must be called inside a tokio runtime.
///
/// # Errors
/// When somebody serves it already, something else is in the way, or a step fails.
pub fn bind(path: &Path) -> Result<Listening, BindError> {
    let failed = |operation| move |source| BindError::Io { operation, path: path.to_owned(), source };
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(BindError::TooLong { path: path.to_owned() });
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o755).create(parent).map_err(failed("make the directory of"))?;
    }
    clear_the_way(path)?;
    let socket = UnixSocket::new_stream().map_err(failed("make the socket"))?;
    // The mode of the descriptor becomes the mode of the file: at no moment can anybody else open it.
    rustix::fs::fchmod(socket.as_fd(), rustix::fs::Mode::from_raw_mode(0o600))
        .map_err(|errno| failed("restrict the mode of")(errno.into()))?;
    socket.bind(path).map_err(failed("bind"))?;
    let inode = fs::symlink_metadata(path).map_err(failed("look at"))?.ino();
    let file = SocketFile { path: path.to_owned(), inode };
    let remark = admit_operators(path).map_err(failed("set the owner and mode of"))?;
    let listener = socket.listen(BACKLOG).map_err(failed("listen on"))?;
    Ok(Listening { listener, file, remark })
}

fn clear_the_way(path: &Path) -> Result<(), BindError> {
    let failed = |operation| move |source| BindError::Io { operation, path: path.to_owned(), source };
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(failed("look at"))?,
    };
    if !found.file_type().is_socket() {
        return Err(BindError::NoSocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindError::Served { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed("remove the stale socket"))
        }
        // It went away meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A full backlog is somebody, too.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(BindError::Served { path: path.to_owned() }),
        Err(error) => Err(failed("see whether anybody serves")(error)),
    }
}

fn admit_operators(path: &Path) -> io::Result<Option<String>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let Some(group) = Group::from_name(OPERATORS)? else {
        return Ok(Some(format!(
            "there is no group `{OPERATORS}` on this host, so only root can use clearmlctl; make it with \
             `groupadd --system {OPERATORS}` and restart clearmld"
        )));
    };
    chown(path, None, Some(Gid::from_raw(group.gid.as_raw())))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(None)
}
