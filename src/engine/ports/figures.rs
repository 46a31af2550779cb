//! What the host and its Runs use now.

use std::fmt;

use async_trait::async_trait;

use crate::domain::figures::{HostFigures, RunFigures};
use crate::domain::handover::ProcessIdentity;

/// Reads them each time it is asked; keeps nothing.
#[async_trait]
pub trait Figures: Send + Sync + fmt::Debug {
    /// Of the host.
    async fn host(&self) -> HostFigures;
    /// Of the Run that this shim supervises.
    async fn run(&self, shim: &ProcessIdentity) -> RunFigures;
}
