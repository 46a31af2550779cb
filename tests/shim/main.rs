//! The shim through its own door: a run directory in, processes and files out. Needs root.

mod ends;
mod environment;
mod journal;
#[cfg(feature = "daemon")]
mod launch;
mod old_kernel;
mod output;
mod sandbox;
mod stand;
mod stops;
mod subreaper;
