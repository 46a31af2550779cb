//! Records of Workers and Runs. One that is damaged or newer is set aside and reported; the others go on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{failed, run_directory};
use crate::domain::health::{self, Health};
use crate::domain::ids::{RunId, WorkerName};
use crate::domain::reservation::{self, Reservations};
use crate::domain::run::{self, RunRecord};
use crate::domain::worker::{self, Worker};
use crate::engine::ports::{Loaded, StoreError};
use crate::sys::durable::{self, ReadError};
use crate::sys::removal::remove_tree;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Host {
    version: u32,
    draining: bool,
}

fn worker_file(root: &Path, name: &WorkerName) -> PathBuf {
    // A worker name has no `/` and does not start with a dot.
    root.join("workers").join(format!("{name}.json"))
}

fn run_file(root: &Path, run: &RunId) -> PathBuf {
    root.join("ledger").join(format!("{run}.json"))
}

pub(super) fn load(root: &Path) -> Result<Loaded, StoreError> {
    let mut loaded = Loaded::default();
    loaded.workers =
        read_all(root, "workers", worker::VERSION, &mut loaded.set_aside, |worker: &Worker| worker.version)?;
    loaded.runs = read_all(root, "ledger", run::VERSION, &mut loaded.set_aside, |run: &RunRecord| run.version)?;
    match durable::read_json::<Host>(&root.join("host.json")) {
        Ok(host) => loaded.draining = host.draining,
        Err(ReadError::Missing) => {}
        Err(error) => loaded.set_aside.push(set_aside(root, &root.join("host.json"), &error.to_string())),
    }
    let path = root.join("gpu-health.json");
    match durable::read_json::<HealthFile>(&path) {
        Ok(file) if file.version <= health::VERSION => loaded.health = file.health,
        Ok(file) => loaded.set_aside.push(replaced(root, &path, file.version, health::VERSION)),
        Err(ReadError::Missing) => {}
        Err(error) => loaded.set_aside.push(set_aside(root, &path, &error.to_string())),
    }
    let path = root.join("reservations.json");
    match durable::read_json::<Kept>(&path) {
        Ok(kept) if kept.version <= reservation::VERSION => loaded.reservations = kept.all,
        Ok(kept) => loaded.set_aside.push(replaced(root, &path, kept.version, reservation::VERSION)),
        Err(ReadError::Missing) => {}
        Err(error) => loaded.set_aside.push(set_aside(root, &path, &error.to_string())),
    }
    Ok(loaded)
}

#[derive(Debug, Serialize, Deserialize)]
struct HealthFile {
    version: u32,
    #[serde(flatten)]
    health: Health,
}

pub(super) fn put_health(root: &Path, health: &Health) -> Result<(), StoreError> {
    let path = root.join("gpu-health.json");
    let file = HealthFile { version: health::VERSION, health: health.clone() };
    durable::write_json(&path, &file).map_err(failed("write", &path))
}

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: u32,
    #[serde(flatten)]
    all: Reservations,
}

pub(super) fn put_reservations(root: &Path, all: &Reservations) -> Result<(), StoreError> {
    let path = root.join("reservations.json");
    durable::write_json(&path, &Kept { version: reservation::VERSION, all: all.clone() })
        .map_err(failed("write", &path))
}

/// What a file of any version must have.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

fn read_all<T: DeserializeOwned>(
    root: &Path,
    name: &str,
    known: u32,
    remarks: &mut Vec<String>,
    version: impl Fn(&T) -> u32,
) -> Result<Vec<T>, StoreError> {
    let directory = root.join(name);
    let mut records = Vec::new();
    for entry in fs::read_dir(&directory).map_err(failed("read", &directory))? {
        let path = entry.map_err(failed("read", &directory))?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if hidden || path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        match durable::read_json::<T>(&path) {
            Ok(record) if version(&record) <= known => records.push(record),
            Ok(record) => remarks.push(newer(&path, version(&record), known)),
            Err(ReadError::Missing) => {}
            Err(error) => match durable::read_json::<Versioned>(&path) {
                Ok(header) if header.version > known => remarks.push(newer(&path, header.version, known)),
                Ok(_) | Err(_) => remarks.push(set_aside(root, &path, &error.to_string())),
            },
        }
    }
    Ok(records)
}

/// A newer clearmld's record stays where it is, and its processes are left alone.
fn newer(path: &Path, found: u32, known: u32) -> String {
    format!("{}: version {found} is newer than the {known} that this clearmld knows; it is left alone", path.display())
}

/// A newer clearmld's file that this one writes anew: left where it is, it would be written over.
fn replaced(root: &Path, path: &Path, found: u32, known: u32) -> String {
    set_aside(root, path, &format!("version {found} is newer than the {known} that this clearmld knows"))
}

fn set_aside(root: &Path, path: &Path, reason: &str) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let target = root.join("set-aside").join(name);
    match fs::rename(path, &target) {
        Ok(()) => format!("{}: {reason}; it was moved to {}", path.display(), target.display()),
        Err(error) => format!("{}: {reason}; it cannot be moved away: {error}", path.display()),
    }
}

pub(super) fn put_worker(root: &Path, worker: &Worker) -> Result<(), StoreError> {
    let path = worker_file(root, &worker.name);
    durable::write_json(&path, worker).map_err(failed("write", &path))
}

pub(super) fn drop_worker(root: &Path, name: &WorkerName) -> Result<(), StoreError> {
    remove_file(&worker_file(root, name))
}

pub(super) fn put_run(root: &Path, run: &RunRecord) -> Result<(), StoreError> {
    let path = run_file(root, &run.id);
    durable::write_json(&path, run).map_err(failed("write", &path))
}

/// The record goes last: a crash in between leaves a Run that can be dropped again.
pub(super) fn drop_run(root: &Path, run: &RunId) -> Result<(), StoreError> {
    let directory = run_directory(root, run);
    remove_tree(&directory).map_err(failed("remove", &directory))?;
    remove_file(&run_file(root, run))
}

pub(super) fn put_draining(root: &Path, draining: bool) -> Result<(), StoreError> {
    let path = root.join("host.json");
    durable::write_json(&path, &Host { version: 1, draining }).map_err(failed("write", &path))
}

fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}
