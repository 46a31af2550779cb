//! What the daemon knows of a Worker, a task or a GPU, laid before [`crate::domain::explain`].

use super::{Core, Post, Slot};
use crate::domain::explain::{
    self, Finding, GpuFacts, Gpus, HostFacts, QueueFacts, Seen, Server, Sight, TaskFacts, Wanting, WorkerFacts,
};
use crate::domain::gpu::{GpuClaim, GpuId};
use crate::domain::ids::{QueueId, UnixMillis, WorkerName};
use crate::domain::inventory::Driver;
use crate::domain::lease::Unit;
use crate::domain::lending::{Portion, Share};
use crate::domain::withheld::Withheld;
use crate::domain::worker::{Intent, QueueRef};
use crate::engine::handle::{EngineError, ServerLink, Subject};

/// A unit that is not lent, why, and the Worker of the Run that holds it.
type Kept = (GpuId, Withheld, Option<WorkerName>);

impl Core {
    pub(super) fn explain(&self, subject: &Subject) -> Result<Vec<Finding>, EngineError> {
        match subject {
            Subject::Worker(name) => Ok(self.explain_post(self.post(name)?)),
            Subject::Task(key) => Ok(self.explain_task(key)),
            Subject::Gpu(id) => self.explain_gpu(id),
        }
    }

    fn explain_post(&self, post: &Post) -> Vec<Finding> {
        explain::worker(&self.worker_facts(post), &self.host_facts())
    }

    fn host_facts(&self) -> HostFacts {
        let server = match (self.world.clearml.identity().api_url.as_str(), &*self.world.link.borrow()) {
            ("", ServerLink::Unknown | ServerLink::Down { .. }) => Server::NotConfigured,
            (_, ServerLink::Unknown) => Server::Unasked,
            (_, ServerLink::Up { .. }) => Server::Up,
            (_, ServerLink::Down { reason, refused: true, .. }) => Server::Refuses { reason: reason.clone() },
            (_, ServerLink::Down { since, reason, refused: false }) => {
                Server::Away { for_ms: self.ago(*since), reason: reason.clone() }
            }
        };
        HostFacts { server, draining: self.draining, closing: self.closing, disk: self.disk.clone() }
    }

    fn ago(&self, at: UnixMillis) -> u64 {
        self.world.clock.now().0.saturating_sub(at.0)
    }

    fn worker_facts(&self, post: &Post) -> WorkerFacts {
        let worker = &post.worker;
        let runs = post.active.iter().filter_map(|run| self.runs.get(run));
        let problem = self.forbidden(worker);
        WorkerFacts {
            name: worker.name.clone(),
            stopped: worker.intent == Intent::Stopped,
            room: post.active.is_empty() || worker.lending.portions().is_some(),
            runs: runs.map(|slot| (slot.record.id.clone(), slot.record.task.clone())).collect(),
            pending: post.pending_words(),
            // What is said of a queue that is gone, the queue's own finding says better.
            problem: problem.or_else(|| post.problem.clone().filter(|_| worker.queues.is_empty())),
            gpus: self.gpus_of(post),
            queues: self.queues_of(post),
        }
    }

    fn queues_of(&self, post: &Post) -> Vec<QueueFacts> {
        let queues = post.worker.queues.iter().enumerate();
        queues
            .map(|(at, queue)| QueueFacts { wanting: self.wanting(post, at), ..self.queue_facts(post, queue) })
            .collect()
    }

    fn queue_facts(&self, post: &Post, queue: &QueueRef) -> QueueFacts {
        let seen = self.control.sight(&queue.id);
        let view = seen.and_then(|seen| seen.view.as_ref());
        let tags = view.map(|view| view.tags.as_slice()).unwrap_or_default();
        let sight = match (seen, view.map(|view| &view.head)) {
            (None, _) => Sight::Unasked,
            (Some(_), None) => Sight::Gone,
            (Some(seen), Some(None)) if seen.taken => Sight::Taken,
            (Some(seen), Some(None)) => Sight::Empty { ago_ms: self.ago(seen.at) },
            (Some(seen), Some(Some(task))) => Sight::Head { task: task.clone(), ago_ms: self.ago(seen.at) },
        };
        let takes = self.standing_known(post).takes(tags).unwrap_or(Ok(()));
        let refused = self
            .refusals
            .of(&queue.id)
            .map(|(reason, left)| (reason.to_owned(), u64::try_from(left.as_millis()).unwrap_or(u64::MAX)));
        QueueFacts { name: queue.name.clone(), sight, takes, wanting: None, refused }
    }

