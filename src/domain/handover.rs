//! The protocol between daemon and shim: files in `runs/<run>/` (0700), and the pipes between the shim and the stages
//! that it starts.
//!
//! | file | written by | when |
//! |---|---|---|
//! | `spec.json` ([`RunSpec`]) | daemon | before launch |
//! | `secrets.json` ([`Secrets`], 0600) | daemon | before launch; the shim removes it once it has been read |
//! | `spool` | daemon, then shim, then daemon | append only; never two writers at once |
//! | `started.json` ([`Started`]) | shim | first of all, before any stage |
//! | `progress.json` ([`Progress`]) | shim | at the start of each stage |
//! | `stop.json` ([`StopRequest`]) | daemon | before SIGUSR1 to the shim (by pidfd); the shim also looks at its start |
//! | `exit.json` ([`ExitRecord`]) | shim | last of all: every process of the Run is gone by then |
//!
//! Every file is written to a temporary name, synced and renamed, and carries a `version`. A daemon adopts version
//! [`VERSION`] and the one before.

mod course;
mod inspection;
mod journal;
mod secrets;
mod spec;
mod stage;
mod usage;

pub use course::{
    End, EnvironmentReport, ExitRecord, ProcessIdentity, Progress, SourceReport, Stage, Started, StopRequest,
};
pub use inspection::{Answer, MARK, Question, Target};
pub use journal::JournalSpec;
pub use secrets::{GitCredential, Secrets};
pub use spec::{
    Caches, Entry, EnvironmentSpec, Identity, Installer, Isolation, Overlay, ProgramSpec, Repository, Requirements,
    RunSpec, Seccomp, SourceSpec,
};
pub use stage::{Act, EnvironmentPlan, StageOrder, StagePaths, StageReport};
pub use usage::Usage;

/// Version of every file described here.
pub const VERSION: u32 = 1;

/// File names inside a run directory.
pub mod file {
    #![expect(missing_docs, reason = "each name says it; the table above says the rest")]
    pub const SPEC: &str = "spec.json";
    pub const SECRETS: &str = "secrets.json";
    pub const SPOOL: &str = "spool";
    pub const STARTED: &str = "started.json";
    pub const PROGRESS: &str = "progress.json";
    pub const STOP: &str = "stop.json";
    pub const EXIT: &str = "exit.json";
    /// What the shim itself has to say (its stderr); for people, never parsed.
    pub const SHIM_LOG: &str = "shim.log";
    /// The payload's own directory: `code/ home/ tmp/ venv/` below it belong to the payload's user.
    pub const WORK: &str = "work";
}
