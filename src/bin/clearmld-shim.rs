//! `clearmld-shim run DIR` carries out the Run of a run directory; the daemon starts it. `clearmld-shim stage` is the
//! other end, which `run` starts inside the sandbox. `clearmld-shim probe` says whether namespaces can be had here, and
//! `clearmld-shim check`, as the program of a Run, what a sandbox lets a program reach. See `clearmld::shim`.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clearmld::shim::DevicePolicy;
use clearmld::{payload, shim};

const USAGE: &str = "usage: clearmld-shim run DIRECTORY [--devices-closed] [--stage-program PROGRAM]";
/// The stage is this very program, even after an upgrade.
const SELF: &str = "/proc/self/exe";

fn main() -> ExitCode {
    // git runs this program to ask for a password.
    if let Some(code) = payload::askpass() {
        return code;
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<Option<&str>> = arguments.iter().map(|argument| argument.to_str()).collect();
    let result = match words.as_slice() {
        [Some("stage")] => stage(),
        [Some("probe")] => shim::probe::namespaces().map(|()| 0).map_err(|reason| (1, reason)),
        [Some("check"), Some(question)] => {
            payload::check::answer(question).map(|()| 0).map_err(|error| (1, error.to_string()))
        }
        [Some("run"), _, options @ ..] => match options {
            [] => run(&arguments[1], SELF, DevicePolicy::Open),
            [Some("--devices-closed")] => run(&arguments[1], SELF, DevicePolicy::Closed),
            // Whoever may start a shim can run anything anyway; tests bring a stage of their own.
            [Some("--stage-program"), Some(program)] => run(&arguments[1], program, DevicePolicy::Open),
            [Some("--devices-closed"), Some("--stage-program"), Some(program)] => {
                run(&arguments[1], program, DevicePolicy::Closed)
            }
            _ => Err((2, USAGE.to_owned())),
        },
        _ => Err((2, USAGE.to_owned())),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err((code, text)) => {
            let _ = writeln!(std::io::stderr(), "clearmld-shim: {text}");
            ExitCode::from(code)
        }
    }
}

fn run(directory: &OsStr, stage_program: &str, devices: DevicePolicy) -> Result<u8, (u8, String)> {
    shim::run(Path::new(directory), Path::new(stage_program), devices)
        .map(|_| 0)
        .map_err(|error| (1, error.to_string()))
}

fn stage() -> Result<u8, (u8, String)> {
    let code = shim::stage::run(|order| payload::run_stage(&order), |order| payload::exec_program(&order))
        .map_err(|error| (1, error.to_string()))?;
    Ok(u8::try_from(code).unwrap_or(1))
}
