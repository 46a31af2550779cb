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
/// How long a daemon may take from its socket's file to its first answer.
const STARTING: Duration = Duration::from_secs(5);
/// Between two attempts.
const RETRY: Duration = Duration::from_millis(100);

/// The socket that is meant.
pub(super) fn socket(named: Option<&Path>) -> PathBuf {
    named.map_or_else(|| choose(&candidates(), Path::exists), Path::to_owned)
}

/// A channel to the daemon. One that is starting (its socket is there, but refuses) is waited for.
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
            io::ErrorKind::ConnectionRefused if Instant::now() < patience => tokio::time::sleep(RETRY).await,
            _ => return Err(Failure::NotRunning { socket: socket.to_owned(), why: error.to_string() }),
        }
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
    fn the_hosts_socket_comes_first_and_is_named_when_there_is_none() {
        let both = [PathBuf::from(HOST_SOCKET), PathBuf::from("/home/u/x.sock")];
        assert_eq!(choose(&both, |_| true), both[0]);
        assert_eq!(choose(&both, |path| path == both[1]), both[1]);
        assert_eq!(choose(&both, |_| false), both[0]);
    }
}
