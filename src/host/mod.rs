//! The host behind the engine's ports.

pub mod launch;
