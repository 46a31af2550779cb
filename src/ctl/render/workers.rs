//! Workers for people.

use super::table::{Look, or_nothing, some};
use super::text::cell;
use super::time::{ago, now};
use super::words;
use crate::rpc::v1;

/// `worker list`.
pub(in crate::ctl) fn workers(look: Look, workers: &[v1::Worker]) -> String {
    let row = |worker: &v1::Worker| {
        let queues: Vec<String> = worker.queues.iter().map(named).collect();
        let mut activity = words::activity(worker).to_owned();
        if let Some(paused) = &worker.paused {
            activity.push_str(&format!(" ({})", cell(paused)));
        }
        if let Some(problem) = &worker.problem {
            activity.push_str(&format!(" ({})", cell(problem)));
        }
        if let Some(pending) = &worker.pending {
            activity.push_str(&format!(" (then {})", cell(pending)));
        }
        let queues = cell(&queues.join(", "));
        vec![cell(&worker.name), queues, cell(&worker.gpus), activity, or_nothing(worker.task_id.as_deref())]
    };
    look.rows(&["WORKER", "QUEUES", "GPUS", "ACTIVITY", "TASK"], workers.iter().map(row).collect())
}

/// With what a task of it gets, where the worker says that.
fn named(queue: &v1::QueueRef) -> String {
    queue.gpus.as_ref().map_or_else(|| queue.name.clone(), |gpus| format!("{}={gpus}", queue.name))
}

/// `worker show`, and what `add`, `stop` and `resume` answer.
pub(in crate::ctl) fn worker(look: Look, worker: &v1::Worker) -> String {
    let queue = |queue: &v1::QueueRef| match queue.id.as_str() {
        "" => format!("{} (not looked up yet)", named(queue)),
        id => format!("{} ({id})", named(queue)),
    };
    let lent = match (worker.dynamic_gpus, worker.share) {
        (true, _) => Some("to several runs at once, to each as many as its queue says".to_owned()),
        (false, ..=1) => None,
        (false, share) => Some(format!("also to others that share them, to {share} runs at once")),
    };
    let queues: Vec<String> = worker.queues.iter().map(queue).collect();
    let sandbox = worker.sandbox.as_ref();
    let runs = if worker.run_ids.is_empty() { worker.run_id.clone() } else { Some(worker.run_ids.join(", ")) };
    let runs = runs.as_deref().and_then(some);
    let order = if worker.order_fairness { "in turn" } else { "first one first" };
    look.fields(vec![
        ("worker", some(&worker.name)),
        ("queues", Some(format!("{}, {order}", cell(&queues.join(", "))))),
        ("gpus", some(&worker.gpus)),
        ("lent", lent),
        ("user", worker.user.as_deref().and_then(some)),
        ("limits", worker.limits.as_ref().and_then(|limits| some(&limits.text))),
        ("binds", sandbox.map(|sandbox| sandbox.binds.join(", ")).as_deref().and_then(some)),
        ("devices", sandbox.map(|sandbox| sandbox.devices.join(", ")).as_deref().and_then(some)),
        ("network", sandbox.and_then(|sandbox| sandbox.network.as_deref()).and_then(some)),
        ("relaxed", sandbox.map(|sandbox| sandbox.relax.join(", ")).as_deref().and_then(some)),
        ("intent", Some(words::intent(worker).to_owned())),
        ("activity", Some(words::activity(worker).to_owned())),
        ("paused", worker.paused.as_deref().and_then(some)),
        ("uptime", some(&worker.uptime.join("; "))),
        ("downtime", some(&worker.downtime.join("; "))),
        (if worker.run_ids.len() > 1 { "runs" } else { "run" }, runs),
        ("task", worker.task_id.as_deref().and_then(some)),
        ("on host loss", worker.requeue_on_host_loss.then(|| "its task goes back to its queue".to_owned())),
        ("added", Some(ago(now(), worker.added_unix_ms))),
        ("declared in", worker.declared_in.as_deref().and_then(some)),
        ("pending", worker.pending.as_deref().and_then(some)),
        ("problem", worker.problem.as_deref().and_then(some)),
    ])
}
