//! The state directory.
//!
//! ```text
//! state.json               version and identity of the directory
//! lock                     held by the daemon that serves it
//! workers/<name>.json      a Worker
//! host.json                whether the host drains
//! gpu-health.json          how far each GPU can be trusted
//! reservations.json        GPUs that people keep for a while
//! ledger/<run>.json        a Run's record
//! runs/<run>/              a Run's files (see domain::handover), delivery.json, token.json
//! set-aside/               files that could not be understood
//! cache/<domain>/          caches of a payload's user
//! ```
//!
//! Blocking file work runs on threads of its own, so that a slow disk holds up nothing else.

mod directory;
mod ledger;
mod run_files;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::disk::Room;
use crate::domain::handover::{ExitRecord, Progress, RunSpec, Secrets, StopRequest};
use crate::domain::health::Health;
use crate::domain::ids::{RunId, WorkerName};
use crate::domain::log::Delivery;
use crate::domain::reservation::Reservations;
use crate::domain::run::RunRecord;
use crate::domain::worker::Worker;
use crate::engine::ports::{Loaded, PayloadToken, Store, StoreError};
use crate::sys::disk;

pub use directory::{OpenError, StateDirectory};

/// The state directory behind the engine's port.
#[derive(Debug, Clone)]
pub struct FileStore {
    directory: Arc<StateDirectory>,
}

impl FileStore {
    /// Serves an open directory.
    #[must_use]
    pub fn new(directory: StateDirectory) -> Self {
        Self { directory: Arc::new(directory) }
    }

    async fn on_thread<T: Send + 'static>(&self, work: impl FnOnce(&Path) -> T + Send + 'static) -> T {
        let directory = Arc::clone(&self.directory);
        match tokio::task::spawn_blocking(move || work(directory.path())).await {
            Ok(value) => value,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

fn failed(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError { operation, path, source }
}

fn run_directory(root: &Path, run: &RunId) -> PathBuf {
    root.join("runs").join(run.as_str())
}

#[async_trait]
impl Store for FileStore {
    fn root(&self) -> &Path {
        self.directory.path()
    }

    fn run_directory(&self, run: &RunId) -> PathBuf {
        run_directory(self.directory.path(), run)
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        self.on_thread(ledger::load).await
    }

    async fn put_worker(&self, worker: &Worker) -> Result<(), StoreError> {
        let worker = worker.clone();
        self.on_thread(move |root| ledger::put_worker(root, &worker)).await
    }

    async fn drop_worker(&self, worker: &WorkerName) -> Result<(), StoreError> {
        let worker = worker.clone();
        self.on_thread(move |root| ledger::drop_worker(root, &worker)).await
    }

    async fn put_run(&self, run: &RunRecord) -> Result<(), StoreError> {
        let run = run.clone();
        self.on_thread(move |root| ledger::put_run(root, &run)).await
    }

    async fn drop_run(&self, run: &RunId) -> Result<(), StoreError> {
        let run = run.clone();
        self.on_thread(move |root| ledger::drop_run(root, &run)).await
    }

    async fn put_draining(&self, draining: bool) -> Result<(), StoreError> {
        self.on_thread(move |root| ledger::put_draining(root, draining)).await
    }

    async fn put_health(&self, health: &Health) -> Result<(), StoreError> {
        let health = health.clone();
        self.on_thread(move |root| ledger::put_health(root, &health)).await
    }

    async fn put_reservations(&self, all: &Reservations) -> Result<(), StoreError> {
        let all = all.clone();
        self.on_thread(move |root| ledger::put_reservations(root, &all)).await
    }

    async fn prepare(&self, spec: &RunSpec, secrets: &Secrets, token: &PayloadToken) -> Result<(), StoreError> {
        let (spec, secrets, token) = (spec.clone(), secrets.clone(), token.clone());
        self.on_thread(move |root| run_files::prepare(root, &spec, &secrets, &token)).await
    }

    async fn spec(&self, run: &RunId) -> Option<RunSpec> {
        let run = run.clone();
        self.on_thread(move |root| run_files::spec(root, &run)).await
    }

    async fn note(&self, run: &RunId, line: &str) -> Result<(), StoreError> {
        let (run, line) = (run.clone(), line.to_owned());
        self.on_thread(move |root| run_files::note(root, &run, &line)).await
    }

    async fn progress(&self, run: &RunId) -> Option<Progress> {
        let run = run.clone();
        self.on_thread(move |root| run_files::progress(root, &run)).await
    }

    async fn exit(&self, run: &RunId) -> Result<Option<ExitRecord>, StoreError> {
        let run = run.clone();
        self.on_thread(move |root| run_files::exit(root, &run)).await
    }

    async fn put_stop(&self, run: &RunId, stop: &StopRequest) -> Result<(), StoreError> {
        let (run, stop) = (run.clone(), stop.clone());
        self.on_thread(move |root| run_files::put_stop(root, &run, &stop)).await
    }

    async fn read_spool(&self, run: &RunId, offset: u64, most: usize) -> Result<Vec<u8>, StoreError> {
        let run = run.clone();
        self.on_thread(move |root| run_files::read_spool(root, &run, offset, most)).await
    }

    async fn trim_spool(&self, run: &RunId, offset: u64) -> Result<(), StoreError> {
        let run = run.clone();
        self.on_thread(move |root| run_files::trim_spool(root, &run, offset)).await
    }

    async fn delivery(&self, run: &RunId) -> Delivery {
        let run = run.clone();
        self.on_thread(move |root| run_files::delivery(root, &run)).await
    }

    async fn put_delivery(&self, run: &RunId, delivery: &Delivery) -> Result<(), StoreError> {
        let (run, delivery) = (run.clone(), delivery.clone());
        self.on_thread(move |root| run_files::put_delivery(root, &run, &delivery)).await
    }

    async fn token(&self, run: &RunId) -> Option<PayloadToken> {
        let run = run.clone();
        self.on_thread(move |root| run_files::token(root, &run)).await
    }

    async fn discard_work(&self, run: &RunId) -> Result<(), StoreError> {
        let run = run.clone();
        self.on_thread(move |root| run_files::discard_work(root, &run)).await
    }

    async fn room(&self) -> Option<Room> {
        self.on_thread(move |root| disk::room(root).ok()).await
    }

    async fn clear(&self, run: &RunId) -> Result<(), StoreError> {
        let run = run.clone();
        self.on_thread(move |root| run_files::clear(root, &run)).await
    }
}

#[cfg(test)]
mod tests;
