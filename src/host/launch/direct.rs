//! Shims as children of the daemon, in sessions of their own: for containers, CI and hosts without systemd.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use async_trait::async_trait;

use super::cgroup_tree::{Tree, controllers, sweep};
use super::supervised;
use crate::domain::handover::{ProcessIdentity, Started, file};
use crate::domain::ids::{RunId, StateId};
use crate::domain::limits::Controllers;
use crate::domain::reserve::Share;
use crate::engine::ports::{LaunchError, Launcher, LauncherDescription};
use crate::sys::failpoint;

/// See the module.
#[derive(Debug)]
pub struct Direct {
    shim: PathBuf,
    /// This state directory's own cgroup, beside the daemon's.
    cgroups: Option<PathBuf>,
    missing: Vec<String>,
    controllers: Controllers,
    /// What all Runs together are held to.
    all: OnceLock<Share>,
}

impl Direct {
    /// Looks for a cgroup v2 tree that may be written to. `missing` is what the caller knows to be missing already.
    #[must_use]
    pub fn new(state: &StateId, shim: PathBuf, missing: Option<String>) -> Self {
        let mut missing: Vec<String> = missing.into_iter().collect();
        let (cgroups, controllers) = match own_cgroup(state).and_then(|path| prepare(&path).map(|()| path)) {
            Ok(cgroups) => {
                let (lacks, controllers) = super::limited(controllers(&cgroups));
                missing.extend(lacks);
                (Some(cgroups), controllers)
            }
            Err(reason) => {
                missing.push(format!("no cgroup for runs ({reason}): memory and CPU are neither limited nor counted"));
                (None, Controllers { place: format!("no cgroup for runs: {reason}"), ..Controllers::default() })
            }
        };
        Self { shim, cgroups, missing, controllers, all: OnceLock::new() }
    }

    fn run_cgroup(&self, run: &RunId) -> Option<PathBuf> {
        self.cgroups.as_ref().map(|cgroups| cgroups.join(run.as_str()))
    }
}

#[async_trait]
impl Launcher for Direct {
    fn describe(&self) -> LauncherDescription {
        LauncherDescription { name: "direct", missing: self.missing.clone(), controllers: self.controllers.clone() }
    }

    async fn hold(&self, all: Share) -> Result<Share, LaunchError> {
        // Where there is no cgroup for Runs, `describe` says so.
        let Some(path) = &self.cgroups else { return Ok(Share::default()) };
        // What cannot be limited for one Run is said there, too.
        let all = Share {
            memory: all.memory.filter(|_| self.controllers.memory),
            cpus: all.cpus.filter(|_| self.controllers.cpu),
        };
        let held = prepare(path).and_then(|()| hold(path, all).map_err(|error| error.to_string()));
        held.map_err(|reason| LaunchError::Failed { operation: "limit all runs together", reason })?;
        // Kept only when it can be: a limit that cannot be set would stop every launch.
        let _ = self.all.set(all);
        Ok(all)
    }

    async fn launch(&self, _run: &RunId, directory: &Path) -> Result<Started, LaunchError> {
        // Also when it is dead by now: what was started once is never started again.
        if let Some(started) = supervised::started(directory)? {
            return Ok(started);
        }
        let failed =
            |error: io::Error| LaunchError::Failed { operation: "start clearmld-shim", reason: error.to_string() };
        let log = File::options().create(true).append(true).mode(0o600).open(directory.join(file::SHIM_LOG));
        let mut child = Command::new(&self.shim)
            .arg("run")
            .arg(directory)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.map_err(failed)?)
            .spawn()
            .map_err(|error| LaunchError::Failed {
                operation: "start clearmld-shim",
                reason: format!("{}: {error}", self.shim.display()),
            })?;
        failpoint::pass("after:spawn");
        // It makes a session of its own first of all. Dropping `child` leaves it alone; `wait` reaps it.
        supervised::until_started(directory, || match child.try_wait() {
            Ok(Some(status)) => Some(format!("it ended at once with {status}")),
            Ok(None) | Err(_) => None,
        })
        .await
    }

    async fn cgroup(&self, run: &RunId) -> Option<PathBuf> {
        let path = self.run_cgroup(run)?;
        // The last sweep has removed what holds it.
        prepare(path.parent()?).ok()?;
        hold(path.parent()?, self.all.get().copied().unwrap_or_default()).ok()?;
        made(fs::create_dir(&path)).ok()?;
        Some(path)
    }

    /// Without systemd nobody can be asked, and nobody else has a reason to signal a shim.
    async fn told_by_shutdown(&self) -> bool {
        true
    }

    fn rebooted_since(&self, shim: &ProcessIdentity) -> bool {
        supervised::rebooted_since(shim)
    }

    fn alive(&self, shim: &ProcessIdentity) -> bool {
        supervised::alive(shim)
    }

    async fn wait(&self, shim: &ProcessIdentity) {
        supervised::wait(shim).await;
    }

    fn nudge(&self, shim: &ProcessIdentity) -> Result<(), LaunchError> {
        supervised::nudge(shim)
    }

    async fn sweep(&self, run: &RunId) -> Result<(), LaunchError> {
        let Some(path) = self.run_cgroup(run) else { return Ok(()) };
        sweep(&path).await.map_err(|error| LaunchError::Failed {
            operation: "end what is left of a run",
            reason: format!("{}: {error}", path.display()),
        })?;
        // The last one leaves nothing of us on the host; with other runs in it, this fails and is right to.
        let _ = path.parent().map(fs::remove_dir);
        Ok(())
    }
}

/// Beside the daemon's own cgroup: below it, no controller could be used while the daemon is in it.
fn own_cgroup(state: &StateId) -> Result<PathBuf, String> {
    let tree = Tree::find().ok_or("no cgroup v2 tree is mounted")?;
    let own = tree.of("self").ok_or("the daemon is outside of the cgroup v2 tree that is mounted")?;
    let parent = if own == tree.top() { own.as_path() } else { own.parent().unwrap_or(tree.top()) };
    Ok(parent.join(format!("clearmld-{state}")))
}

/// Makes it, with the controllers that the runs' own cgroups may have. Where one is not to be had, the shim says what
/// that means.
fn prepare(path: &Path) -> Result<(), String> {
    made(fs::create_dir(path)).map_err(|error| format!("{}: {error}", path.display()))?;
    for directory in path.parent().into_iter().chain([path]) {
        for controller in ["+memory", "+pids", "+cpu", "+io"] {
            let opened = File::options().write(true).open(directory.join("cgroup.subtree_control"));
            let _ = opened.and_then(|mut file| io::Write::write_all(&mut file, controller.as_bytes()));
        }
    }
    Ok(())
}

fn hold(path: &Path, all: Share) -> io::Result<()> {
    let put = |name: &str, text: Option<String>| match text {
        Some(text) => File::options()
            .write(true)
            .open(path.join(name))
            .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes())),
        None => Ok(()),
    };
    put("memory.max", all.memory.map(|bytes| bytes.to_string()))?;
    put("cpu.max", all.cpus.map(|cpus| cpus.quota()))
}

fn made(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}
