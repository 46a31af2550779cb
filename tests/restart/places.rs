//! Where the daemon is killed.

/// What it does in the life of one Run, in order. Each has a place before and one after it.
pub(crate) const CLAIM: [&str; 12] = [
    "commit.intent",
    "pop",
    "commit.popped",
    "task",
    "started",
    "set_host",
    "commit.announced",
    "payload_token",
    "cgroup",
    "prepare",
    "note",
    "commit.prepared",
];
pub(crate) const RUN: [&str; 8] = [
    "launch",
    "commit.running",
    "delivery.pending",
    "send_log",
    "delivery.acknowledged",
    "delivery.pending#3",
    "send_log#3",
    "delivery.acknowledged#3",
];
pub(crate) const END: [&str; 9] =
    ["wait", "sweep", "exit", "commit.exited", "discard_work", "delivery.closing", "failed", "revoke", "clear"];
pub(crate) const LAST: [&str; 1] = ["commit.settled"];

/// What it does beside that, at its own times.
pub(crate) const BESIDE: [&str; 9] =
    ["load", "queue_heads", "register", "report", "forced", "task_states", "ping", "put_health", "resolve_queue"];

/// Inside of an act: the shim is started, and nobody has waited for its word.
pub(crate) const SPAWNED: &str = "after:spawn";
pub(crate) const INSIDE: [&str; 2] = [SPAWNED, "before:rename"];

/// Durable writes of a life that are each tried.
pub(crate) const RENAMES: u32 = 14;

pub(crate) fn around(acts: &[&str]) -> Vec<String> {
    acts.iter().flat_map(|act| [format!("before:{act}"), format!("after:{act}")]).collect()
}
