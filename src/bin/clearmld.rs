//! The daemon: read what the operator chose, check it whole, then serve.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clearmld::config::Flags;
use clearmld::daemon::{self, Plan};
use clearmld::host::journal;

/// Turns this host into ClearML workers.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "Configuration: --config, else CLEARML_CONFIG_FILE, else /etc/clearmld/clearml.conf, else \
~/clearml.conf; CLEARML_API_HOST, CLEARML_API_ACCESS_KEY, CLEARML_API_SECRET_KEY and the like win over it. Everything \
else is said to the running daemon with clearmlctl."
)]
struct Arguments {
    /// Configuration to read, as clearml-agent has it [default: see below]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where workers, runs and caches are kept [default: /var/lib/clearmld, or below the home of an ordinary user]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The control socket [default: /run/clearmld/clearmld.sock, or in the runtime directory of an ordinary user]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Workers to declare, one a *.toml file [default: /etc/clearmld/workers.d; in the state directory with --state-dir;
    /// in ~/.config/clearmld of an ordinary user]
    #[arg(long, value_name = "DIR")]
    workers_dir: Option<PathBuf>,
    /// Embed a ClearML server (API on ADDR, default 127.0.0.1:8008; files on port 8081), and work for it
    #[arg(long, value_name = "ADDR", num_args = 0..=1)]
    local: Option<Option<SocketAddr>>,
}

fn main() -> ExitCode {
    journal::begin();
    let arguments = Arguments::parse();
    let flags = Flags {
        config: arguments.config,
        state_dir: arguments.state_dir,
        socket: arguments.socket,
        workers_dir: arguments.workers_dir,
        local: arguments.local,
    };
    let plan = match Plan::read(flags) {
        Ok(plan) => plan,
        Err(errors) => {
            tracing::error!("the configuration cannot be used:\n{errors}");
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
