//! The host's GPUs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::domain::health::Report;
use crate::domain::inventory::{Gpu, Inventory};

/// The host's GPUs. A driver may take seconds to answer, or never do so: nobody waits for it here.
#[async_trait]
pub trait Gpus: Send + Sync + fmt::Debug {
    /// What was last seen, at once.
    fn seen(&self) -> Arc<Inventory>;
    /// Looks again, unless what was seen is younger than `age`. Answers after a few seconds at the latest, then with
    /// what was last seen.
    async fn look(&self, age: Duration) -> Arc<Inventory>;
    /// What GPUs report by themselves from now on.
    fn reports(&self) -> broadcast::Receiver<Report>;
    /// Whether a program could open it. Answers after a few seconds at the latest.
    async fn opens(&self, gpu: &Gpu) -> Result<(), String>;
}
