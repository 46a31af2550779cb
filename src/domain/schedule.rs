//! Which Worker asks which Queue next: a pure decision over what the one poll saw.

use std::collections::BTreeMap;

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
    /// Of each queue; where there is none, it is open.
    pub gates: Vec<Gate>,
}

/// Whether a Worker can take the next task of a queue, as far as its GPUs go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It can.
    Open,
    /// Its GPUs are free when a Run has ended. A task there holds up the queues after it, so that it comes to its turn
    /// however many small ones there are.
    Wait,
    /// It cannot, whichever of our Runs end: the queue is passed over.
    Shut,
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
    let mut heads: BTreeMap<&QueueId, &TaskId> = queues
        .iter()
        .filter(|queue| takes_tasks(&queue.tags))
        .filter_map(|queue| Some((&queue.id, queue.head.as_ref()?)))
        .collect();
    let mut pops = Vec::new();
    for worker in idle {
        let count = worker.queues.len();
        let order = (0..count).map(|step| (worker.cursor + step) % count);
        let gate = |position: &usize| worker.gates.get(*position).copied().unwrap_or(Gate::Open);
        let waits = |position: &usize| gate(position) == Gate::Wait && heads.contains_key(&worker.queues[*position].id);
        let reached: Vec<usize> = order.take_while(|position| !waits(position)).collect();
        let found = reached.into_iter().filter(|position| gate(position) == Gate::Open).find_map(|position| {
            let queue = &worker.queues[position];
            Some((position, queue, heads.remove(&queue.id)?))
        });
        if let Some((position, queue, head)) = found {
            pops.push(Pop { worker: worker.worker.clone(), queue: queue.clone(), position, head: head.clone() });
        }
    }
    pops
}

/// Queue tags `force_workers:on` and `force_workers:off`; off wins, as in clearml-agent.
fn takes_tasks(tags: &[String]) -> bool {
    !tags.iter().any(|tag| tag == "force_workers:off")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> QueueRef {
        QueueRef { id: QueueId::new(name).expect("an id"), name: name.into() }
    }

    fn view(name: &str, head: Option<&str>, tags: &[&str]) -> QueueView {
        QueueView {
            id: QueueId::new(name).expect("an id"),
            name: name.into(),
            tags: tags.iter().map(ToString::to_string).collect(),
            head: head.map(|id| TaskId::new(id).expect("an id")),
        }
    }

    fn idle(worker: &str, queues: &[&str], cursor: usize) -> Idle {
        Idle {
            worker: WorkerName::new(worker).expect("a name"),
            queues: queues.iter().map(|name| queue(name)).collect(),
            cursor,
            gates: Vec::new(),
        }
    }

    fn taken(pops: &[Pop]) -> Vec<(&str, &str)> {
        pops.iter().map(|pop| (pop.worker.as_str(), pop.head.as_str())).collect()
    }

    #[test]
    fn the_first_queue_with_an_entry_is_served_first() {
        let views = [view("low", Some("l"), &[]), view("high", Some("h"), &[])];
        assert_eq!(taken(&plan(&[idle("w", &["high", "low"], 0)], &views)), [("w", "h")]);
        let views = [view("low", Some("l"), &[]), view("high", None, &[])];
        assert_eq!(taken(&plan(&[idle("w", &["high", "low"], 0)], &views)), [("w", "l")]);
    }

    #[test]
    fn with_order_fairness_the_round_goes_on_where_it_was() {
        let views = [view("a", Some("1"), &[]), view("b", Some("2"), &[])];
        assert_eq!(taken(&plan(&[idle("w", &["a", "b"], 1)], &views)), [("w", "2")]);
        let views = [view("a", Some("1"), &[]), view("b", None, &[])];
        assert_eq!(taken(&plan(&[idle("w", &["a", "b"], 1)], &views)), [("w", "1")]);
    }

    #[test]
    fn two_workers_never_pop_the_same_entry_and_the_second_looks_further() {
        let views = [view("a", Some("1"), &[]), view("b", Some("2"), &[])];
        let pops = plan(&[idle("x", &["a"], 0), idle("y", &["a", "b"], 0), idle("z", &["a"], 0)], &views);
        assert_eq!(taken(&pops), [("x", "1"), ("y", "2")]);
    }

    #[test]
    fn a_task_that_waits_for_gpus_holds_up_lower_queues_but_an_empty_queue_and_an_impossible_task_do_not() {
        let gated = |gates: &[Gate], cursor| Idle { gates: gates.to_vec(), ..idle("w", &["big", "small"], cursor) };
        let both = [view("big", Some("b"), &[]), view("small", Some("s"), &[])];
        assert!(plan(&[gated(&[Gate::Wait, Gate::Open], 0)], &both).is_empty());
        assert_eq!(taken(&plan(&[gated(&[Gate::Shut, Gate::Open], 0)], &both)), [("w", "s")]);
        let small = [view("big", None, &[]), view("small", Some("s"), &[])];
        assert_eq!(taken(&plan(&[gated(&[Gate::Wait, Gate::Open], 0)], &small)), [("w", "s")]);
        // In turn: what is before it in the round goes first, then it is waited for.
        assert_eq!(taken(&plan(&[gated(&[Gate::Wait, Gate::Open], 1)], &both)), [("w", "s")]);
        let off = [view("big", Some("b"), &["force_workers:off"]), view("small", Some("s"), &[])];
        assert_eq!(taken(&plan(&[gated(&[Gate::Wait, Gate::Open], 0)], &off)), [("w", "s")]);
    }

    #[test]
    fn a_queue_that_is_forced_off_gives_nothing() {
        let views = [view("a", Some("1"), &["force_workers:off", "force_workers:on"])];
        assert!(plan(&[idle("w", &["a"], 0)], &views).is_empty());
    }

    #[test]
    fn a_worker_whose_queues_are_unknown_to_the_server_waits() {
        assert!(plan(&[idle("w", &["gone"], 0), idle("v", &[], 0)], &[]).is_empty());
    }
}
