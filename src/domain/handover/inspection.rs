//! What `clearmlctl doctor` asks of a sandbox: `clearmld-shim check QUESTION` is the program of a Run that belongs to no
//! task, and prints its answer as one line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The line of the answer begins with it; lines of the stages before do not.
pub const MARK: &str = "clearmld-check ";

/// What is to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Where the server, or the proxy before it, is; none where no server is configured.
    pub target: Option<Target>,
    /// Device nodes that the payload is given.
    pub devices: Vec<PathBuf>,
}

/// A place in the network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// A name or an address.
    pub host: String,
    /// TCP.
    pub port: u16,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Who the payload was.
    pub uid: u32,
    /// `NoNewPrivs`, `Seccomp` and `CapBnd` of /proc/self/status.
    pub confinement: Vec<String>,
    /// The addresses of the target's name.
    pub addresses: Vec<String>,
    /// Why there are none.
    pub unresolved: Option<String>,
    /// Why no address takes a connection; none also where nothing was tried.
    pub unreachable: Option<String>,
    /// Each device node, and why it cannot be opened.
    pub devices: Vec<(PathBuf, Option<String>)>,
}
