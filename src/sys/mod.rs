//! The only room with unsafe code: system calls that no well-kept crate wraps safely. And what every room needs of the
//! file system and of journald: durable writes, the removal of what a payload made, and entries that never wait.

pub mod disk;
pub mod durable;
pub mod failpoint;
pub mod identity;
pub mod journal;
#[cfg(feature = "daemon")]
pub mod mig;
pub mod mount;
pub mod network;
#[cfg(feature = "daemon")]
pub mod nvml;
pub mod process;
#[cfg(feature = "daemon")]
pub mod readable;
pub mod removal;
pub mod seccomp;
