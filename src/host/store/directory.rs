//! The directory itself: made, recognised, locked.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::domain::ids::StateId;
use crate::sys::durable::{self, ReadError};

/// Version of the directory's layout.
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Header {
    version: u32,
    id: StateId,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be made or read.
    #[error("the state directory {path} cannot be {operation}: {source}; give another one with --state-dir")]
    Io {
        /// `made`.
        operation: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another daemon serves it.
    #[error(
        "the state directory {path} is served by another clearmld (process {holder}); stop that one, or give another one with --state-dir"
    )]
    Held {
        /// Which.
        path: PathBuf,
        /// By whom; `unknown` when it did not say.
        holder: String,
    },
    /// A newer clearmld made it.
    #[error(
        "the state directory {path} has layout version {found}, and this clearmld knows {VERSION}; install the newer clearmld again, or give another directory with --state-dir"
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// Its header makes no sense.
    #[error(
        "{path} cannot be understood: {reason}; move the file away to start with a new identity (workers and runs are kept)"
    )]
    Damaged {
        /// The header.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// An open state directory, locked against other daemons for as long as it lives.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    id: StateId,
    _lock: File,
}

impl StateDirectory {
    /// Opens `path`, making it if it is not there. `fresh_id` is used only then.
    ///
    /// # Errors
    /// When it is another daemon's, a newer layout, or cannot be written.
    pub fn open(path: &Path, fresh_id: StateId) -> Result<Self, OpenError> {
        let io = |operation| {
            let path = path.to_owned();
            move |source| OpenError::Io { operation, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io("made"))?;
        let path = fs::canonicalize(path).map_err(io("read"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).map_err(io("closed to others"))?;
        let lock = lock(&path)?;
        let id = header(&path, fresh_id)?;
        for name in ["workers", "ledger", "runs", "set-aside", "cache"] {
            DirBuilder::new().recursive(true).mode(0o700).create(path.join(name)).map_err(io("made"))?;
        }
        sweep(&path);
        Ok(Self { path, id, _lock: lock })
    }

    /// Where it is, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> &StateId {
        &self.id
    }
}

/// What a daemon or a shim was writing when it died.
fn sweep(path: &Path) {
    for directory in [path.to_owned(), path.join("workers"), path.join("ledger")] {
        durable::sweep(&directory);
    }
    for run in fs::read_dir(path.join("runs")).into_iter().flatten().flatten() {
        durable::sweep(&run.path());
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let file = path.join("lock");
    let io = |source| OpenError::Io { operation: "locked", path: path.to_owned(), source };
    let lock =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&file).map_err(io)?;
    if lock.try_lock().is_err() {
        let holder = fs::read_to_string(&file).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        return Err(OpenError::Held { path: path.to_owned(), holder: holder.unwrap_or_else(|| "unknown".to_owned()) });
    }
    lock.set_len(0).map_err(io)?;
    io::Write::write_all(&mut &lock, format!("{}\n", std::process::id()).as_bytes()).map_err(io)?;
    Ok(lock)
}

fn header(path: &Path, fresh_id: StateId) -> Result<StateId, OpenError> {
    let file = path.join("state.json");
    match durable::read_json::<Header>(&file) {
        Ok(header) if header.version > VERSION => {
            Err(OpenError::Newer { path: path.to_owned(), found: header.version })
        }
        Ok(header) => Ok(header.id),
        Err(ReadError::Missing) => {
            let header = Header { version: VERSION, id: fresh_id };
            durable::write_json(&file, &header).map_err(|source| OpenError::Io {
                operation: "written",
                path: path.to_owned(),
                source,
            })?;
            Ok(header.id)
        }
        Err(error @ (ReadError::Io(_) | ReadError::Damaged(_))) => {
            Err(OpenError::Damaged { path: file, reason: error.to_string() })
        }
    }
}
