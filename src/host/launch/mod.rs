//! Where shims are started: as transient units of systemd, or directly. Both start the same shim on the same run
//! directory; they differ in whose child it is and in who makes its cgroup.

mod cgroup_tree;
mod direct;
mod supervised;
mod systemd;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use direct::Direct;
pub use systemd::Systemd;

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
