//! The cache of finished environments: `environments/<key>/` with `venv/` and, written last, `sealed.json`. A directory
//! without it is a build that did not end, and is removed by the next builder. `<key>.lock` is held while one builds.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::walk;
use crate::domain::handover::{EnvironmentPlan, EnvironmentReport, Identity, VERSION};
use crate::domain::ids::UnixMillis;
use crate::sys::durable;
use crate::sys::removal::remove_tree;

/// Where one environment is, or is to be.
#[derive(Debug, Clone)]
pub(super) struct Place {
    directory: PathBuf,
    lock: PathBuf,
    key: String,
}

/// What is known of a finished environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sealed {
    version: u32,
    key: String,
    python_version: String,
    frozen: Vec<String>,
    created: UnixMillis,
}

impl Place {
    /// The place of a key; none when the key, which a stage has answered, is not fit for a file name.
    #[must_use]
    pub(super) fn of(environments: &Path, key: &str) -> Option<Self> {
        let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        let fit = plain && (8..=128).contains(&key.len());
        fit.then(|| Self {
            directory: environments.join(key),
            lock: environments.join(format!("{key}.lock")),
            key: key.to_owned(),
        })
    }

    /// The environment itself.
    #[must_use]
    pub(super) fn venv(&self) -> PathBuf {
        self.directory.join("venv")
    }

    /// The finished environment, if there is one.
    #[must_use]
    pub(super) fn finished(&self) -> Option<EnvironmentReport> {
        let sealed: Sealed = durable::read_json(&self.directory.join("sealed.json")).ok()?;
        (sealed.version <= VERSION && sealed.key == self.key).then_some(EnvironmentReport {
            key: sealed.key,
            cached: true,
            python_version: sealed.python_version,
            frozen: sealed.frozen,
        })
    }

    /// The right to build; none while another has it.
    ///
    /// # Errors
    /// When the lock cannot be made.
    pub(super) fn try_lock(&self) -> io::Result<Option<Flock<File>>> {
        let file = File::options().write(true).create(true).truncate(false).open(&self.lock)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, error)) => Err(error.into()),
        }
    }

    /// An empty directory for the builder; what an earlier one left is removed. The lock is held.
    ///
    /// # Errors
    /// When the disk is full or the leftovers cannot be removed.
    pub(super) fn begin(&self, identity: &Identity) -> io::Result<()> {
        self.discard()?;
        for directory in [&self.directory, &self.venv()] {
            fs::create_dir(directory)?;
            // Whatever the umask: without namespaces the payload comes here by this path.
            fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
        }
        if nix::unistd::geteuid().is_root() {
            chown(self.venv(), Some(identity.uid), Some(identity.gid))?;
        }
        Ok(())
    }

    /// Seals what was built. No process of the builder lives.
    ///
    /// # Errors
    /// When the disk fails; the environment is not finished then.
    pub(super) fn finish(
        &self,
        plan: &EnvironmentPlan,
        frozen: Vec<String>,
        now: UnixMillis,
    ) -> io::Result<EnvironmentReport> {
        let venv = opened(&self.venv())?;
        let root = nix::unistd::geteuid().is_root();
        walk::seal(&venv, root.then_some((0, 0)))?;
        // A crash of the host must not leave a finished environment with empty files.
        rustix::fs::syncfs(&venv)?;
        let (key, python_version) = (self.key.clone(), plan.python_version.clone());
        let sealed = Sealed { version: VERSION, key, python_version, frozen, created: now };
        durable::write_json(&self.directory.join("sealed.json"), &sealed)?;
        let Sealed { key, python_version, frozen, .. } = sealed;
        Ok(EnvironmentReport { key, cached: false, python_version, frozen })
    }

    /// Removes what is there, finished or not.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub(super) fn discard(&self) -> io::Result<()> {
        remove_tree(&self.directory)
    }

    /// The directory skeleton of the finished environment in `upper`, for an overlay of `identity`.
    ///
    /// # Errors
    /// When the disk is full.
    pub(super) fn skeleton(&self, upper: &Path, identity: &Identity) -> io::Result<()> {
        walk::skeleton(&opened(&self.venv())?, &opened(upper)?, identity.uid, identity.gid)
    }
}

fn opened(directory: &Path) -> io::Result<OwnedFd> {
    let name = CString::new(directory.as_os_str().as_bytes())?;
    walk::open_directory(rustix::fs::CWD, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_a_stage_made_up_leads_nowhere_else() {
        for key in ["", "../../../etc", "a/b", "short", "key.with.dots", "..", &"x".repeat(129)] {
            assert!(Place::of(Path::new("/e"), key).is_none(), "{key}");
        }
        assert!(Place::of(Path::new("/e"), "0123456789abcdef").is_some());
    }
}
