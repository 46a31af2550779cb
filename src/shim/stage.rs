//! The other end of the shim: a stage, inside the sandbox, as the payload's user.

use std::fs::File;
use std::io::{self, Read, Write};

use super::payload::{ORDER, REPORT};
use super::sanitize;
use crate::domain::handover::{Act, StageOrder, StageReport};
use crate::sys::process::inherited;

/// Reads the order, performs it and answers; the result is the exit code.
///
/// `perform` does what a stage does; `exec` replaces this process by the program, and comes back only to say why not.
///
/// # Errors
/// When the descriptors are not those that the shim gives.
pub fn run(
    perform: impl FnOnce(StageOrder) -> StageReport,
    exec: impl FnOnce(StageOrder) -> StageReport,
) -> io::Result<i32> {
    sanitize::stage(REPORT)?;
    let missing = || io::Error::other("clearmld-shim stage is started by clearmld-shim run, not by people");
    let order = File::from(inherited(ORDER).ok_or_else(missing)?);
    let answer = File::from(inherited(REPORT).ok_or_else(missing)?);
    // The program, and what the stages start, must not be able to answer.
    for file in [&order, &answer] {
        rustix::io::fcntl_setfd(file, rustix::io::FdFlags::CLOEXEC)?;
    }
    let order = read(order)?;
    let report = match order.act {
        Act::Source | Act::Plan | Act::Build { .. } => perform(order),
        Act::Program { .. } => exec(order),
    };
    let code = i32::from(matches!(report, StageReport::Failed { .. }));
    (&answer).write_all(&serde_json::to_vec(&report)?)?;
    Ok(code)
}

/// The file holds secrets and is gone when this returns.
fn read(mut file: File) -> io::Result<StageOrder> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}
