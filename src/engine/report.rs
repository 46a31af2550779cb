//! Tells the server of our Workers: registration, status reports with the machine's figures, pings of running tasks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::poll::{Demand, WorkerDemand};
use super::ports::{ClearMl, Machine, ServerError, WorkerReport};
use super::{Settings, World};
use crate::domain::gpu::GpuClaim;
use crate::domain::ids::{TaskId, WorkerName};
use crate::domain::inventory::Inventory;
use crate::domain::machine::MachineStats;

/// What the server was last told of a Worker.
#[derive(Debug)]
struct Told {
    state: WorkerDemand,
    at: Instant,
}

/// Reports for ever: at once when a Worker's state changes, and every interval with figures.
pub async fn run(
    world: World,
    settings: watch::Receiver<Arc<Settings>>,
    mut demand: watch::Receiver<Demand>,
    mut machine: Box<dyn Machine>,
) {
    let mut told: HashMap<WorkerName, Told> = HashMap::new();
    let mut pinged: HashMap<TaskId, Instant> = HashMap::new();
    loop {
        let settings = Arc::clone(&settings.borrow());
        let wanted = demand.borrow_and_update().clone();
        leave(&world, &mut told, &wanted).await;
        let due = due(&told, &wanted.workers, settings.report_interval);
        if !due.is_empty() {
            let stats = machine.sample();
            let gpus = gpus(&world, &due, settings.report_interval).await;
            tell(&world, &mut told, due, &stats, &gpus).await;
        }
        ping(&world, &mut pinged, &wanted, settings.ping_interval).await;
        let next_look = Instant::now() + settings.report_interval.min(Duration::from_secs(2));
        // Cancel-safe: both arms only wait; what changed is read at the top.
        tokio::select! {
            () = sleep_until(next_look) => {}
            changed = demand.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// One look for all Workers, however many there are and however often they change; none for those without GPUs.
async fn gpus(world: &World, due: &[WorkerDemand], interval: Duration) -> Arc<Inventory> {
    if due.iter().all(|worker| worker.gpus == GpuClaim::None) {
        return world.gpus.seen();
    }
    world.gpus.look(interval / 2).await
}

fn due(told: &HashMap<WorkerName, Told>, workers: &[WorkerDemand], interval: Duration) -> Vec<WorkerDemand> {
    let due = |worker: &&WorkerDemand| {
        told.get(&worker.name).is_none_or(|told| told.state != **worker || told.at.elapsed() >= interval)
    };
    workers.iter().filter(|worker| worker.present).filter(due).cloned().collect()
}

/// Unregisters Workers that are no longer to be seen.
async fn leave(world: &World, told: &mut HashMap<WorkerName, Told>, wanted: &Demand) {
    let present: HashSet<&WorkerName> =
        wanted.workers.iter().filter(|worker| worker.present).map(|worker| &worker.name).collect();
    let gone: Vec<WorkerName> = told.keys().filter(|name| !present.contains(name)).cloned().collect();
    for name in gone {
        match world.clearml.unregister(&name).await {
            Err(error) if error.retryable() => tracing::debug!(%error, CLEARML_WORKER = %name, "not unregistered yet"),
            Ok(()) | Err(_) => {
                told.remove(&name);
            }
        }
    }
}

async fn tell(
    world: &World,
    told: &mut HashMap<WorkerName, Told>,
    due: Vec<WorkerDemand>,
    stats: &MachineStats,
    gpus: &Inventory,
) {
    let calls = due.into_iter().map(|worker| {
        let new = told.get(&worker.name).is_none_or(|told| told.state.queues != worker.queues);
        let clearml = Arc::clone(&world.clearml);
        let at = world.clock.now();
        async move {
            let report = WorkerReport {
                worker: worker.name.clone(),
                queues: worker.queues.clone(),
                task: worker.task.clone(),
                stats: Some(MachineStats { gpus: gpus.stats(&worker.gpus), ..stats.clone() }),
                at,
            };
            let done = introduce_and_report(clearml.as_ref(), &worker, &report, new).await;
            (worker, done)
        }
    });
    for (worker, done) in join_all(calls).await {
        match done {
            Ok(()) => {
                told.insert(worker.name.clone(), Told { state: worker, at: Instant::now() });
            }
            // A task that is gone still counts as told: the watcher sees it too.
            Err(error) if !error.retryable() => {
                tracing::warn!(CLEARML_WORKER = %worker.name, %error, "the server does not take this worker's report");
                told.insert(worker.name.clone(), Told { state: worker, at: Instant::now() });
            }
            Err(error) => tracing::debug!(CLEARML_WORKER = %worker.name, %error, "not reported"),
        }
    }
}

async fn introduce_and_report(
    clearml: &dyn ClearMl,
    worker: &WorkerDemand,
    report: &WorkerReport,
    new: bool,
) -> Result<(), ServerError> {
    if new {
        clearml.register(&worker.name, &worker.queues).await?;
    }
    clearml.report(report).await
}

async fn ping(world: &World, pinged: &mut HashMap<TaskId, Instant>, wanted: &Demand, interval: Duration) {
    pinged.retain(|task, _| wanted.tasks.iter().any(|wanted| wanted.task == *task));
    let due: Vec<TaskId> = wanted
        .tasks
        .iter()
        .map(|task| &task.task)
        .filter(|task| pinged.get(task).is_none_or(|at| at.elapsed() >= interval))
        .cloned()
        .collect();
    let calls = due.into_iter().map(|task| async move { (world.clearml.ping(&task).await, task) });
    for (done, task) in join_all(calls).await {
        if done.is_ok() {
            pinged.insert(task, Instant::now());
        }
    }
}

/// When the daemon goes: Workers without a task leave the server's list at once; those with one stay, since their Runs
/// go on and a daemon that comes back adopts them.
pub async fn farewell(world: &World, last: &Demand) {
    let calls = last
        .workers
        .iter()
        .filter(|worker| worker.present && worker.task.is_none())
        .map(|worker| world.clearml.unregister(&worker.name));
    let _ = timeout(Duration::from_secs(5), join_all(calls)).await;
}
