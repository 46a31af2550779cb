//! The daemon: read what the operator chose, check it whole, then serve.

use std::process::ExitCode;

use clap::Parser;
use clearmld::daemon::{self, Arguments, Plan};
use clearmld::domain::notice::Notice;
use clearmld::host::journal;

fn main() -> ExitCode {
    journal::begin();
    let arguments = Arguments::parse();
    if arguments.check_credentials {
        return check_credentials();
    }
    let plan = match Plan::read(arguments.into()) {
        Ok(plan) => plan,
        Err(errors) => {
            tracing::error!(
                MESSAGE_ID = Notice::ConfigurationBroken.id(),
                "the configuration cannot be used:\n{errors}"
            );
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(daemon::serve(plan)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Its answer goes to whoever started us, and has the secret in it that came from there.
#[expect(clippy::print_stdout, reason = "the answer is read from stdout")]
fn check_credentials() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::FAILURE;
        }
    };
    let (answer, well) = runtime.block_on(daemon::check_credentials(std::io::stdin()));
    println!("{answer}");
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
