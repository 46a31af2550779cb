//! clearml.conf, the environment and flags, read and checked whole.

pub mod environment;
pub mod hocon;
