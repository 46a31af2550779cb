//! Where shims are started: as transient units of systemd, or directly. Both start the same shim on the same run
//! directory; they differ in whose child it is and in who makes its cgroup.

pub(super) mod cgroup_tree;
mod confinement;
mod direct;
mod supervised;
mod systemd;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

pub use direct::Direct;
pub use systemd::{Systemd, version as systemd_version};

use crate::domain::handover::Isolation;
use crate::domain::ids::StateId;
use crate::engine::ports::Launcher;

/// The launcher that fits this host: systemd's where PID 1 is systemd and we are root, else the direct one.
pub async fn choose(state: &StateId, shim: PathBuf) -> Arc<dyn Launcher> {
    let root = nix::unistd::geteuid().is_root();
    if !root || !Path::new("/run/systemd/system").is_dir() {
        return Arc::new(Direct::new(state, shim, None));
    }
    match Systemd::connect(shim.clone()).await {
        Ok(systemd) => Arc::new(systemd),
        Err(error) => {
            let reason = format!("systemd cannot be asked for units ({error}): runs are started by the daemon itself");
            Arc::new(Direct::new(state, shim, Some(reason)))
        }
    }
}

/// What can separate a payload from this host, and why it is not more. Asked once, at the start.
pub async fn isolation(shim: &Path) -> (Isolation, Option<String>) {
    if !nix::unistd::geteuid().is_root() {
        let reason = "no namespaces: the daemon is not root; tasks run as its own user and see that user's files";
        return (Isolation::Subreaper, Some(reason.to_owned()));
    }
    let mut probe = tokio::process::Command::new(shim);
    probe.arg("probe").env_clear().stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    let reason = match probe.output().await {
        Ok(output) if output.status.success() => return (Isolation::Namespaces, None),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "),
        Err(error) => format!("{}: {error}", shim.display()),
    };
    let reason = format!("no namespaces ({reason}): tasks see the host's files and processes as their user does");
    (Isolation::Subreaper, Some(reason))
}
