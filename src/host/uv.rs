//! Finding uv, or installing it once.
//!
//! The payload's user must be able to execute it: a uv below /root is none. One that we install stands in
//! `STATE/tools/uv/`; the state directory is closed to that user, so the shim binds the directory into the sandbox.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// uv is a download of some 20 MiB.
const LIMIT: Duration = Duration::from_secs(600);

/// What pip needs of the daemon's environment; none of it is a key of the server.
const PASSED: [&str; 13] = [
    "PATH",
    "HOME",
    "LANG",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
];

/// Why there is no uv.
#[derive(Debug, thiserror::Error)]
pub enum UvError {
    /// It could not be downloaded.
    #[error(
        "uv is not installed and could not be fetched with pip: {reason}; \
         install uv (https://docs.astral.sh/uv) or python3-pip, or write installer = \"pip\" into clearmld.toml"
    )]
    Download {
        /// pip's last words, for each Python that was tried.
        reason: String,
    },
    /// It could not be put in its place.
    #[error("uv could not be installed in `{}`: {source}; free space there, or install uv on the host", .directory.display())]
    Place {
        /// Where.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// uv of this host. Whoever asks while it is being installed waits for the same installation.
#[derive(Debug)]
pub struct Uv {
    state_dir: PathBuf,
    search: OsString,
    found: OnceCell<PathBuf>,
}

impl Uv {
    /// `search` is the daemon's PATH.
    #[must_use]
    pub fn new(state_dir: PathBuf, search: OsString) -> Self {
        Self { state_dir, search, found: OnceCell::new() }
    }

    /// The executable; its directory goes into `RunSpec::tools`.
    ///
    /// # Errors
    /// When there is none and it cannot be installed. The next call tries again.
    pub async fn provide(&self) -> Result<PathBuf, UvError> {
        self.found.get_or_try_init(|| self.find_or_install()).await.cloned()
    }

    /// The one that is there already; nothing is installed.
    pub async fn find(&self) -> Option<PathBuf> {
        let on_path = std::env::split_paths(&self.search).map(|directory| directory.join("uv"));
        if let Some(uv) = on_path.filter_map(|path| path.canonicalize().ok()).find(|path| open_to_all(path)) {
            return Some(uv);
        }
        for place in [self.state_dir.join("bin/uv"), self.ours()] {
            if runs(&place).await {
                return Some(place);
            }
        }
        None
    }

    fn ours(&self) -> PathBuf {
        self.state_dir.join("tools/uv/uv")
    }

    async fn find_or_install(&self) -> Result<PathBuf, UvError> {
        if let Some(uv) = self.find().await {
            return Ok(uv);
        }
        let ours = self.ours();
        tracing::info!(path = %ours.display(), "installing uv from PyPI, once");
        let place = |source| UvError::Place { directory: self.state_dir.join("tools/uv"), source };
        let scratch = self.state_dir.join(format!("tools/.uv-{}", std::process::id()));
        make_directories(&self.state_dir, &scratch).map_err(place)?;
        let fetched = fetch(&scratch).await;
        let to = ours.clone();
        // Some 50 MiB go to the disk here.
        let placed = spawn_blocking(move || {
            let placed = fetched.map(|uv| put(&uv, &to));
            if let Err(error) = fs::remove_dir_all(&scratch) {
                tracing::warn!(%error, path = %scratch.display(), "a scratch directory is left behind");
            }
            placed
        });
        let placed = placed.await.map_err(|error| place(io::Error::other(error)))??.map_err(place);
        placed.map(|()| ours)
    }
}

/// Executable by everybody, along the whole path.
fn open_to_all(path: &Path) -> bool {
    let mode = |path: &Path| fs::metadata(path).map_or(0, |found| found.permissions().mode());
    path.is_file() && mode(path) & 0o005 == 0o005 && path.ancestors().skip(1).all(|parent| mode(parent) & 0o001 != 0)
}

async fn runs(path: &Path) -> bool {
    let mut command = Command::new(path);
    command.arg("--version").env_clear();
    path.is_file() && spoken(command).await.is_ok_and(|output| output.status.success())
}

fn make_directories(state_dir: &Path, scratch: &Path) -> io::Result<()> {
    // Of a daemon that was killed while it installed.
    if scratch.exists() {
        fs::remove_dir_all(scratch)?;
    }
    for directory in [state_dir.join("tools"), state_dir.join("tools/uv")] {
        fs::create_dir_all(&directory)?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755))?;
    }
    fs::create_dir(scratch)
}

/// By pip of the host, else by pip of a throw-away virtual environment.
async fn fetch(scratch: &Path) -> Result<PathBuf, UvError> {
    let target = scratch.join("uv");
    let mut reasons = Vec::new();
    let venv = scratch.join("venv");
    for python in [PathBuf::from("python3"), venv.join("bin/python")] {
        if python.is_absolute() {
            let mut command = command("python3");
            command.args(["-m", "venv"]).arg(&venv);
            if let Err(reason) = succeeds(command).await {
                reasons.push(reason);
                break;
            }
        }
        let mut command = command(&python);
        command.args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]);
        command.args(["--disable-pip-version-check", "--target"]).arg(&target).arg("uv");
        match succeeds(command).await {
            Ok(()) if target.join("bin/uv").is_file() => return Ok(target.join("bin/uv")),
            Ok(()) => reasons.push("the package holds no executable for this machine".to_owned()),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(UvError::Download { reason: reasons.join("; then: ") })
}

fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    let passed = std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        PASSED.contains(&name.to_ascii_uppercase().as_str()) || name.starts_with("PIP_")
    });
    command.env_clear().envs(passed);
    command
}

async fn succeeds(command: Command) -> Result<(), String> {
    let output = spoken(command).await?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing");
    Err(last.chars().take(300).collect())
}

async fn spoken(mut command: Command) -> Result<Output, String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(LIMIT, command.output()).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Err(format!("{} cannot be started: {error}", command.as_std().get_program().display())),
        Err(_) => Err(format!("no end after {} s", LIMIT.as_secs())),
    }
}

/// Whole or not at all: a half-written uv must never be found.
fn put(from: &Path, to: &Path) -> io::Result<()> {
    fs::set_permissions(from, fs::Permissions::from_mode(0o755))?;
    File::open(from)?.sync_all()?;
    fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fake(path: &Path, mode: u32) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        crate::sys::durable::write(path, b"#!/bin/sh\nexit 0\n", mode).expect("written");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    }

    #[tokio::test]
    async fn a_uv_in_the_state_directory_is_taken() {
        let state = tempfile::tempdir().expect("a directory");
        fake(&state.path().join("bin/uv"), 0o755);
        let uv = Uv::new(state.path().to_owned(), OsString::new());
        assert_eq!(uv.provide().await.expect("found"), state.path().join("bin/uv"));
    }

    #[tokio::test]
    async fn a_uv_on_the_path_that_others_cannot_execute_is_none() {
        let closed = tempfile::tempdir().expect("a directory");
        fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).expect("set");
        fake(&closed.path().join("uv"), 0o755);
        fake(&closed.path().join("state/bin/uv"), 0o755);
        let uv = Uv::new(closed.path().join("state"), closed.path().into());
        assert_eq!(uv.provide().await.expect("found"), closed.path().join("state/bin/uv"));
    }
}
