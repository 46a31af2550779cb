//! Files that survive a crash: written to a temporary name, synced, renamed, and the directory synced.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::failpoint;

/// Why a durable file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not there.
    #[error("there is no file")]
    Missing,
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(io::Error),
    /// It is not what it should be.
    #[error("it is damaged: {0}")]
    Damaged(serde_json::Error),
}

/// Writes `value` as JSON to `path`, mode 0600, whole or not at all.
///
/// # Errors
/// When the disk is full or the directory may not be written; then `path` is what it was before.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    write(path, &bytes, 0o600)
}

/// Writes `bytes` to `path`, whole or not at all.
///
/// # Errors
/// See [`write_json`].
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let temporary = directory.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = failpoint::fails(path)
        .and_then(|()| write_new(&temporary, bytes, mode))
        .and_then(|()| {
            failpoint::pass("before:rename");
            fs::rename(&temporary, path)
        })
        .and_then(|()| File::open(directory)?.sync_all());
    if written.is_err() {
        // A leftover would hold space on a disk that may be full.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes the temporary files in `directory` of writers that died before they could give them their names.
pub fn sweep(directory: &Path) {
    for path in fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let pid = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp")?.rsplit_once('.')?.1.parse().ok());
        // Our own pid was somebody else's before us: we have written nothing yet.
        let lives = |pid: &u32| *pid != std::process::id() && Path::new(&format!("/proc/{pid}")).exists();
        if pid.is_some_and(|pid| !lives(&pid)) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Reads what [`write_json`] wrote.
///
/// # Errors
/// When it is missing, unreadable or damaged.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, ReadError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ReadError::Missing),
        Err(error) => return Err(ReadError::Io(error)),
    };
    serde_json::from_slice(&bytes).map_err(ReadError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_no_litter() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("x.json");
        write_json(&path, &1).expect("written");
        // A directory in the way of the temporary name stands for a full disk.
        let temporary = directory.path().join(format!(".x.json.{}.tmp", std::process::id()));
        fs::create_dir(&temporary).expect("made");
        assert!(write_json(&path, &2).is_err());
        assert_eq!(read_json::<i32>(&path).expect("read"), 1);
    }

    #[test]
    fn what_dead_writers_left_is_removed_and_what_others_are_at_is_not() {
        let directory = tempfile::tempdir().expect("a directory");
        // Beyond the largest pid; ours; that of PID 1, who lives.
        let names =
            [".x.json.4194305.tmp".to_owned(), format!(".x.json.{}.tmp", std::process::id()), ".x.json.1.tmp".into()];
        for name in names.iter().map(String::as_str).chain([".tmp", "x.tmp", ".x.json"]) {
            write(&directory.path().join(name), b"", 0o600).expect("written");
        }
        sweep(directory.path());
        let left = fs::read_dir(directory.path()).expect("listed").map(|entry| entry.expect("an entry").file_name());
        let mut left: Vec<_> = left.collect();
        left.sort();
        assert_eq!(left, [".tmp", ".x.json", ".x.json.1.tmp", "x.tmp"]);
    }

    #[test]
    fn what_is_missing_and_what_is_damaged_are_told_apart() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("x.json");
        assert!(matches!(read_json::<i32>(&path), Err(ReadError::Missing)));
        write(&path, b"{", 0o600).expect("written");
        assert!(matches!(read_json::<i32>(&path), Err(ReadError::Damaged(_))));
    }
}
