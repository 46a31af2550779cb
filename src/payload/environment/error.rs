//! Why there is no environment.

use std::io;
use std::path::PathBuf;

use crate::payload::tool::{ToolError, is_disk_full};

/// Each says what, why, and the next step.
#[derive(Debug, thiserror::Error)]
pub(in crate::payload) enum EnvironmentError {
    /// No Python at all.
    #[error(
        "no Python interpreter that this user can execute was found in {searched}; \
         install python3 on the worker, or name its directory in the configuration"
    )]
    NoInterpreter {
        /// Where.
        searched: String,
    },
    /// No uv.
    #[error(
        "uv is not at `{}` nor on the payload's PATH, or this user may not execute it; \
         install uv on the worker, or set agent.package_manager.type to pip", .path.display()
    )]
    NoUv {
        /// Where it should be.
        path: PathBuf,
    },
    /// A requirements file.
    #[error("the requirements file `{file}` cannot be used: {reason}; correct it in the repository or the task")]
    RequirementsFile {
        /// Which, as it is named.
        file: String,
        /// Why.
        reason: String,
    },
    /// No bare environment.
    #[error("{installer} could not make a virtual environment with {}: {words}; {next}", .python.display())]
    Create {
        /// uv or venv.
        installer: &'static str,
        /// With which.
        python: PathBuf,
        /// Its last words.
        words: String,
        /// What to do.
        next: &'static str,
        /// The call.
        source: Box<ToolError>,
    },
    /// The packages.
    #[error("{installer} could not install the task's packages: {words}; {next}")]
    Install {
        /// uv or pip.
        installer: &'static str,
        /// Its last words.
        words: String,
        /// What to do.
        next: &'static str,
        /// The call.
        source: Box<ToolError>,
    },
    /// A tool that should have worked.
    #[error("what is installed could not be listed: {words}")]
    Freeze {
        /// Its last words.
        words: String,
        /// The call.
        source: Box<ToolError>,
    },
    /// A file of ours.
    #[error("`{}` cannot be written: {source}; free space on the worker, or see its log", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl EnvironmentError {
    /// Tells a network that is down from a wish that cannot be met.
    pub(super) fn install(installer: &'static str, words: &str, source: ToolError) -> Self {
        let lower = words.to_ascii_lowercase();
        let network = ["dns error", "error (connect)", "connection refused", "timed out", "name resolution"];
        let next = if source.disk_full() {
            "free space on the worker"
        } else if network.iter().any(|sign| lower.contains(sign)) {
            "check the worker's network, proxy and package index settings, then reset and enqueue the task again"
        } else {
            "correct the requirements in the task's EXECUTION tab"
        };
        Self::Install { installer, words: words.trim_end_matches('.').to_owned(), next, source: Box::new(source) }
    }

    /// Whether a full disk was the reason.
    pub(in crate::payload) fn disk_full(&self) -> bool {
        match self {
            Self::NoInterpreter { .. } | Self::NoUv { .. } | Self::RequirementsFile { .. } => false,
            Self::Create { source, .. } | Self::Install { source, .. } | Self::Freeze { source, .. } => {
                source.disk_full()
            }
            Self::Write { source, .. } => is_disk_full(source),
        }
    }
}
