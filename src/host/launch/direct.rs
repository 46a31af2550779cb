//! Shims as plain processes in sessions of their own, for hosts without systemd.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Signal, pidfd_send_signal};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, sleep};

use crate::domain::handover::{ProcessIdentity, Started, file};
use crate::domain::ids::{RunId, StateId};
use crate::engine::ports::{LaunchError, Launcher, LauncherDescription};
use crate::sys::{durable, identity};

const SILENCE: Duration = Duration::from_secs(20);

/// See the room's first line.
#[derive(Debug)]
pub struct Direct {
    shim: PathBuf,
    /// Below which each Run gets a cgroup.
    cgroups: Option<PathBuf>,
}

impl Direct {
    /// `shim` is the program.
    #[must_use]
    pub fn new(state: StateId, shim: PathBuf) -> Self {
        Self { shim, cgroups: cgroup_root(&state) }
    }
}

fn cgroup_root(state: &StateId) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?.to_owned();
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
    let beside = Path::new(&own).parent().unwrap_or(Path::new("/")).strip_prefix("/").ok()?.to_owned();
    let root = Path::new(&mount).join(beside).join(format!("clearmld-{state}"));
    match fs::create_dir(&root) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => None,
        Ok(()) | Err(_) => Some(root),
    }
}

#[async_trait]
impl Launcher for Direct {
    fn describe(&self) -> LauncherDescription {
        let mut missing = Vec::new();
        if !nix::unistd::geteuid().is_root() {
            missing.push("not root: tasks run as this user, and see what it sees".to_owned());
        }
        if self.cgroups.is_none() {
            missing.push("no writable cgroup v2 tree: processes are ended by their pid namespace alone".to_owned());
        }
        LauncherDescription { name: "direct", missing }
    }

    async fn launch(&self, run: &RunId, directory: &Path) -> Result<Started, LaunchError> {
        let _ = run;
        if let Ok(started) = durable::read_json::<Started>(&directory.join(file::STARTED)) {
            return Ok(started);
        }
        let failed = |operation| move |error: io::Error| LaunchError::Failed { operation, reason: error.to_string() };
        let log_path = directory.join(file::SHIM_LOG);
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&log_path)
            .map_err(failed("open the shim's log"))?;
        let mut command = Command::new(&self.shim);
        command.arg("run").arg(directory).env_clear().current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(failed("start clearmld-shim"))?;
        let pid = child.id();
        // Reaps it: a zombie would look alive.
        std::thread::spawn(move || child.wait());
        let began = Instant::now();
        loop {
            if let Ok(started) = durable::read_json::<Started>(&directory.join(file::STARTED)) {
                return Ok(started);
            }
            let gone = identity::of(pid).is_err();
            if gone || began.elapsed() > SILENCE {
                return Err(LaunchError::Silent { seconds: began.elapsed().as_secs(), log: log_path });
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn cgroup(&self, run: &RunId) -> Option<PathBuf> {
        let path = self.cgroups.as_ref()?.join(run.as_str());
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => None,
            Ok(()) | Err(_) => Some(path),
        }
    }

    fn alive(&self, shim: &ProcessIdentity) -> bool {
        identity::open(shim).is_some()
    }

    async fn wait(&self, shim: &ProcessIdentity) {
        let Some(pidfd) = identity::open(shim) else { return };
        #[expect(deprecated, reason = "provisional")]
        if let Ok(pidfd) = AsyncFd::with_interest(pidfd, Interest::READABLE) {
            let _ = pidfd.readable().await;
        }
    }

    fn nudge(&self, shim: &ProcessIdentity) -> Result<(), LaunchError> {
        let Some(pidfd) = identity::open(shim) else { return Ok(()) };
        match pidfd_send_signal(&pidfd, Signal::USR1) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(LaunchError::Failed { operation: "signal the shim", reason: error.to_string() }),
        }
    }

    async fn sweep(&self, run: &RunId) -> Result<(), LaunchError> {
        let Some(root) = &self.cgroups else { return Ok(()) };
        let path = root.join(run.as_str());
        if !path.exists() {
            return Ok(());
        }
        #[expect(clippy::disallowed_methods, reason = "a kernel interface, not a file")]
        let _ = fs::write(path.join("cgroup.kill"), "1");
        for _ in 0..100 {
            for below in ["payload", "shim", ""] {
                let _ = fs::remove_dir(path.join(below));
            }
            if !path.exists() {
                return Ok(());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err(LaunchError::Failed { operation: "remove the run's cgroup", reason: path.display().to_string() })
    }
}
