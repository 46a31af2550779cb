//! The shim through its own door: a run directory in, processes and files out. Needs root.

mod ends;
mod environment;
mod output;
mod sandbox;
mod stand;
mod stops;
