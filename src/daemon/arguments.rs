//! The command line. Help text and manual page come from here.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;

use crate::config::Flags;

/// Turns this host into ClearML workers.
#[derive(Debug, Parser)]
#[command(
    name = "clearmld",
    version,
    max_term_width = 100,
    after_help = "Configuration: --config, else CLEARML_CONFIG_FILE, else /etc/clearmld/clearml.conf, else \
~/clearml.conf; what `clearmlctl init` has stored lies over it, and CLEARML_API_HOST, CLEARML_API_ACCESS_KEY, \
CLEARML_API_SECRET_KEY and the like win over both. Everything else is said to the running daemon with clearmlctl."
)]
pub struct Arguments {
    /// Configuration to read, as clearml-agent has it [default: see below]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where workers, runs and caches are kept [default: /var/lib/clearmld, or below the home of an ordinary user]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// The control socket [default: /run/clearmld/clearmld.sock; in the state directory with --state-dir; in the runtime
    /// directory of an ordinary user]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Workers to declare, one a *.toml file [default: /etc/clearmld/workers.d; in the state directory with --state-dir;
    /// in ~/.config/clearmld of an ordinary user]
    #[arg(long, value_name = "DIR")]
    pub workers_dir: Option<PathBuf>,
    /// Embed a ClearML server (API on ADDR, default 127.0.0.1:8008; files on port 8081), and work for it
    #[arg(long, value_name = "ADDR", num_args = 0..=1)]
    pub local: Option<Option<SocketAddr>>,
    /// Let the embedded server fail on demand: it takes orders on this unix socket [default: faults.sock in the state
    /// directory]. For testing what a client does then
    #[arg(long, value_name = "PATH", num_args = 0..=1, requires = "local")]
    pub local_faults: Option<Option<PathBuf>>,
    /// Only log in with the credentials that stdin gives, and say what `clearmlctl init` is to store
    #[arg(long, hide = true, exclusive = true)]
    pub check_credentials: bool,
}

impl From<Arguments> for Flags {
    fn from(arguments: Arguments) -> Self {
        let Arguments { config, state_dir, socket, workers_dir, local, local_faults, check_credentials: _ } = arguments;
        Self { config, state_dir, socket, workers_dir, local, local_faults }
    }
}
