//! What the loops beside the core are to ask the server.

use super::{Core, Post, Slot};
use crate::domain::gpu::GpuClaim;
use crate::domain::run::{Phase, RunRecord};
use crate::domain::worker::Intent;
use crate::engine::poll::{Demand, TaskDemand, WorkerDemand};
impl Core {
    /// Tells the loops beside us what is wanted now.
    pub(super) fn publish(&self) {
        let demand = Demand {
            eager: self.eager,
            // Who rests takes nothing, whatever the driver says.
            gpus: self.idle_posts().any(|post| post.worker.gpus != GpuClaim::None && self.paused(post).is_none()),
            queues: self
                .idle_posts()
                .flat_map(|post| post.worker.queues.iter().map(|queue| queue.id.clone()))
                .collect(),
            workers: self.posts.values().flat_map(|post| self.worker_demands(post)).collect(),
            tasks: self.runs.values().filter(|slot| announced(slot)).map(task_demand).collect(),
        };
        self.demand.send_if_modified(|current| {
            let moved = *current != demand;
            *current = demand;
            moved
        });
    }

    /// The Worker, and beside one with dynamic GPUs each of its Runs, as clearml-agent shows them.
    fn worker_demands(&self, post: &Post) -> Vec<WorkerDemand> {
        let known = post.active.iter().filter_map(|run| self.runs.get(run)).filter(|slot| announced(slot));
        let tasks: Vec<&RunRecord> = known.map(|slot| &slot.record).collect();
        let at = |record: &RunRecord| (record.task.clone(), record.queue.id.clone());
        let (served, own): (Vec<&RunRecord>, Vec<&RunRecord>) =
            tasks.into_iter().partition(|record| record.served_as.is_some());
        let active = post.worker.intent == Intent::Active && !post.worker.queues.is_empty();
        let parent = WorkerDemand {
            name: post.worker.name.clone(),
            queues: post.worker.queues.iter().map(|queue| queue.id.clone()).collect(),
            gpus: post.worker.gpus.clone(),
            task: own.first().map(|record| at(record)),
            present: !post.active.is_empty() || active,
        };
        let child = |record: &RunRecord| WorkerDemand {
            name: record.worker_id().clone(),
            queues: vec![record.queue.id.clone()],
            gpus: record.gpus.clone(),
            task: Some(at(record)),
            present: true,
        };
        std::iter::once(parent).chain(served.into_iter().map(child)).collect()
    }
}

/// Whether the server was told that we have the task.
fn announced(slot: &Slot) -> bool {
    match &slot.record.phase {
        Phase::Claimed(claimed) => claimed.announced,
        Phase::Prepared(_) | Phase::Running(_) => !slot.orphaned,
        Phase::Exited(_) | Phase::Settled(_) => false,
    }
}

/// Whether its task came out of the queue and nothing more is known yet.
pub(super) fn popped(record: &RunRecord) -> bool {
    matches!(&record.phase, Phase::Claimed(claimed) if claimed.popped)
}

/// Whether its task is about to come out of the queue.
pub(super) fn intended(record: &RunRecord) -> bool {
    matches!(&record.phase, Phase::Claimed(claimed) if !claimed.popped)
}

fn task_demand(slot: &Slot) -> TaskDemand {
    let record = &slot.record;
    TaskDemand { run: record.id.clone(), task: record.task.clone(), worker: record.worker_id().clone() }
}
