//! What runs inside the sandbox as the payload's user: source, environment, program.
//!
//! The shim starts itself once for each act and hands it a [`StageOrder`]. Everything here is synchronous, asks no
//! name service of the host, and trusts neither the task nor the repository: whatever it reads was written by others.
//! Its stdout and stderr are the task's log. Tools (git, uv, pip) run with an environment made here, never with the
//! one that this process was given.

use std::fmt::Display;
use std::path::Path;

use crate::domain::handover::{Act, StageOrder, StageReport};
use crate::sys::disk::room;

mod askpass;
pub mod check;
mod environment;
mod program;
mod source;
mod speech;
mod tool;
mod variables;

pub use askpass::askpass;

/// Performs `Source`, `Plan` or `Build`; for `Program` see [`exec_program`].
#[must_use]
pub fn run_stage(order: &StageOrder) -> StageReport {
    match &order.act {
        Act::Source => match source::fetch(order) {
            Ok(report) => StageReport::Source(report),
            Err(error) => failed(&error, error.disk_full()),
        },
        Act::Plan => match environment::plan(order) {
            Ok(plan) => StageReport::Plan { plan },
            Err(error) => failed(&error, error.disk_full()),
        },
        Act::Build { plan } => match environment::build(order, plan) {
            Ok(frozen) => StageReport::Built { frozen },
            // venv swallows what its own children say.
            Err(error) => failed(&error, error.disk_full() || is_full(&order.paths.environment)),
        },
        Act::Program { .. } => exec_program(order),
    }
}

/// Replaces this process by the program; returns only when that fails.
#[must_use]
pub fn exec_program(order: &StageOrder) -> StageReport {
    let error = program::exec(order);
    failed(&error, false)
}

/// Whether less is left than any package takes.
fn is_full(path: &Path) -> bool {
    room(path).is_ok_and(|room| room.free < 1 << 20)
}

fn failed(reason: &impl Display, disk_full: bool) -> StageReport {
    let reason = reason.to_string();
    speech::say(&reason);
    StageReport::Failed { reason, disk_full }
}
