use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::mortal;
use crate::domain::disk::Room;
use crate::domain::handover::{ExitRecord, Progress, RunSpec, Secrets, StopRequest};
use crate::domain::health::Health;
use crate::domain::ids::{RunId, WorkerName};
use crate::domain::log::Delivery;
use crate::domain::reservation::Reservations;
use crate::domain::run::{Phase, RunRecord};
use crate::domain::worker::Worker;
use crate::engine::ports::{Loaded, PayloadToken, Store, StoreError};

type Result<T> = std::result::Result<T, StoreError>;

/// The state directory.
#[derive(Debug)]
pub(super) struct Mortal(pub(super) Arc<dyn Store>);

/// What of a Run's life a record commits.
fn commit(run: &RunRecord) -> String {
    let moment = match &run.phase {
        Phase::Claimed(claimed) if claimed.announced => "announced",
        Phase::Claimed(claimed) if claimed.popped => "popped",
        Phase::Claimed(_) => "intent",
        Phase::Prepared(_) | Phase::Running(_) | Phase::Exited(_) | Phase::Settled(_) => run.phase_name(),
    };
    let stop = if run.stop.is_some() && run.exited().is_none() { ".stop" } else { "" };
    format!("commit.{moment}{stop}")
}

/// What of its output's delivery.
fn kept(delivery: &Delivery) -> &'static str {
    match delivery {
        Delivery { pending: Some(_), .. } => "delivery.pending",
        Delivery { closing: Some(_), .. } => "delivery.closing",
        Delivery { pending: None, closing: None, .. } => "delivery.acknowledged",
    }
}

#[async_trait]
impl Store for Mortal {
    fn root(&self) -> &Path {
        self.0.root()
    }
    fn run_directory(&self, run: &RunId) -> PathBuf {
        self.0.run_directory(run)
    }
    async fn load(&self) -> Result<Loaded> {
        mortal("load", self.0.load()).await
    }
    async fn put_worker(&self, worker: &Worker) -> Result<()> {
        mortal("put_worker", self.0.put_worker(worker)).await
    }
    async fn drop_worker(&self, worker: &WorkerName) -> Result<()> {
        mortal("drop_worker", self.0.drop_worker(worker)).await
    }
    async fn put_run(&self, run: &RunRecord) -> Result<()> {
        mortal(&commit(run), self.0.put_run(run)).await
    }
    async fn drop_run(&self, run: &RunId) -> Result<()> {
        mortal("drop_run", self.0.drop_run(run)).await
    }
    async fn put_draining(&self, draining: bool) -> Result<()> {
        mortal("put_draining", self.0.put_draining(draining)).await
    }
    async fn put_health(&self, health: &Health) -> Result<()> {
        mortal("put_health", self.0.put_health(health)).await
    }
    async fn put_reservations(&self, all: &Reservations) -> Result<()> {
        mortal("put_reservations", self.0.put_reservations(all)).await
    }
    async fn prepare(&self, spec: &RunSpec, secrets: &Secrets, token: &PayloadToken) -> Result<()> {
        mortal("prepare", self.0.prepare(spec, secrets, token)).await
    }
    async fn spec(&self, run: &RunId) -> Option<RunSpec> {
        self.0.spec(run).await
    }
    async fn note(&self, run: &RunId, line: &str) -> Result<()> {
        mortal("note", self.0.note(run, line)).await
    }
    async fn progress(&self, run: &RunId) -> Option<Progress> {
        self.0.progress(run).await
    }
    async fn exit(&self, run: &RunId) -> Result<Option<ExitRecord>> {
        mortal("exit", self.0.exit(run)).await
    }
    async fn put_stop(&self, run: &RunId, stop: &StopRequest) -> Result<()> {
        mortal("put_stop", self.0.put_stop(run, stop)).await
    }
    async fn read_spool(&self, run: &RunId, offset: u64, most: usize) -> Result<Vec<u8>> {
        self.0.read_spool(run, offset, most).await
    }
    async fn trim_spool(&self, run: &RunId, offset: u64) -> Result<()> {
        mortal("trim_spool", self.0.trim_spool(run, offset)).await
    }
    async fn delivery(&self, run: &RunId) -> Delivery {
        self.0.delivery(run).await
    }
    async fn put_delivery(&self, run: &RunId, delivery: &Delivery) -> Result<()> {
        mortal(kept(delivery), self.0.put_delivery(run, delivery)).await
    }
    async fn token(&self, run: &RunId) -> Option<PayloadToken> {
        self.0.token(run).await
    }
    async fn discard_work(&self, run: &RunId) -> Result<()> {
        mortal("discard_work", self.0.discard_work(run)).await
    }
    async fn room(&self) -> Option<Room> {
        self.0.room().await
    }
    async fn clear(&self, run: &RunId) -> Result<()> {
        mortal("clear", self.0.clear(run)).await
    }
}
