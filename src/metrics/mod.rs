//! Figures for Prometheus and the like, off unless clearmld.toml says `metrics`.
//!
//! [`families`] makes families of what the engine and the host tell, [`tally`] counts what has ended since the start,
//! [`exposition`] writes them, and [`serve`] answers. Names and units follow the OpenMetrics specification.
//!
//! Why no crate writes the text: those there are write OpenMetrics only, which `promtool check metrics` cannot read; a
//! scraper that does not ask for OpenMetrics gets the older format.

pub mod exposition;
mod families;
mod few;
mod serve;
mod tally;

pub use serve::{Door, serve};

use std::sync::Arc;

use crate::engine::handle::Handle;
use crate::engine::ports::{Figures, Store};

/// Where the figures come from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The engine.
    pub handle: Handle,
    /// The host.
    pub figures: Arc<dyn Figures>,
    /// How far output is delivered.
    pub store: Arc<dyn Store>,
}
