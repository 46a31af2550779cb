//! What the loops beside the core are to ask the server.

use super::{Core, Post, Slot};
use crate::domain::run::{Phase, RunRecord};
use crate::domain::worker::Intent;
use crate::engine::poll::{Demand, TaskDemand, WorkerDemand};
impl Core {
    /// Tells the loops beside us what is wanted now.
    pub(super) fn publish(&self) {
        let demand = Demand {
            eager: self.eager,
            queues: self
                .idle_posts()
                .flat_map(|post| post.worker.queues.iter().map(|queue| queue.id.clone()))
                .collect(),
            workers: self.posts.values().map(|post| self.worker_demand(post)).collect(),
            tasks: self.runs.values().filter(|slot| announced(slot)).map(task_demand).collect(),
        };
        self.demand.send_if_modified(|current| {
            let moved = *current != demand;
            *current = demand;
            moved
        });
    }

    fn worker_demand(&self, post: &Post) -> WorkerDemand {
        let slot = post.active.as_ref().and_then(|run| self.runs.get(run)).filter(|slot| announced(slot));
        let task = slot.map(|slot| (slot.record.task.clone(), slot.record.queue.id.clone()));
        let active = post.worker.intent == Intent::Active && !post.worker.queues.is_empty();
        let present = post.active.is_some() || active;
        let queues = post.worker.queues.iter().map(|queue| queue.id.clone()).collect();
        let gpus = post.worker.gpus.clone();
        WorkerDemand { name: post.worker.name.clone(), queues, gpus, task, present }
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

fn task_demand(slot: &Slot) -> TaskDemand {
    let record = &slot.record;
    TaskDemand { run: record.id.clone(), task: record.task.clone(), worker: record.worker.clone() }
}
