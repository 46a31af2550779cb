//! The container engine of the host: the only place that speaks to one.

use std::path::Path;
use std::time::Duration;

use bollard::Docker;

/// Where engines listen; podman speaks Docker's language on a socket of its own.
pub(super) const SOCKETS: [&str; 2] = ["/run/docker.sock", "/run/podman/podman.sock"];
const TIMEOUT_S: u64 = 5;

/// Name and version of the engine behind a socket.
///
/// # Errors
/// In words, when it does not answer.
pub(super) async fn engine(socket: &Path) -> Result<String, String> {
    let path = socket.to_str().ok_or("the path is no UTF-8")?;
    let told = |error: bollard::errors::Error| error.to_string();
    let docker = Docker::connect_with_unix(path, TIMEOUT_S, bollard::API_DEFAULT_VERSION).map_err(told)?;
    let asked = async {
        docker.ping().await.map_err(told)?;
        docker.version().await.map_err(told)
    };
    let late = |_| format!("no answer within {TIMEOUT_S} s");
    let version = tokio::time::timeout(Duration::from_secs(TIMEOUT_S), asked).await.map_err(late)??;
    let name = version.platform.map(|platform| platform.name).filter(|name| !name.is_empty());
    Ok(format!("{} {}", name.as_deref().unwrap_or("engine"), version.version.as_deref().unwrap_or("?")))
}
