//! A Worker: what `clearmlctl worker add` declares and the ClearML UI lists. Durable.

use serde::{Deserialize, Serialize};

use super::gpu::GpuClaim;
use super::hours::Timetable;
use super::ids::{QueueId, UnixMillis, WorkerName};
use super::lending::Lending;
use super::limits::Limits;

/// Version of a Worker's file in the ledger.
pub const VERSION: u32 = 1;

/// What an operator declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// [`VERSION`].
    pub version: u32,
    /// Its name, which is its worker id at the server.
    pub name: WorkerName,
    /// Its queues, first is first.
    pub queues: Vec<QueueRef>,
    /// Its GPUs.
    pub gpus: GpuClaim,
    /// How they are lent to its Runs.
    #[serde(default)]
    pub lending: Lending,
    /// Round robin over the queues instead of strict order.
    pub order_fairness: bool,
    /// The payload's user, when not the host's default.
    pub user: Option<String>,
    /// What each of its Runs may use at most.
    #[serde(default)]
    pub limits: Limits,
    /// When it takes tasks.
    #[serde(default)]
    pub timetable: Timetable,
    /// Its task goes back to the head of its queue when the host goes down under it, in order or without.
    #[serde(default)]
    pub requeue_on_host_loss: bool,
    /// Whether it takes tasks.
    pub intent: Intent,
    /// When it was declared.
    pub added: UnixMillis,
    /// Where it was declared.
    #[serde(default)]
    pub origin: Origin,
}

/// Where a Worker was declared. Ledgers of before know none: it was the command line then.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Origin {
    /// `clearmlctl worker add`.
    #[default]
    Operator,
    /// A file of workers.d. Its queues are names, looked up whenever the server can be asked.
    File {
        /// Its path, also the Worker's tie to it over a reload.
        path: String,
        /// Names or ids as it says; empty for the server's default queue.
        queues: Vec<String>,
        /// Make queues that do not exist.
        create_queue: bool,
    },
}

/// What `worker add` or a file of workers.d says, before names are looked up and defaults filled in. A new option is a
/// field here and in [`Worker`], a line in [`Worker::of`] and one in [`super::declared::fields`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerDraft {
    /// None: by the rules of clearml-agent; of a file, by its name.
    pub name: Option<WorkerName>,
    /// Names or ids, in order; empty for the server's default queue.
    pub queues: Vec<String>,
    /// None: all GPUs that the host has, else CPU.
    pub gpus: Option<GpuClaim>,
    /// How they are lent to its Runs.
    pub lending: Lending,
    /// The payload's user.
    pub user: Option<String>,
    /// What each Run may use at most.
    pub limits: Limits,
    /// When it takes tasks.
    pub timetable: Timetable,
    /// Round robin.
    pub order_fairness: bool,
    /// Make queues that do not exist.
    pub create_queue: bool,
    /// Its task goes back to its queue when the host goes down under it.
    pub requeue_on_host_loss: bool,
}

/// A Queue that a Worker serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QueueRef {
    /// Its id at the server.
    pub id: QueueId,
    /// Its name when it was resolved; for people.
    pub name: String,
}

impl Worker {
    /// A new Worker that takes tasks. Its queues may be looked up later.
    #[must_use]
    pub fn of(
        draft: WorkerDraft,
        name: WorkerName,
        gpus: GpuClaim,
        queues: Vec<QueueRef>,
        origin: Origin,
        added: UnixMillis,
    ) -> Self {
        Self {
            version: VERSION,
            name,
            queues,
            gpus,
            lending: draft.lending,
            order_fairness: draft.order_fairness,
            user: draft.user,
            limits: draft.limits,
            timetable: draft.timetable,
            requeue_on_host_loss: draft.requeue_on_host_loss,
            intent: Intent::Active,
            added,
            origin,
        }
    }

    /// The file that declares it, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match &self.origin {
            Origin::Operator => None,
            Origin::File { path, .. } => Some(path),
        }
    }
}

/// Whether a Worker takes tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// It does.
    Active,
    /// `worker stop`: it takes no more until `worker resume`.
    Stopped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_of_the_version_before_is_one_that_an_operator_added() {
        let text = r#"{"version": 1, "name": "host:0", "queues": [{"id": "q1", "name": "default"}], "gpus": {"kind": "none"},
            "order_fairness": false, "user": null, "intent": "stopped", "added": 5}"#;
        let worker: Worker = serde_json::from_str(text).expect("read");
        assert_eq!(worker.origin, Origin::Operator);
        assert_eq!((worker.intent, worker.requeue_on_host_loss), (Intent::Stopped, false));
        assert_eq!(worker.lending, Lending::Whole);
        assert_eq!(worker.timetable, Timetable::Always);
    }

    #[test]
    fn a_declared_worker_is_read_back_as_it_was_written() {
        let origin = Origin::File { path: "/etc/w.toml".into(), queues: vec!["gpu".into()], create_queue: true };
        let lending = Lending::Dynamic(vec!["2".parse().expect("a number"), "1-4".parse().expect("a range")]);
        let draft = WorkerDraft { requeue_on_host_loss: true, lending, ..WorkerDraft::default() };
        let name = WorkerName::new("host:w").expect("a name");
        let worker = Worker::of(draft, name, GpuClaim::All, Vec::new(), origin, UnixMillis(7));
        let text = serde_json::to_string(&worker).expect("JSON");
        assert_eq!(serde_json::from_str::<Worker>(&text).expect("read"), worker);
    }
}
