//! The shim through its own door: a run directory in, processes and files out. Needs root.

mod disk;
mod ends;
#[cfg(feature = "daemon")]
mod enforced;
mod environment;
mod journal;
#[cfg(feature = "daemon")]
mod launch;
mod limits;
mod old_kernel;
mod output;
mod processes;
mod sandbox;
mod seccomp;
mod shown;
mod stand;
mod stops;
mod subreaper;
