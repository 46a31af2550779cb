//! The only room with unsafe code: system calls that no well-kept crate wraps safely. And what every room needs of the
//! file system: durable writes, and the removal of what a payload made.

pub mod durable;
pub mod identity;
pub mod mount;
pub mod process;
#[cfg(feature = "daemon")]
pub mod readable;
pub mod removal;
pub mod seccomp;
