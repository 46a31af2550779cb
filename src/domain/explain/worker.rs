//! A Worker that has no task, or not the one that somebody waits for.

use super::{Finding, HostFacts, host, paused, span, withheld};
use crate::domain::gpu::GpuId;
use crate::domain::ids::{RunId, TaskId, WorkerName};
use crate::domain::schedule::Paused;
use crate::domain::withheld::Withheld;

/// What is known of a Worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFacts {
    /// Which.
    pub name: WorkerName,
    /// `clearmlctl worker stop`.
    pub stopped: bool,
    /// Whether it can have one more Run beside those that it has.
    pub room: bool,
    /// Its live Runs.
    pub runs: Vec<(RunId, TaskId)>,
    /// What its file makes of it when its Run has ended, in a sentence.
    pub pending: Option<String>,
    /// What else hinders it, in a sentence.
    pub problem: Option<String>,
    /// What of its GPUs does.
    pub gpus: Gpus,
    /// Its queues, in order; none before they have been looked up.
    pub queues: Vec<QueueFacts>,
}

/// What keeps a Worker from its GPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gpus {
    /// Nothing.
    Clear,
    /// What it claims is not there, in a sentence.
    Unresolved(String),
    /// These are not lent; with the Worker of the Run that holds one.
    Withheld(Vec<(GpuId, Withheld, Option<WorkerName>)>),
}

/// What is known of a queue of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueFacts {
    /// Its name.
    pub name: String,
    /// What the last poll saw.
    pub sight: Sight,
    /// Whether tags, property and hours let it take a task from there.
    pub takes: Result<(), Paused>,
    /// What a task of it wants more than is free.
    pub wanting: Option<Wanting>,
    /// Why it gave no task, in a sentence, and when it is tried again, in milliseconds.
    pub refused: Option<(String, u64)>,
}

/// A task gets more GPUs than are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanting {
    /// So many at least.
    pub least: usize,
    /// So many are free.
    pub free: usize,
}

/// What the last poll saw of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// There was none yet.
    Unasked,
    /// It is not there any more.
    Gone,
    /// Nothing in it, so many milliseconds ago.
    Empty {
        /// Ago.
        ago_ms: u64,
    },
    /// What was first in it has been taken here, and nobody has asked since: all who serve it are busy.
    Taken,
    /// This is first.
    Head {
        /// Which.
        task: TaskId,
        /// Ago, in milliseconds.
        ago_ms: u64,
    },
}

/// Why it takes no task, the most decisive first. One that nothing hinders says so first.
#[must_use]
pub fn worker(facts: &WorkerFacts, about_host: &HostFacts) -> Vec<Finding> {
    let mut found = engaged(facts);
    found.extend(host(about_host));
    found.extend(defined(facts));
    found.extend(of_gpus(&facts.gpus));
    let closed = !facts.queues.is_empty() && facts.queues.iter().all(|queue| queue.takes.is_err());
    let same = facts.queues.first().map(|queue| queue.takes);
    if closed && facts.queues.iter().all(|queue| Some(queue.takes) == same) {
        // One thing holds it back, whichever queue.
        found.extend(facts.queues.first().and_then(|queue| queue.takes.err()).map(paused));
        found.extend(facts.queues.iter().filter_map(|queue| sight(queue, false)));
    } else {
        found.extend(facts.queues.iter().flat_map(of_queue));
    }
    if !found.iter().any(|finding| finding.hinders) {
        let says = format!("nothing hinders worker `{}`: it takes the next task of its queues", facts.name);
        found.insert(0, Finding::fact("ready", says, None));
    }
    found
}

/// What it has, and whether it is to have more.
fn engaged(facts: &WorkerFacts) -> Vec<Finding> {
    let name = &facts.name;
    let mut found = Vec::new();
    for (run, task) in &facts.runs {
        let more = if facts.room { "it can take more beside it" } else { "it takes the next one afterwards" };
        let next = Some(format!("follow it with `clearmlctl run logs -f {run}`"));
        let says = format!("worker `{name}` runs task {task} (run {run}); {more}");
        found.push(Finding { hinders: !facts.room, ..Finding::fact("busy", says, next) });
    }
    if facts.stopped {
        let says = format!("worker `{name}` is stopped: somebody called `clearmlctl worker stop`");
        found.push(Finding::hindrance("stopped", says, format!("`clearmlctl worker resume {name}`")));
    }
    found
}

/// What is wrong with its definition here.
fn defined(facts: &WorkerFacts) -> Vec<Finding> {
    let name = &facts.name;
    let mut found = Vec::new();
    if let Some(pending) = &facts.pending {
        let says = format!("its file was changed, and it takes no task before that is done: {pending}");
        found.push(Finding::wait("pending", says));
    }
    if let Some(problem) = &facts.problem {
        let next = format!("look with `clearmlctl worker show {name}`, then correct its definition");
        found.push(Finding::hindrance("problem", problem, next));
    }
    if facts.queues.is_empty() {
        let says = "its queues have not been found at the server yet";
        found.push(Finding::hindrance("queues_unknown", says, "look with `clearmlctl queue list`"));
    }
    found
}

fn of_gpus(gpus: &Gpus) -> Vec<Finding> {
    match gpus {
        Gpus::Clear => Vec::new(),
        Gpus::Unresolved(why) => {
            vec![Finding::hindrance("gpu_unknown", why, "look with `clearmlctl gpu list`")]
        }
        Gpus::Withheld(all) => all.iter().map(|(gpu, why, holder)| withheld(gpu, why, holder.as_ref())).collect(),
    }
}

fn of_queue(queue: &QueueFacts) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = &queue.name;
    if let Err(why) = queue.takes {
        let finding = paused(why);
        found.push(Finding { says: format!("queue `{name}`: {}", finding.says), ..finding });
    }
    if let Some(Wanting { least, free }) = queue.wanting {
        let says = format!("queue `{name}` gives each task {least} GPUs at least, and {free} are free");
        found.push(Finding::wait("too_few_gpus", says));
    }
    if let Some((reason, in_ms)) = &queue.refused {
        let says = format!("queue `{name}` gave no task: {reason}; it is asked again in {}", span(*in_ms));
        found.push(Finding::wait("claim_refused", says));
    }
    let free = found.is_empty();
    found.extend(sight(queue, free));
    found
}

/// What was seen in it; `open` is whether a task there would be taken.
fn sight(queue: &QueueFacts, open: bool) -> Option<Finding> {
    let name = &queue.name;
    match &queue.sight {
        Sight::Unasked => Some(Finding::wait("queue_unasked", format!("queue `{name}` has not been asked yet"))),
        Sight::Gone => Some(Finding::hindrance(
            "queue_gone",
            format!("the server has no queue `{name}` any more"),
            "look with `clearmlctl queue list`, then declare the worker with another queue",
        )),
        Sight::Taken => {
            let says =
                format!("queue `{name}` gave its first task to this host, and is asked again when a worker is free");
            Some(Finding::fact("queue_taken", says, None))
        }
        Sight::Empty { ago_ms } => Some(Finding::hindrance(
            "queue_empty",
            format!("queue `{name}` was empty when it was last asked, {} ago", span(*ago_ms)),
            format!("`clearmlctl task enqueue TASK --queue {name}`; where a task is, `clearmlctl task show TASK` says"),
        )),
        Sight::Head { task, ago_ms } => {
            let then =
                if open { "it is taken at the next look, unless another worker was quicker" } else { "it waits" };
            let says = format!("task {task} was first in queue `{name}`, {} ago; {then}", span(*ago_ms));
            Some(Finding::fact("task_waits", says, None))
        }
    }
}
