//! The host's GPUs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::inventory::Inventory;

/// The host's GPUs. A driver may take seconds to answer, or never do so: nobody waits for it here.
#[async_trait]
pub trait Gpus: Send + Sync + fmt::Debug {
    /// What was last seen, at once.
    fn seen(&self) -> Arc<Inventory>;
    /// Looks again, unless what was seen is younger than `age`. Answers after a few seconds at the latest, then with
    /// what was last seen.
    async fn look(&self, age: Duration) -> Arc<Inventory>;
}
