//! What others say of a Worker's work: its hours, its runtime property at the server, the tags of its queues.
//!
//! Tags come with the one poll. A property is asked for only when a task waits that depends on it, at most once a minute
//! and Worker: idle Workers cost nothing, and a server without such properties is asked once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use tokio::time::{Duration, Instant};

use super::{Core, News, Post};
use crate::domain::hours::{KeptHours, LocalHour};
use crate::domain::ids::{QueueId, TaskId, UnixMillis, WorkerName};
use crate::domain::schedule::{Force, Paused, Property, Standing, tagged};
use crate::domain::task::QueueView;
use crate::domain::worker::Worker;
use crate::engine::ports::{Forced, ServerError};

/// How long an answer about a property counts.
const FRESH: Duration = Duration::from_secs(60);

/// What came of asking for properties.
pub(super) type Answers = Vec<(WorkerName, Result<Forced, ServerError>)>;

/// What was last heard of these things.
#[derive(Debug, Default)]
pub(super) struct Control {
    queues: BTreeMap<QueueId, Sight>,
    support: Support,
    forced: BTreeMap<WorkerName, Answer>,
    /// A question is on its way.
    asked: bool,
}

/// What the poll last saw of a queue.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    pub(super) at: UnixMillis,
    /// None: the server has no such queue.
    pub(super) view: Option<QueueView>,
    /// What was first in it has been taken; what is now, the next poll says.
    pub(super) taken: bool,
}

/// Whether the server has runtime properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Support {
    #[default]
    Untried,
    Has,
    Lacks,
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    force: Option<Force>,
    at: Instant,
}

impl Control {
    /// What the poll last saw of that queue.
    pub(super) fn sight(&self, queue: &QueueId) -> Option<&Sight> {
        self.queues.get(queue)
    }

    /// What was first in which queue, with the queue's name.
    pub(super) fn heads(&self) -> impl Iterator<Item = (&QueueId, &str, &TaskId)> {
        self.queues.iter().filter_map(|(id, sight)| {
            let view = sight.view.as_ref()?;
            Some((id, view.name.as_str(), view.head.as_ref()?))
        })
    }

    /// That task is first there no more.
    pub(super) fn took(&mut self, queue: &QueueId, task: &TaskId) {
        let Some(sight) = self.queues.get_mut(queue) else { return };
        if let Some(view) = sight.view.as_mut().filter(|view| view.head.as_ref() == Some(task)) {
            (view.head, sight.taken) = (None, true);
        }
    }

    /// The server may be another one by now.
    pub(super) fn try_again(&mut self) {
        self.support = Support::Untried;
    }

    fn property(&self, worker: &WorkerName) -> Property {
        match (self.support, self.forced.get(worker)) {
            (Support::Lacks, _) => Property::Is(None),
            (Support::Untried | Support::Has, Some(answer)) if answer.at.elapsed() < FRESH => {
                Property::Is(answer.force)
            }
            (Support::Untried | Support::Has, _) => Property::Unknown,
        }
    }

    /// As [`Control::property`], for people: also what is old by now.
    fn last_property(&self, worker: &WorkerName) -> Option<Force> {
        self.forced.get(worker).and_then(|answer| answer.force)
    }
}

impl Core {
    /// Keeps what the poll saw.
    pub(super) fn note_queues(&mut self, asked: &[QueueId], views: &[QueueView]) {
        let at = self.world.clock.now();
        for queue in asked {
            let view = views.iter().find(|view| view.id == *queue).cloned();
            self.control.queues.insert(queue.clone(), Sight { at, view, taken: false });
        }
        let served =
            |id: &QueueId| self.posts.values().any(|post| post.worker.queues.iter().any(|queue| queue.id == *id));
        self.control.queues.retain(|id, _| served(id));
        self.refusals.retain(served);
    }

    /// The hours that it keeps: its own, or the host's.
    pub(super) fn hours(&self, worker: &Worker) -> KeptHours {
        self.settings.borrow().hours.of(&worker.timetable)
    }

    pub(super) fn standing(&self, post: &Post, now: LocalHour) -> Standing {
        let hours = self.hours(&post.worker).timetable.check(now);
        Standing { property: self.control.property(&post.worker.name), hours }
    }

    /// As [`Core::standing`], as far as is known now: for people.
    pub(super) fn standing_known(&self, post: &Post) -> Standing {
        let property = Property::Is(self.control.last_property(&post.worker.name));
        Standing { property, hours: self.hours(&post.worker).timetable.check(self.world.clock.local()) }
    }

    /// Why it takes nothing although nothing is wrong, as far as is known now.
    pub(super) fn paused(&self, post: &Post) -> Option<Paused> {
        let standing = self.standing_known(post);
        let tags = |id: &QueueId| self.control.sight(id).and_then(|sight| sight.view.as_ref()).map(|view| &view.tags);
        let of_queues = post.worker.queues.iter().map(|queue| {
            let tags = tags(&queue.id).map(Vec::as_slice).unwrap_or_default();
            (tagged(tags), standing.takes(tags).and_then(Result::err))
        });
        let verdicts: Vec<(Option<Force>, Option<Paused>)> = of_queues.collect();
        if verdicts.iter().any(|(_, paused)| paused.is_none()) {
            return None;
        }
        // What holds the Worker itself tells more than the tag of one of its queues.
        verdicts.iter().find(|(tag, _)| tag.is_none()).or(verdicts.first()).and_then(|(_, paused)| *paused)
    }

    /// For `status`: who rests, and why; one sentence a reason.
    pub(super) fn resting(&self) -> Vec<String> {
        let mut resting: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for post in self.posts.values() {
            if let Some(paused) = self.paused(post) {
                resting.entry(paused.to_string()).or_default().push(post.worker.name.as_str());
            }
        }
        resting.into_iter().map(|(why, workers)| format!("{why}: {}", workers.join(", "))).collect()
    }

    /// Asks the server for the properties of these Workers, beside the loop. Whether the server has any is found out with
    /// one of them.
    pub(super) fn ask_for_properties(&mut self, mut workers: Vec<WorkerName>) {
        if self.control.asked || workers.is_empty() {
            return;
        }
        if self.control.support == Support::Untried {
            workers.truncate(1);
        }
        self.control.asked = true;
        let (clearml, news) = (Arc::clone(&self.world.clearml), self.news_in.clone());
        self.errands.spawn(async move {
            let ask = |worker: WorkerName| {
                let clearml = Arc::clone(&clearml);
                async move {
                    let forced = clearml.forced(&worker).await;
                    (worker, forced)
                }
            };
            let answers = join_all(workers.into_iter().map(ask)).await;
            let _ = news.send(News::Forced(answers)).await;
        });
    }

    /// Takes the answers in. A question that failed counts as its answer of before: a server that cannot say it must not
    /// stop the work.
    pub(super) fn forced(&mut self, answers: Answers) {
        self.control.asked = false;
        let at = Instant::now();
        for (worker, answer) in answers {
            let force = match answer {
                Ok(Forced::Unsupported) => {
                    self.control.support = Support::Lacks;
                    self.control.forced.clear();
                    continue;
                }
                Ok(Forced::Is(force)) => {
                    self.control.support = Support::Has;
                    force
                }
                Err(error) => {
                    tracing::debug!(CLEARML_WORKER = %worker, %error, "its runtime properties are not known");
                    self.control.last_property(&worker)
                }
            };
            self.control.forced.insert(worker, Answer { force, at });
        }
        let posts = &self.posts;
        self.control.forced.retain(|worker, _| posts.contains_key(worker));
        self.eager += 1;
    }
}
