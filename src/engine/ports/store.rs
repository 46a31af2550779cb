//! The state directory, and what a Run is given.

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::server::PayloadToken;
use crate::domain::disk::Room;
use crate::domain::handover::{ExitRecord, Progress, RunSpec, Secrets, StopRequest};
use crate::domain::health::Health;
use crate::domain::ids::{RunId, WorkerName};
use crate::domain::limits::Capacity;
use crate::domain::log::Delivery;
use crate::domain::reservation::Reservations;
use crate::domain::run::RunRecord;
use crate::domain::sandbox::Sandbox;
use crate::domain::task::TaskSnapshot;
use crate::domain::worker::Worker;

/// What cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}: {source}")]
pub struct StoreError {
    /// `write`.
    pub operation: &'static str,
    /// What.
    pub path: PathBuf,
    /// Why.
    pub source: std::io::Error,
}

impl StoreError {
    /// Whether a full disk or quota was the reason: it may have room again.
    #[must_use]
    pub fn disk_full(&self) -> bool {
        matches!(self.source.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
    }

    /// Whether it may go by without anybody's help: the disk has room again, or the daemon a descriptor or memory.
    #[must_use]
    pub fn passes(&self) -> bool {
        let scarce = [nix::libc::EMFILE, nix::libc::ENFILE, nix::libc::ENOMEM];
        self.disk_full() || self.source.raw_os_error().is_some_and(|code| scarce.contains(&code))
    }
}

/// What the ledger held when the daemon came up.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The Workers.
    pub workers: Vec<Worker>,
    /// The Runs.
    pub runs: Vec<RunRecord>,
    /// Whether the host was draining.
    pub draining: bool,
    /// How far its GPUs can be trusted.
    pub health: Health,
    /// What people keep of its GPUs.
    pub reservations: Reservations,
    /// Files that could not be understood and were set aside, each a sentence.
    pub set_aside: Vec<String>,
}

/// The state directory: the ledger, and the files of each Run.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Where it is.
    fn root(&self) -> &Path;
    /// Where a Run's files are.
    fn run_directory(&self, run: &RunId) -> PathBuf;

    /// Reads everything, sets aside what is damaged.
    async fn load(&self) -> Result<Loaded, StoreError>;
    /// Writes a Worker.
    async fn put_worker(&self, worker: &Worker) -> Result<(), StoreError>;
    /// Forgets a Worker.
    async fn drop_worker(&self, worker: &WorkerName) -> Result<(), StoreError>;
    /// Writes a Run's record.
    async fn put_run(&self, run: &RunRecord) -> Result<(), StoreError>;
    /// Forgets a Run, with all its files.
    async fn drop_run(&self, run: &RunId) -> Result<(), StoreError>;
    /// Whether the host is draining.
    async fn put_draining(&self, draining: bool) -> Result<(), StoreError>;
    /// How far the host's GPUs can be trusted.
    async fn put_health(&self, health: &Health) -> Result<(), StoreError>;
    /// What people keep of the host's GPUs.
    async fn put_reservations(&self, all: &Reservations) -> Result<(), StoreError>;

    /// Makes the run directory complete: spec, secrets, work directories of the payload's user.
    async fn prepare(&self, spec: &RunSpec, secrets: &Secrets, token: &PayloadToken) -> Result<(), StoreError>;
    /// The spec that was prepared.
    async fn spec(&self, run: &RunId) -> Option<RunSpec>;
    /// Appends a line of ours to the spool; only before the shim starts and after it has gone.
    async fn note(&self, run: &RunId, line: &str) -> Result<(), StoreError>;
    /// `progress.json`, if it is there and makes sense.
    async fn progress(&self, run: &RunId) -> Option<Progress>;
    /// `exit.json`; an error when it is there and makes no sense.
    async fn exit(&self, run: &RunId) -> Result<Option<ExitRecord>, StoreError>;
    /// Writes `stop.json`.
    async fn put_stop(&self, run: &RunId, stop: &StopRequest) -> Result<(), StoreError>;
    /// Reads the spool: bytes from `offset`, at most `most`.
    async fn read_spool(&self, run: &RunId, offset: u64, most: usize) -> Result<Vec<u8>, StoreError>;
    /// Gives the disk back what the spool holds before `offset`.
    async fn trim_spool(&self, run: &RunId, offset: u64) -> Result<(), StoreError>;
    /// How far the output is delivered.
    async fn delivery(&self, run: &RunId) -> Delivery;
    /// Writes it.
    async fn put_delivery(&self, run: &RunId, delivery: &Delivery) -> Result<(), StoreError>;
    /// The token that the payload was given, until it is cleared.
    async fn token(&self, run: &RunId) -> Option<PayloadToken>;
    /// Removes the payload's files of a Run that has ended, which may be large; everything of ours stays.
    async fn discard_work(&self, run: &RunId) -> Result<(), StoreError>;
    /// What is left on the disk of the state directory, if that can be found out.
    async fn room(&self) -> Option<Room>;
    /// Removes the payload's files and the token of a Run that has ended; record and spool stay.
    async fn clear(&self, run: &RunId) -> Result<(), StoreError>;
}

/// Why a Run's spec cannot be made: the task's fault, or the host's.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct OutfitError {
    /// What, why, and what to do.
    pub reason: String,
}

/// What a Run is given: user, caches, tools, environment.
#[async_trait]
pub trait Outfitter: Send + Sync + fmt::Debug {
    /// Whether tasks may run as this user (none: the default one), before a Worker is declared with it.
    fn check_user(&self, user: Option<&str>) -> Result<(), OutfitError>;
    /// Whether what a sandbox is to show is there, and can be shown. Takes its time where a disk does.
    async fn check_sandbox(&self, sandbox: &Sandbox) -> Result<(), OutfitError>;
    /// Whether this host has GPUs at all, for a Worker that names none.
    fn has_gpus(&self) -> bool;
    /// How large this host is, if that can be found out.
    fn capacity(&self) -> Option<Capacity>;
    /// The whole spec of a Run. What the Worker alone says (its limits) is not in it yet.
    async fn outfit(
        &self,
        record: &RunRecord,
        user: Option<&str>,
        task: &TaskSnapshot,
        token: &PayloadToken,
        cgroup: Option<PathBuf>,
    ) -> Result<(RunSpec, Secrets), OutfitError>;
}
