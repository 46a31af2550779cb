//! Why nothing runs here, or why something is what it is: a pure decision over what the daemon knows by itself. Each
//! answer is a list of findings, the most decisive first; nobody is asked anything for it.

mod gpu;
mod task;
mod worker;

use std::fmt::Display;

pub use gpu::{GpuFacts, gpu};
pub use task::{Seen, TaskFacts, task};
pub use worker::{Gpus, QueueFacts, Sight, Wanting, WorkerFacts, worker};

use super::gpu::GpuId;
use super::ids::WorkerName;
use super::schedule::Paused;
use super::withheld::Withheld;

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// For programs.
    pub word: &'static str,
    /// What is so, and why.
    pub says: String,
    /// What to do about it; none where nothing is to be done, or nothing can be.
    pub next: Option<String>,
    /// Whether a task is kept from running by it.
    pub hinders: bool,
}

/// What bears on all Workers of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The server.
    pub server: Server,
    /// `clearmlctl drain`.
    pub draining: bool,
    /// The daemon or the host is going down.
    pub closing: bool,
    /// Why the disk hinders us, in a sentence.
    pub disk: Option<String>,
}

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// There is none.
    NotConfigured,
    /// It has not answered yet.
    Unasked,
    /// The last call went well.
    Up,
    /// It refuses the credentials.
    Refuses {
        /// In its words.
        reason: String,
    },
    /// It is not reached.
    Away {
        /// For how long, in milliseconds.
        for_ms: u64,
        /// What the last call said.
        reason: String,
    },
}

impl Finding {
    fn hindrance(word: &'static str, says: impl Display, next: impl Into<String>) -> Self {
        Self { word, says: says.to_string(), next: Some(next.into()), hinders: true }
    }

    /// It ends by itself.
    fn wait(word: &'static str, says: impl Display) -> Self {
        Self { word, says: says.to_string(), next: None, hinders: true }
    }

    fn fact(word: &'static str, says: impl Display, next: Option<String>) -> Self {
        Self { word, says: says.to_string(), next, hinders: false }
    }
}

/// What keeps every Worker of the host from taking a task.
fn host(facts: &HostFacts) -> Vec<Finding> {
    let mut found = Vec::new();
    if facts.closing {
        found.push(Finding::wait("closing", "clearmld or the host is going down, and takes no more tasks"));
    }
    if facts.draining {
        let says = "the host takes no more tasks: somebody called `clearmlctl drain`";
        found.push(Finding::hindrance("draining", says, "end it with `clearmlctl resume`"));
    }
    found.extend(server(&facts.server));
    if let Some(disk) = &facts.disk {
        found.push(Finding::hindrance("disk_full", disk, "free space there; tasks are taken again by themselves"));
    }
    found
}

fn server(server: &Server) -> Option<Finding> {
    match server {
        Server::Up => None,
        Server::Unasked => Some(Finding::wait("server_unasked", "the ClearML server has not answered yet")),
        Server::NotConfigured => {
            let says = "no ClearML server is configured, so there are no queues to take tasks from";
            Some(Finding::hindrance("not_configured", says, "run `clearmlctl init` as root"))
        }
        Server::Refuses { reason } => Some(Finding::hindrance(
            "login_refused",
            format!("the ClearML server does not let this host in: {reason}"),
            "give it other credentials with `clearmlctl init --force`",
        )),
        Server::Away { for_ms, reason } => Some(Finding::hindrance(
            "server_down",
            format!("the ClearML server has not been reached for {}: {reason}", span(*for_ms)),
            "look with `clearmlctl doctor`; it is tried again and again",
        )),
    }
}

/// Every reason for which a GPU is not lent has its word and its next step here.
fn withheld(gpu: &GpuId, why: &Withheld, holder: Option<&WorkerName>) -> Finding {
    let says = format!("GPU {gpu} {why}");
    match why {
        Withheld::Unusable { .. } => {
            Finding::hindrance("gpu_unusable", says, format!("look with `clearmlctl gpu show {gpu}`, then mend it"))
        }
        Withheld::Distrusted { state, reason, next } => {
            Finding::hindrance("gpu_distrusted", format!("GPU {gpu} is {state}: {reason}"), next)
        }
        Withheld::Reserved { .. } => Finding::hindrance(
            "gpu_reserved",
            says,
            format!("wait until it is over, or `clearmlctl gpu release {gpu}`, if it is yours"),
        ),
        Withheld::Held { run } => {
            let of = holder.map(|worker| format!(" of worker `{worker}`")).unwrap_or_default();
            Finding::hindrance(
                "gpu_held",
                format!("{says}{of}"),
                format!("wait for its end, or `clearmlctl run stop {run}`"),
            )
        }
        Withheld::Foreign { pid, .. } => Finding::hindrance(
            "gpu_foreign",
            says,
            format!("end that process (look with `ps -fp {pid}`), or wait until it ends"),
        ),
    }
}

fn paused(paused: Paused) -> Finding {
    let says = format!("it takes no task now: {paused}");
    match paused {
        Paused::QueueOff => Finding::hindrance(
            "queue_off",
            says,
            "take the tag off the queue in the web UI; `force_workers:on` instead of it opens the queue at all hours",
        ),
        Paused::WorkerOff => {
            Finding::hindrance("forced_off", says, "set the worker's runtime property `force` at the server otherwise")
        }
        Paused::Outside(_) => Finding::hindrance(
            "outside_hours",
            says,
            "wait, or tag its queue `force_workers:on` in the web UI, or declare the worker with other hours",
        ),
    }
}

/// `42 s`, `3 min`, `2 h`, `9 d`.
fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests;
