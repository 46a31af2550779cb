//! What the host decides. The engine is the sole owner of Workers, Runs and leases; the world is reached through
//! [`ports`] only.

pub mod handle;
pub mod ports;
