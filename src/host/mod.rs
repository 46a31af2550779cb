//! The host behind the engine's ports.

pub mod clock;
mod container;
pub mod diagnosis;
pub mod figures;
pub mod journal;
pub mod launch;
pub mod machine;
pub mod notify;
pub mod nvml;
pub mod outfit;
pub mod store;
pub mod users;
pub mod uv;
