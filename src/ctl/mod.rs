//! The command line tool: parse, ask the daemon over its socket, render, exit.
//!
//! stdout is data, stderr is talk. Every error is `error: …` and `hint: …`, and the exit code says its kind (see
//! [`failure`]).

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

mod alone;
pub mod args;
mod bundle;
mod commands;
mod connection;
mod console;
mod failure;
mod render;
mod top;

use args::Cli;
use console::Console;
use failure::Failure;

/// How long a command may take that waits for nothing but answers. The daemon itself retries the server for a minute.
const USUAL_TIMEOUT: Duration = Duration::from_secs(90);

/// Runs the tool with `arguments`, the first of which is its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Nobody to tell, when even that cannot be written.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { failure::USAGE } else { 0 });
        }
    };
    let console = Console::new(cli.global.output);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return console.fail(&Failure::runtime(&error)),
    };
    match runtime.block_on(run(&cli, &console)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => console.fail(&failure),
    }
}

async fn run(cli: &Cli, console: &Console) -> Result<(), Failure> {
    let limit = cli.global.timeout.or((!cli.command.follows()).then_some(USUAL_TIMEOUT));
    let work = commands::run(cli, console);
    match limit {
        None => work.await,
        Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or(Err(Failure::Timeout { limit })),
    }
}
