//! What passes between the shim and the stages that it starts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::course::SourceReport;
use super::secrets::Secrets;
use super::spec::RunSpec;

/// What the shim tells a stage, as JSON on its descriptor 3.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StageOrder {
    /// Which act.
    pub act: Act,
    /// Where things are, as this stage sees them.
    pub paths: StagePaths,
    /// The Run's spec.
    pub spec: RunSpec,
    /// Only what this act needs: git for source and environment, index URLs for environment, variables for program.
    pub secrets: Secrets,
}

/// The acts that `clearmld-shim` performs as the payload's user, inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "act")]
pub enum Act {
    /// Fetch the code.
    Source,
    /// Find the interpreter and compute the environment's key.
    Plan,
    /// Build the environment at `paths.environment`.
    Build {
        /// The answer to [`Act::Plan`].
        plan: EnvironmentPlan,
    },
    /// Replace yourself by the program.
    Program {
        /// The answer to [`Act::Plan`], none for a program that needs no Python environment.
        plan: Option<EnvironmentPlan>,
    },
}

/// Where things are, as a stage sees them: fixed paths inside a mount namespace, real ones without.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagePaths {
    /// The code; made by the source stage, which finds an empty directory of its own.
    pub code: PathBuf,
    /// The virtual environment; an empty directory of the payload's for [`Act::Build`], sealed for [`Act::Program`].
    pub environment: PathBuf,
    /// HOME.
    pub home: PathBuf,
    /// TMPDIR.
    pub tmp: PathBuf,
    /// [`Caches::mirrors`]; writable in `Source` only.
    pub mirrors: PathBuf,
    /// [`Caches::packages`]; writable in `Build` only.
    pub packages: PathBuf,
}

/// Which environment it is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentPlan {
    /// Content address: interpreter, installer, indexes, requirement lines.
    pub key: String,
    /// The interpreter's executable.
    pub python: PathBuf,
    /// Its version.
    pub python_version: String,
    /// The requirement lines, from the task or from the repository.
    pub requirements: String,
}

/// What a stage answers, as JSON on its descriptor 4. [`Act::Program`] answers only when it fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "report")]
pub enum StageReport {
    /// Of [`Act::Source`].
    Source(SourceReport),
    /// Of [`Act::Plan`]; `plan` is none when no Python environment is needed.
    Plan {
        /// The plan.
        plan: Option<EnvironmentPlan>,
    },
    /// Of [`Act::Build`]: what is installed, a requirement a line.
    Built {
        /// The lines.
        frozen: Vec<String>,
    },
    /// Of any act.
    Failed {
        /// For the person who reads the task's status: what, why, and what to do.
        reason: String,
        /// Whether it was for want of disk space.
        disk_full: bool,
    },
}
