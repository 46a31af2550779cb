//! `clearmld` turns a Linux host into ClearML workers.
//!
//! Read in this order: [`domain`] has the words (a Worker, a Run and its phases, a Lease, a Cause) as plain values;
//! [`domain::handover`] is the protocol between the daemon and the shim that outlives it. [`shim`] and [`payload`] are
//! what runs of a task on the host; `engine` decides, through `engine::ports`; `clearml`, `host` and `server` are the
//! world on the other side of the ports. `api` and `ctl` are the door and who knocks.
//!
//! `ARCHITECTURE.md` has the picture and its reasons.

pub mod domain;
pub mod payload;
pub mod shim;
pub mod sys;

#[cfg(feature = "daemon")]
pub mod api;
#[cfg(feature = "daemon")]
pub mod clearml;
#[cfg(feature = "daemon")]
pub mod config;
#[cfg(feature = "ctl")]
pub mod ctl;
#[cfg(feature = "daemon")]
pub mod daemon;
#[cfg(feature = "daemon")]
pub mod engine;
#[cfg(all(debug_assertions, feature = "daemon"))]
mod failpoints;
#[cfg(feature = "daemon")]
pub mod host;
#[cfg(feature = "daemon")]
pub mod metrics;
#[cfg(feature = "rpc")]
pub mod redaction;
#[cfg(feature = "rpc")]
pub mod rpc;
#[cfg(feature = "daemon")]
pub mod server;

#[cfg(all(test, feature = "daemon"))]
mod fakes;
