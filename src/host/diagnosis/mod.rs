//! What `clearmlctl doctor` sees of this host: one file a check. Each gathers facts, and a pure function makes the
//! verdict of them.

mod cgroup;
mod containers;
mod disk;
mod kernel;
mod permissions;
mod sandbox;
mod systemd;
mod tools;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::spawn_blocking;

pub use sandbox::{Sandbox, target};

use super::users::UserPolicy;
use super::uv::Uv;
use crate::domain::diagnosis::Finding;
use crate::engine::ports::Check;

/// What of the composition the checks look at.
#[derive(Debug)]
pub struct Ground {
    /// The state directory.
    pub state_dir: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// clearml.conf and what it includes: may hold the key pair.
    pub secret_files: Vec<PathBuf>,
    /// The payload's user.
    pub users: UserPolicy,
    /// The daemon's PATH.
    pub search: OsString,
    /// None where pip installs.
    pub uv: Option<Uv>,
    /// What the launcher lacks.
    pub launcher_lacks: Vec<String>,
}

/// A check that blocks, on a thread of its own.
#[derive(Debug)]
struct OnThread {
    name: &'static str,
    look: fn(&Ground) -> Vec<Finding>,
    ground: Arc<Ground>,
}

#[async_trait]
impl Check for OnThread {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn look(&self) -> Vec<Finding> {
        let (ground, look) = (Arc::clone(&self.ground), self.look);
        let broke = |error| Finding::failed(self.name, format!("the check broke: {error}"), DEFECT);
        spawn_blocking(move || look(&ground)).await.unwrap_or_else(|error| vec![broke(error)])
    }
}

const DEFECT: &str = "this is a defect of clearmld: please report it with `clearmlctl debug bundle`";

/// Everything that is seen without the server and without a sandbox.
#[must_use]
pub fn checks(ground: Ground) -> Vec<Arc<dyn Check>> {
    let ground = Arc::new(ground);
    let on_thread = |name, look| -> Arc<dyn Check> { Arc::new(OnThread { name, look, ground: Arc::clone(&ground) }) };
    vec![
        on_thread("cgroup", cgroup::look),
        Arc::new(systemd::Systemd),
        on_thread("kernel", kernel::look),
        Arc::new(containers::Containers),
        on_thread("disk", disk::look),
        on_thread("permissions", permissions::look),
        Arc::new(tools::Tools { ground: Arc::clone(&ground) }),
    ]
}
