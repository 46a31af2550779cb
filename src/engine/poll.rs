//! One poller for the host: one request asks for all queues that any idle Worker serves.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, sleep};

use super::core::News;
use super::ports::{ClearMl, Gpus, LogLevel};
use super::{Backoff, Settings};
use crate::domain::gpu::GpuClaim;
use crate::domain::ids::{QueueId, RunId, TaskId, WorkerName};
use crate::domain::inventory::Driver;

/// What the core wants of the loops beside it; published whenever it changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demand {
    /// Grows when the poller should look again at once: a task was taken, a Worker became idle.
    pub eager: u64,
    /// Whether a Worker among the idle ones has GPUs.
    pub gpus: bool,
    /// Queues that some idle Worker serves.
    pub queues: BTreeSet<QueueId>,
    /// Every Worker, what it serves and what it is at.
    pub workers: Vec<WorkerDemand>,
    /// Tasks that the server believes we run.
    pub tasks: Vec<TaskDemand>,
}

/// A Worker, for its reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerDemand {
    /// Which.
    pub name: WorkerName,
    /// Its queues.
    pub queues: Vec<QueueId>,
    /// Its GPUs.
    pub gpus: GpuClaim,
    /// What it runs.
    pub task: Option<(TaskId, QueueId)>,
    /// Whether it is to be seen at the server: one that is stopped and idle is not.
    pub present: bool,
}

/// A task, for the watcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskDemand {
    /// Our Run.
    pub run: RunId,
    /// Its task.
    pub task: TaskId,
    /// Whose.
    pub worker: WorkerName,
}

/// The level of our own lines in a task's log.
pub const NOTE_LEVEL: LogLevel = LogLevel::Info;

/// Polls for ever.
pub async fn run(
    clearml: Arc<dyn ClearMl>,
    gpus: Arc<dyn Gpus>,
    settings: watch::Receiver<Arc<Settings>>,
    mut demand: watch::Receiver<Demand>,
    news: mpsc::Sender<News>,
) {
    let interval = || settings.borrow().poll_interval;
    let calm = || Backoff::new(interval().max(Duration::from_secs(1)), Duration::from_secs(60));
    let mut backoff = calm();
    loop {
        let (queues, eager, on_gpus): (Vec<QueueId>, u64, bool) = {
            let demand = demand.borrow_and_update();
            (demand.queues.iter().cloned().collect(), demand.eager, demand.gpus)
        };
        if queues.is_empty() {
            if demand.changed().await.is_err() {
                return;
            }
            continue;
        }
        let answer = clearml.queue_heads(&queues).await;
        let pause = match &answer {
            Ok(_) => {
                backoff = calm();
                interval()
            }
            Err(_) => backoff.step(),
        };
        let failed = answer.is_err();
        let waiting = answer.as_ref().is_ok_and(|views| views.iter().any(|view| view.head.is_some()));
        if waiting && on_gpus && gpus.seen().driver != Driver::Absent {
            // What has been begun or has ended on a GPU since the last look counts now, and only now: an idle host's
            // driver is left alone.
            gpus.look(Duration::ZERO).await;
        }
        if news.send(News::Queues { asked: queues, answer }).await.is_err() {
            return;
        }
        // Cancel-safe: both arms only wait.
        tokio::select! {
            () = sleep(pause) => {}
            moved = demand.wait_for(|demand| demand.eager != eager), if !failed => {
                if moved.is_err() {
                    return;
                }
            }
        }
    }
}
