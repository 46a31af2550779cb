//! The host behind the engine's ports.
