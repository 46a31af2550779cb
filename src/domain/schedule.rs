//! Which Worker asks which Queue next: a pure decision over what the one poll saw.

use std::collections::BTreeMap;
use std::fmt;

use super::hours::Outside;
use super::ids::{QueueId, TaskId, WorkerName};
use super::task::QueueView;
use super::worker::QueueRef;

/// A Worker with nothing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// Which.
    pub worker: WorkerName,
    /// Its queues, in order.
    pub queues: Vec<QueueRef>,
    /// With order fairness: the position in `queues` to begin with. 0 otherwise.
    pub cursor: usize,
    /// What decides whether it takes tasks where the queue's tags do not.
    pub standing: Standing,
    /// Of each queue; where there is none, it is open.
    pub gates: Vec<Gate>,
}

/// Whether a Worker can take the next task of a queue, as far as its GPUs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It can.
    Open,
    /// Its GPUs are free when a Run has ended. A task there holds up the queues after it, so that it comes to its turn
    /// however many small ones there are. So does one of which it is not known yet whether it may be taken.
    Wait,
    /// It cannot, whichever of our Runs end: the queue is passed over.
    Shut,
}

/// What somebody wants of a Worker or a Queue by force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It takes tasks, whatever its hours are.
    On,
    /// It takes none.
    Off,
}

/// Whether a Worker takes tasks, as far as it is about the Worker itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its runtime property `force`.
    pub property: Property,
    /// Whether it is in its hours.
    pub hours: Result<(), Outside>,
}

/// What is known of a Worker's runtime property `force`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Property {
    /// The server has to be asked before it matters.
    Unknown,
    /// What the server said; nothing, also where it has no such properties.
    Is(Option<Force>),
}

/// Why a Worker takes nothing although it could.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paused {
    /// The queue has the tag `force_workers:off`.
    QueueOff,
    /// The Worker's runtime property `force` is `off`.
    WorkerOff,
    /// It is outside its hours.
    Outside(Outside),
}

/// A pop that is worth a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pop {
    /// For whom.
    pub worker: WorkerName,
    /// From where.
    pub queue: QueueRef,
    /// Position of the queue in the Worker's list.
    pub position: usize,
    /// What was seen at the queue's head.
    pub head: TaskId,
}

/// At most one pop a queue and a worker: the poll shows one entry of each queue, and after a pop it is asked again at
/// once. Workers come in the order given, so that the caller decides who has waited longest.
#[must_use]
pub fn plan(idle: &[Idle], queues: &[QueueView]) -> Vec<Pop> {
    let mut waiting = waiting(queues);
    let mut pops = Vec::new();
    for worker in idle {
        let count = worker.queues.len();
        let order = (0..count).map(|step| (worker.cursor + step) % count);
        let gate = |position: &usize| {
            let (_, tags) = waiting.get(&worker.queues[*position].id)?;
            match worker.standing.takes(tags) {
                Some(Ok(())) => Some(worker.gates.get(*position).copied().unwrap_or(Gate::Open)),
                Some(Err(_)) => None,
                // Its turn does not go to a later queue while that is asked for.
                None => Some(Gate::Wait),
            }
        };
        let gates = order.filter_map(|position| Some((position, gate(&position)?)));
        let mut reached = gates.take_while(|(_, gate)| *gate != Gate::Wait);
        let found = reached.find(|(_, gate)| *gate == Gate::Open);
        let found = found.and_then(|(position, _)| {
            let queue = &worker.queues[position];
            let (head, _) = waiting.remove(&queue.id)?;
            Some((position, queue, head))
        });
        if let Some((position, queue, head)) = found {
            pops.push(Pop { worker: worker.worker.clone(), queue: queue.clone(), position, head: head.clone() });
        }
    }
    pops
}

/// Workers whose runtime property has to be asked for, since a task waits that depends on it. Of those with empty
/// queues it does not matter, so that idle Workers cost no request.
#[must_use]
pub fn undecided(idle: &[Idle], queues: &[QueueView]) -> Vec<WorkerName> {
    let waiting = waiting(queues);
    let depends = |worker: &&Idle| {
        let mut heads = worker.queues.iter().filter_map(|queue| waiting.get(&queue.id));
        heads.any(|(_, tags)| worker.standing.takes(tags).is_none())
    };
    idle.iter().filter(depends).map(|worker| worker.worker.clone()).collect()
}

/// The first entry and the tags of every queue that has one.
fn waiting(queues: &[QueueView]) -> BTreeMap<&QueueId, (&TaskId, &[String])> {
    queues.iter().filter_map(|queue| Some((&queue.id, (queue.head.as_ref()?, queue.tags.as_slice())))).collect()
}

/// What a queue's tags say; off wins, as in clearml-agent.
#[must_use]
pub fn tagged(tags: &[String]) -> Option<Force> {
    let has = |wanted: &str| tags.iter().any(|tag| tag == wanted);
    match (has("force_workers:off"), has("force_workers:on")) {
        (true, _) => Some(Force::Off),
        (false, true) => Some(Force::On),
        (false, false) => None,
    }
}

// === impl Standing ===

impl Standing {
    /// For a Worker that nobody has told anything.
    pub const PLAIN: Self = Self { property: Property::Is(None), hours: Ok(()) };

    /// Whether the Worker takes tasks of a queue with these tags, in clearml-agent's order: the tags, the property, the
    /// hours. None: the property must be known first.
    #[must_use]
    pub fn takes(&self, tags: &[String]) -> Option<Result<(), Paused>> {
        Some(match (tagged(tags), self.property, self.hours) {
            (Some(Force::Off), _, _) => Err(Paused::QueueOff),
            (Some(Force::On), _, _) => Ok(()),
            (None, Property::Unknown, _) => return None,
            (None, Property::Is(Some(Force::Off)), _) => Err(Paused::WorkerOff),
            (None, Property::Is(Some(Force::On)), _) => Ok(()),
            (None, Property::Is(None), hours) => hours.map_err(Paused::Outside),
        })
    }
}

// === impl Force ===

impl Force {
    /// From the value of the property; clearml-agent takes no notice of others, and of case.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        match value.trim().to_ascii_lowercase().as_str() {
            "on" => Some(Self::On),
            "off" => Some(Self::Off),
            _ => None,
        }
    }
}

impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueOff => f.write_str("its queue is tagged force_workers:off"),
            Self::WorkerOff => f.write_str("forced off by its runtime property `force` at the server"),
            Self::Outside(outside) => outside.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests;