    /// What keeps it from its GPUs; one that has a Run and lends all to it has them.
    fn gpus_of(&self, post: &Post) -> Gpus {
        let (worker, seen) = (&post.worker, self.world.gpus.seen());
        if worker.lending.portions().is_none() && !post.active.is_empty() {
            return Gpus::Clear;
        }
        let units = match seen.lend(&worker.gpus) {
            Err(why) => return Gpus::Unresolved(why.to_string()),
            Ok(units) => units,
        };
        let kept = self.kept(&units, worker.lending.share());
        let enough = |portions: &[Portion]| portions.iter().all(|one| one.least() + kept.len() <= units.len());
        if units.is_empty() {
            // Nobody knows the hardware: words are what keeps it, or does not.
            self.lender().lease(worker, 0).map_or_else(Gpus::Unresolved, |_| Gpus::Clear)
        } else if kept.is_empty() || worker.lending.portions().is_some_and(enough) {
            Gpus::Clear
        } else {
            Gpus::Withheld(kept)
        }
    }

    /// Whether a task of the queue at `position` is given more GPUs than are free.
    fn wanting(&self, post: &Post, position: usize) -> Option<Wanting> {
        let least = post.worker.lending.portions()?.get(position)?.least();
        let units = self.world.gpus.seen().lend(&post.worker.gpus).ok()?;
        let free = units.len() - self.kept(&units, Share::ALONE).len();
        (least > free).then_some(Wanting { least, free })
    }

    fn kept(&self, units: &[Unit], share: Share) -> Vec<Kept> {
        let lender = self.lender();
        let circumstances = lender.circumstances();
        let kept = units.iter().filter_map(|unit| Some((unit, circumstances.withheld(unit, share)?)));
        kept.map(|(unit, why)| (lender.seen.word(unit), self.holder(&why), why))
            .map(|(gpu, holder, why)| (gpu, why, holder))
            .collect()
    }

    fn holder(&self, why: &Withheld) -> Option<WorkerName> {
        match why {
            Withheld::Held { run } => self.runs.get(run).map(|slot| slot.record.worker.clone()),
            Withheld::Unusable { .. }
            | Withheld::Distrusted { .. }
            | Withheld::Reserved { .. }
            | Withheld::Foreign { .. } => None,
        }
    }

    fn explain_task(&self, key: &str) -> Vec<Finding> {
        let means = |id: &str| id == key || (key.len() >= 4 && id.starts_with(key));
        let mut slots: Vec<&Slot> = self.runs.values().collect();
        slots.retain(|slot| means(slot.record.task.as_str()) || means(slot.record.id.as_str()));
        slots.sort_by_key(|slot| std::cmp::Reverse(slot.record.claimed));
        let runs = slots.iter().map(|slot| (&slot.record, slot.progress.as_ref().map(|progress| progress.stage)));
        let seen = self.control.heads().filter(|(_, _, task)| means(task.as_str()));
        let seen = seen.map(|(id, queue, _)| self.seen_in(id, queue)).collect();
        explain::task(&TaskFacts { key, runs: runs.collect(), seen }, &self.host_facts())
    }

    fn seen_in(&self, id: &QueueId, queue: &str) -> Seen {
        let serves = |post: &&Post| post.worker.queues.iter().any(|queue| queue.id == *id);
        let workers = self.posts.values().filter(serves);
        let workers = workers.map(|post| (post.worker.name.clone(), self.explain_post(post)));
        Seen { queue: queue.to_owned(), workers: workers.collect() }
    }

    fn explain_gpu(&self, id: &GpuId) -> Result<Vec<Finding>, EngineError> {
        let seen = self.world.gpus.seen();
        let claim = GpuClaim::Some([id.clone()].into());
        let driver = match (&seen.driver, seen.silent_seconds) {
            (Driver::Failing { reason }, _) => {
                Some(format!("the NVIDIA driver does not answer as it should, so no GPU is lent: {reason}"))
            }
            (Driver::Asked, None) => Some("the NVIDIA driver has not answered yet".to_owned()),
            (_, Some(seconds)) => Some(format!("the NVIDIA driver has not answered for {seconds} s")),
            (Driver::Absent | Driver::Up { .. }, None) => None,
        };
        let claims = |post: &&Post| seen.overlap(&claim, &post.worker.gpus).is_some();
        let workers: Vec<&Post> = self.posts.values().filter(claims).collect();
        let found = seen.find(id);
        if found.is_none() && (seen.known() || workers.is_empty()) {
            return Err(EngineError::NotFound { kind: "gpu", name: id.to_string() });
        }
        // Of a GPU that is divided, its slices are what is lent.
        let units = seen.resolve(&claim).unwrap_or_default();
        let most = workers.iter().map(|post| post.worker.lending.share()).max();
        let withheld = self.kept(&units, most.unwrap_or(Share::ALONE));
        let workers = workers.iter().map(|post| (post.worker.name.clone(), self.explain_post(post))).collect();
        Ok(explain::gpu(&GpuFacts { gpu: id.clone(), driver, withheld, workers }))
    }
}
