//! Where shims are started.

mod direct;

use std::path::Path;
use std::sync::Arc;

use crate::domain::ids::StateId;
use crate::engine::ports::Launcher;

pub use direct::Direct;

/// Why no launcher can be had.
#[derive(Debug, thiserror::Error)]
#[error("runs cannot be started here: {reason}")]
pub struct ChooseError {
    /// Why.
    pub reason: String,
}

/// The launcher for this host.
///
/// # Errors
/// When none works here.
pub async fn choose(state: &StateId, shim: &Path) -> Result<Arc<dyn Launcher>, ChooseError> {
    Ok(Arc::new(Direct::new(state.clone(), shim.to_owned())))
}
