//! `init`.

use std::path::PathBuf;

use clap::Args;

/// `init`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "\
The credentials are what the ClearML web UI shows under Settings > Workspace > Create new credentials: the block that \
begins with `api {`. They are read from a file, from stdin or from the terminal (which does not show them), and never \
from an argument. A login is tried before anything is written.\n\n\
They are stored in /etc/clearmld/credentials.conf (mode 0600), which systemd hands to clearmld.service alone; with \
--encrypt in /etc/clearmld/credentials.cred, readable on this host only.")]
pub struct Init {
    /// File with the credentials block, or `-` for stdin [default: ask on the terminal]
    #[arg(long, short, value_name = "FILE")]
    pub credentials: Option<PathBuf>,
    /// Address of the API server, such as http://10.0.0.1:8008 [default: that of the block]
    #[arg(long, value_name = "URL")]
    pub api_server: Option<String>,
    /// Address of the web UI [default: that of the block, else guessed from the API server]
    #[arg(long, value_name = "URL")]
    pub web_server: Option<String>,
    /// Address of the file server [default: that of the block, else guessed from the API server]
    #[arg(long, value_name = "URL")]
    pub files_server: Option<String>,
    /// Certificate authorities of a private server (PEM) [default: the host's]
    #[arg(long, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Queue of the first worker, by name or id [default: ask on the terminal, else no worker]
    #[arg(long, short, value_name = "QUEUE")]
    pub queue: Option<String>,
    /// Make that queue if it does not exist
    #[arg(long, requires = "queue")]
    pub create_queue: bool,
    /// GPUs of the first worker, as in `worker add` [default: all GPUs, else CPU]
    #[arg(long, value_name = "GPUS")]
    pub gpus: Option<String>,
    /// Declare no worker
    #[arg(long, conflicts_with_all = ["queue", "gpus"])]
    pub no_worker: bool,
    /// Replace what is configured
    #[arg(long)]
    pub force: bool,
    /// Encrypt what is stored with a key of this host (systemd-creds, systemd 250 and newer)
    #[arg(long)]
    pub encrypt: bool,
    /// Ask nothing
    #[arg(long, short)]
    pub yes: bool,
    /// Write below DIR, the root of another system, and start nothing (for images)
    #[arg(long, value_name = "DIR", conflicts_with_all = ["queue", "gpus", "encrypt"])]
    pub root: Option<PathBuf>,
}
