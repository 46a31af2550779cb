//! To the daemon's socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::Instant;
use tonic::transport::{Channel, Endpoint};

use super::failure::Failure;

/// Where the daemon of the host listens.
pub(super) const HOST_SOCKET: &str = "/run/clearmld/clearmld.sock";
/// How long a daemon may take to its first answer.
const STARTING: Duration = Duration::from_secs(5);
/// Between two attempts.
const RETRY: Duration = Duration::from_millis(100);

/// The socket that is meant.
pub(super) fn socket(named: Option<&Path>) -> PathBuf {
    named.map_or_else(|| choose(&candidates(), Path::exists), Path::to_owned)
}

/// A channel to the daemon. One that is starting is waited for.
pub(super) async fn connect(named: Option<&Path>) -> Result<Channel, Failure> {
    let socket = socket(named);
    let mut first = Some(open(&socket).await?);
    let connector = tower::service_fn(move |_| {
        let (ready, socket) = (first.take(), socket.clone());
        async move {
            let stream = match ready {
                Some(stream) => stream,
                None => UnixStream::connect(socket).await?,
            };
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    // The address is never used, but becomes the :authority of the requests.
    let endpoint = Endpoint::from_static("http://localhost");
    endpoint.connect_with_connector(connector).await.map_err(|error| Failure::Broken { why: chain(&error) })
}

async fn open(socket: &Path) -> Result<UnixStream, Failure> {
    let patience = Instant::now() + STARTING;
    loop {
        let error = match UnixStream::connect(socket).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::PermissionDenied => return Err(Failure::SocketDenied { socket: socket.to_owned() }),
            kind if Instant::now() < patience && may_come(kind, &supervision(socket)) => {
                tokio::time::sleep(RETRY).await;
            }
            _ => return Err(Failure::NotRunning { socket: socket.to_owned(), why: error.to_string() }),
        }
    }
}

/// Who would start the daemon of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Supervision {
    /// Somebody whom we cannot ask.
    Unknown,
    /// systemd, which is starting its unit or has started it.
    Started,
    /// systemd, and the unit is stopped.
    Stopped,
}

/// systemd keeps this link as long as the unit is not inactive; everybody may look.
const UNIT_MARK: &str = "/run/systemd/units/invocation:clearmld.service";

fn supervision(socket: &Path) -> Supervision {
    if socket != Path::new(HOST_SOCKET) || !Path::new("/run/systemd/system").is_dir() {
        return Supervision::Unknown;
    }
    if Path::new(UNIT_MARK).is_symlink() { Supervision::Started } else { Supervision::Stopped }
}

/// Whether the daemon may answer soon: it makes its socket while it starts, and a socket of one that was killed stays
/// and refuses.
fn may_come(kind: io::ErrorKind, supervision: &Supervision) -> bool {
    match supervision {
        Supervision::Started => matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused),
        Supervision::Unknown => kind == io::ErrorKind::ConnectionRefused,
        Supervision::Stopped => false,
    }
}

/// The host's socket, and those of a daemon that an ordinary user runs.
fn candidates() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from(HOST_SOCKET)];
    if !nix::unistd::geteuid().is_root() {
        let below = |variable: &str, path: &str| Some(PathBuf::from(std::env::var_os(variable)?).join(path));
        found.extend(below("XDG_RUNTIME_DIR", "clearmld/clearmld.sock"));
        found.extend(below("HOME", ".local/state/clearmld/clearmld.sock"));
    }
    found
}

/// The first that is there; when none is, the first, which is what the error then names.
fn choose(candidates: &[PathBuf], there: impl Fn(&Path) -> bool) -> PathBuf {
    let found = candidates.iter().find(|path| there(path)).or(candidates.first());
    found.cloned().unwrap_or_else(|| PathBuf::from(HOST_SOCKET))
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_is_starting_is_waited_for_and_a_stopped_one_is_not() {
        let (missing, refused) = (io::ErrorKind::NotFound, io::ErrorKind::ConnectionRefused);
        for (supervision, before_its_socket, before_it_listens) in [
            (Supervision::Started, true, true),
            (Supervision::Unknown, false, true),
            (Supervision::Stopped, false, false),
        ] {
            assert_eq!(may_come(missing, &supervision), before_its_socket, "{supervision:?}");
            assert_eq!(may_come(refused, &supervision), before_it_listens, "{supervision:?}");
        }
        assert!(!may_come(io::ErrorKind::PermissionDenied, &Supervision::Started));
    }

    #[test]
    fn the_hosts_socket_comes_first_and_is_named_when_there_is_none() {
        let both = [PathBuf::from(HOST_SOCKET), PathBuf::from("/home/u/x.sock")];
        assert_eq!(choose(&both, |_| true), both[0]);
        assert_eq!(choose(&both, |path| path == both[1]), both[1]);
        assert_eq!(choose(&both, |_| false), both[0]);
    }
}
