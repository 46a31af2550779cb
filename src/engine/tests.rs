//! The engine against a server in memory and programs that end when they are told. Time is paused.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::handle::{EngineError, Handle, RunView, ServerLink, WorkerActivity, WorkerDraft};
use super::ports::*;
use super::*;
use crate::domain::cause::Cause;
use crate::domain::gpu::GpuClaim;
use crate::domain::handover::{End, ExitRecord, Progress, RunSpec, Secrets, StopRequest};
use crate::domain::ids::{RunId, StateId, WorkerName};
use crate::domain::log::Delivery;
use crate::domain::run::{Phase, RunRecord};
use crate::domain::stop::StopReason;
use crate::domain::task::TaskStatus;
use crate::domain::worker::Worker;
use crate::fakes::{FakeClearMl, FakeClock, FakeDeclarations, FakeGpus, FakeLauncher, FakeMachine, FakeOutfitter};
use crate::host::store::{FileStore, StateDirectory};

mod crash;
mod declared;
mod dynamic;
mod explain;
mod gpus;
mod health;
mod life;
mod requeue;
mod reservations;
mod sandbox;
mod schedule;
mod sharing;
mod workers;

/// What outlives a daemon: the disk, the programs, the server.
struct Host {
    disk: tempfile::TempDir,
    clearml: Arc<FakeClearMl>,
    clock: Arc<FakeClock>,
    launcher: Arc<FakeLauncher>,
    gpus: Arc<FakeGpus>,
    declarations: Arc<FakeDeclarations>,
}

fn settings() -> Settings {
    Settings { host: "host".into(), keep_runs: 50, ..Settings::default() }
}

/// A daemon's life.
struct Daemon {
    handle: Handle,
    task: JoinHandle<()>,
    bye: oneshot::Sender<()>,
}

impl Host {
    fn new() -> Self {
        let disk = tempfile::tempdir().expect("a directory");
        let declarations = Arc::new(FakeDeclarations::default());
        declarations.set(settings());
        Self {
            disk,
            clearml: Arc::default(),
            clock: Arc::default(),
            launcher: Arc::default(),
            gpus: Arc::default(),
            declarations,
        }
    }

    fn store(&self) -> FileStore {
        let place = self.disk.path().join("state");
        for _ in 0..200 {
            if let Ok(directory) = StateDirectory::open(&place, StateId::new("s").expect("an id")) {
                return FileStore::new(directory);
            }
            // A thread of the daemon before is at its last write. Its time is not paused.
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nobody else has it");
    }

    async fn start(&self) -> Daemon {
        self.start_with(Arc::new(self.store())).await
    }

    async fn start_with(&self, store: Arc<dyn Store>) -> Daemon {
        let world = World {
            clearml: self.clearml.clone(),
            link: watch::channel(ServerLink::Up { since: crate::domain::ids::UnixMillis(0) }).1,
            launcher: self.launcher.clone(),
            store,
            outfitter: Arc::new(FakeOutfitter { caches: self.disk.path().join("cache") }),
            gpus: self.gpus.clone(),
            declarations: self.declarations.clone(),
            clock: self.clock.clone(),
        };
        let (engine, handle) = Engine::adopt(world, settings(), Box::new(FakeMachine)).await.expect("adopted");
        let (bye, shutdown) = oneshot::channel();
        #[expect(clippy::disallowed_methods, reason = "the test owns it")]
        let task = tokio::spawn(async {
            let shutdown = async {
                let _ = shutdown.await;
            };
            engine.run(shutdown).await.expect("no loop ends by itself");
        });
        Daemon { handle, task, bye }
    }
}

impl Daemon {
    /// kill -9, as far as the engine can tell.
    async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        // What it had started is gone with it: at the runtime's next turn, and what that had started at the one after.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn stop(self) {
        let _ = self.bye.send(());
        self.task.await.expect("a clean end");
    }

    async fn add(&self, queues: &[&str]) -> WorkerName {
        let draft = WorkerDraft { queues: queues.iter().map(ToString::to_string).collect(), ..WorkerDraft::default() };
        self.handle.add_worker(draft).await.expect("added").worker.name
    }

    async fn until<T>(&self, what: &str, look: impl Fn(&[RunView]) -> Option<T>) -> T {
        for _ in 0..2000 {
            if let Some(found) = look(&self.handle.runs().await.expect("runs")) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("never: {what}; {:#?}", self.handle.runs().await)
    }

    async fn running(&self, task: &str) -> RunId {
        let found = |runs: &[RunView]| {
            runs.iter()
                .find(|run| run.record.task.as_str() == task && matches!(run.record.phase, Phase::Running(_)))
                .map(|run| run.record.id.clone())
        };
        self.until(&format!("{task} runs"), found).await
    }

    async fn settled(&self, task: &str) -> RunView {
        let found = |runs: &[RunView]| {
            runs.iter()
                .find(|run| run.record.task.as_str() == task && matches!(run.record.phase, Phase::Settled(_)))
                .cloned()
        };
        self.until(&format!("{task} is settled"), found).await
    }
}

fn log_of(host: &Host, task: &str) -> String {
    let state = host.clearml.lock();
    let mut log = state.tasks[&crate::domain::ids::TaskId::new(task).expect("an id")].log.clone();
    log.sort();
    log.into_iter().map(|(_, text)| text).collect()
}
