//! A Run's own files: the daemon's half of the protocol in [`crate::domain::handover`].

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::Path;

use nix::fcntl::{FallocateFlags, fallocate};
use secrecy::{ExposeSecret, SecretString};

use super::{failed, run_directory};
use crate::domain::handover::{ExitRecord, Isolation, Progress, RunSpec, Secrets, StopRequest, file};
use crate::domain::ids::RunId;
use crate::domain::log::Delivery;
use crate::engine::ports::{PayloadToken, StoreError};
use crate::sys::durable::{self, ReadError};
use crate::sys::failpoint;
use crate::sys::removal::remove_tree;

/// How far the output is delivered.
const DELIVERY: &str = "delivery.json";
/// The payload's token, to revoke it at the end.
const TOKEN: &str = "token";

/// Idempotent: a Run that was prepared and not committed is prepared again from the start.
pub(super) fn prepare(root: &Path, spec: &RunSpec, secrets: &Secrets, token: &PayloadToken) -> Result<(), StoreError> {
    let directory = run_directory(root, &spec.run);
    remove_tree(&directory).map_err(failed("remove", &directory))?;
    make_directory(&directory, 0o700)?;
    let work = directory.join(file::WORK);
    make_directory(&work, 0o711)?;
    for name in ["code", "home", "tmp", "venv"] {
        let path = work.join(name);
        make_directory(&path, 0o700)?;
        give(&path, spec)?;
    }
    for cache in [&spec.caches.mirrors, &spec.caches.packages] {
        make_directory(cache, 0o700)?;
        give(cache, spec)?;
    }
    make_directory(&spec.caches.environments, 0o711)?;
    open_the_way(root, spec)?;
    write(&directory, file::SECRETS, secrets)?;
    let path = directory.join(TOKEN);
    durable::write(&path, token.token.expose_secret().as_bytes(), 0o600).map_err(failed("write", &path))?;
    let path = directory.join(file::SPOOL);
    open_spool(&path).map_err(failed("write", &path))?;
    // Last: a directory with a spec is complete.
    write(&directory, file::SPEC, spec)
}

/// Without a mount namespace of its own a payload that is not our own user reaches its directories by their paths, so
/// those may be passed through; everything in them that is not the payload's stays closed.
fn open_the_way(root: &Path, spec: &RunSpec) -> Result<(), StoreError> {
    if spec.isolation == Isolation::Namespaces || !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let caches = spec.caches.environments.parent().into_iter().flat_map(Path::ancestors);
    let runs = root.join("runs");
    for path in caches.take_while(|path| path.starts_with(root)).chain([runs.as_path()]) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o711)).map_err(failed("open the way through", path))?;
    }
    Ok(())
}

fn make_directory(path: &Path, mode: u32) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(failed("make", path))
}

/// To the payload's user, where we may: an ordinary user is the payload's user already.
fn give(path: &Path, spec: &RunSpec) -> Result<(), StoreError> {
    if nix::unistd::geteuid().is_root() {
        chown(path, Some(spec.identity.uid), Some(spec.identity.gid)).map_err(failed("give away", path))?;
    }
    Ok(())
}

fn write<T: serde::Serialize>(directory: &Path, name: &str, value: &T) -> Result<(), StoreError> {
    let path = directory.join(name);
    durable::write_json(&path, value).map_err(failed("write", &path))
}

fn open_spool(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

pub(super) fn note(root: &Path, run: &RunId, line: &str) -> Result<(), StoreError> {
    let directory = run_directory(root, run);
    make_directory(&directory, 0o700)?;
    let path = directory.join(file::SPOOL);
    let append = |mut spool: File| spool.write_all(format!("{line}\n").as_bytes());
    open_spool(&path).and_then(append).map_err(failed("write", &path))
}

pub(super) fn spec(root: &Path, run: &RunId) -> Option<RunSpec> {
    durable::read_json(&run_directory(root, run).join(file::SPEC)).ok()
}

pub(super) fn progress(root: &Path, run: &RunId) -> Option<Progress> {
    durable::read_json(&run_directory(root, run).join(file::PROGRESS)).ok()
}

pub(super) fn exit(root: &Path, run: &RunId) -> Result<Option<ExitRecord>, StoreError> {
    let path = run_directory(root, run).join(file::EXIT);
    match durable::read_json(&path) {
        Ok(record) => Ok(Some(record)),
        Err(ReadError::Missing) => Ok(None),
        Err(ReadError::Io(source)) => Err(failed("read", &path)(source)),
        Err(ReadError::Damaged(error)) => Err(failed("understand", &path)(io::Error::other(error))),
    }
}

pub(super) fn put_stop(root: &Path, run: &RunId, stop: &StopRequest) -> Result<(), StoreError> {
    write(&run_directory(root, run), file::STOP, stop)
}

pub(super) fn read_spool(root: &Path, run: &RunId, offset: u64, most: usize) -> Result<Vec<u8>, StoreError> {
    let path = run_directory(root, run).join(file::SPOOL);
    let spool = match failpoint::fails(&path).and_then(|()| File::open(&path)) {
        Ok(spool) => spool,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("read", &path)(error)),
    };
    let length = spool.metadata().map_err(failed("read", &path))?.len();
    let there = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX).min(most);
    let mut bytes = vec![0; there];
    spool.read_exact_at(&mut bytes, offset).map_err(failed("read", &path))?;
    Ok(bytes)
}

/// Punches a hole: offsets stay what they are.
pub(super) fn trim_spool(root: &Path, run: &RunId, offset: u64) -> Result<(), StoreError> {
    let path = run_directory(root, run).join(file::SPOOL);
    let spool = OpenOptions::new().write(true).open(&path).map_err(failed("trim", &path))?;
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let length = i64::try_from(offset).unwrap_or(i64::MAX);
    fallocate(&spool, flags, 0, length).map_err(|error| failed("trim", &path)(error.into()))
}

pub(super) fn delivery(root: &Path, run: &RunId) -> Delivery {
    // Without it everything is sent again: twice in the log is better than never.
    durable::read_json(&run_directory(root, run).join(DELIVERY)).unwrap_or_default()
}

pub(super) fn put_delivery(root: &Path, run: &RunId, delivery: &Delivery) -> Result<(), StoreError> {
    write(&run_directory(root, run), DELIVERY, delivery)
}

pub(super) fn token(root: &Path, run: &RunId) -> Option<PayloadToken> {
    let text = fs::read_to_string(run_directory(root, run).join(TOKEN)).ok()?;
    Some(PayloadToken { token: SecretString::from(text) })
}

pub(super) fn clear(root: &Path, run: &RunId) -> Result<(), StoreError> {
    let directory = run_directory(root, run);
    for path in [directory.join(TOKEN), directory.join(file::SECRETS)] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &path)(error)),
            Ok(()) | Err(_) => {}
        }
    }
    discard_work(root, run)
}

pub(super) fn discard_work(root: &Path, run: &RunId) -> Result<(), StoreError> {
    let work = run_directory(root, run).join(file::WORK);
    remove_tree(&work).map_err(failed("remove", &work))
}
