//! A Worker: what `clearmlctl worker add` declares and the ClearML UI lists. Durable.

use serde::{Deserialize, Serialize};

use super::gpu::GpuClaim;
use super::ids::{QueueId, UnixMillis, WorkerName};
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
    /// Round robin over the queues instead of strict order.
    pub order_fairness: bool,
    /// The payload's user, when not the host's default.
    pub user: Option<String>,
    /// What each of its Runs may use at most.
    #[serde(default)]
    pub limits: Limits,
    /// Whether it takes tasks.
    pub intent: Intent,
    /// When it was declared.
    pub added: UnixMillis,
}

/// A Queue that a Worker serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct QueueRef {
    /// Its id at the server.
    pub id: QueueId,
    /// Its name when it was resolved; for people.
    pub name: String,
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
