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

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::ids::{RunId, TaskId, UnixMillis};
use super::stop::StopReason;

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

/// What a Run is, whole: the shim needs nothing else and asks nobody.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSpec {
    /// [`VERSION`].
    pub version: u32,
    /// The Run.
    pub run: RunId,
    /// The Task it attempts.
    pub task: TaskId,
    /// Who the payload is.
    pub identity: Identity,
    /// What separates the payload from the host.
    pub isolation: Isolation,
    /// The Run's own cgroup v2 directory, made by the launcher; the shim makes `shim` and `payload` below it.
    pub cgroup: Option<PathBuf>,
    /// Host paths that the payload must not see: the state directory, the socket's directory, the configuration.
    pub hidden: Vec<PathBuf>,
    /// Caches shared inside a cache domain.
    pub caches: Caches,
    /// Directories put in front of the payload's PATH (none is writable by it).
    pub tools: Vec<PathBuf>,
    /// Device nodes of the host (below /dev) that the payload gets, besides the harmless ones.
    #[serde(default)]
    pub devices: Vec<PathBuf>,
    /// From SIGTERM to SIGKILL, when nobody says otherwise.
    pub stop_grace_ms: u64,
    /// Bytes that the spool may hold on disk; beyond it output is counted and dropped, never waited for.
    pub spool_budget: u64,
    /// Where the code comes from.
    pub source: SourceSpec,
    /// What it needs.
    pub environment: EnvironmentSpec,
    /// What is run.
    pub program: ProgramSpec,
}

/// The payload's user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Never 0, unless the daemon itself runs as an ordinary user: then it is that user.
    pub uid: u32,
    /// Its only group.
    pub gid: u32,
    /// USER and LOGNAME.
    pub user: String,
    /// Whether the host's passwd knows it; else the sandbox gets a passwd of its own with an entry.
    pub known_to_host: bool,
}

/// What separates the payload from the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Own pid, mount, ipc and uts namespaces below an init of ours; needs root.
    Namespaces,
    /// The shim is a subreaper and ends every descendant; no separation of files. For ordinary users.
    Subreaper,
}

/// Directories shared by the Runs of one cache domain. They exist, and belong to the payload's user, but for
/// `environments`, which belongs to the shim's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caches {
    /// Bare git mirrors.
    pub mirrors: PathBuf,
    /// uv's or pip's own download cache.
    pub packages: PathBuf,
    /// Sealed environments, by key.
    pub environments: PathBuf,
}

/// Where the code comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// A git repository, if the task names one.
    pub repository: Option<Repository>,
    /// What is put on top of it.
    pub overlay: Overlay,
}

/// A git repository at a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// As the task says it; never holds a password (see [`Secrets::git`]).
    pub url: String,
    /// The exact commit, which wins over `tag`, which wins over `branch`.
    pub commit: Option<String>,
    /// A tag.
    pub tag: Option<String>,
    /// A branch; with none of the three the remote's HEAD is meant.
    pub branch: Option<String>,
}

/// What the task's `script.diff` is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Overlay {
    /// Nothing.
    None,
    /// Uncommitted changes, for `git apply`.
    Diff {
        /// The diff, as the SDK recorded it.
        text: String,
    },
    /// A whole program.
    Script {
        /// Its path below the code directory.
        file: PathBuf,
        /// Its text.
        text: String,
    },
}

/// What the program needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentSpec {
    /// The wanted Python, such as `3.11` or `3.11.4`; none means any.
    pub python: Option<String>,
    /// What to install.
    pub requirements: Requirements,
    /// With what.
    pub installer: Installer,
    /// Further package indexes, without credentials.
    pub extra_index_urls: Vec<String>,
    /// Further arguments for the installer, from the configuration.
    pub extra_arguments: Vec<String>,
    /// Whether packages of the interpreter itself are visible (`agent.package_manager.system_site_packages`).
    pub system_site_packages: bool,
    /// Host directories to look for interpreters in, besides the usual ones.
    pub python_search: Vec<PathBuf>,
}

/// What to install.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Requirements {
    /// No Python environment at all: the program is no Python program.
    Nothing,
    /// These lines, in pip's requirements format (possibly none).
    Lines {
        /// The text.
        text: String,
    },
    /// The task names none: every `requirements.txt` from the repository's root down to the working directory.
    FromRepository,
}

/// The program that installs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Installer {
    /// uv, at this path.
    Uv {
        /// An executable that the payload's user may run.
        path: PathBuf,
    },
    /// venv and pip of the interpreter.
    Pip,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSpec {
    /// How.
    pub entry: Entry,
    /// After it.
    pub arguments: Vec<String>,
    /// Below the code directory; empty for the code directory itself.
    pub working_dir: PathBuf,
    /// The whole environment but for what the sandbox adds (HOME, USER, LOGNAME, PATH, TMPDIR, VIRTUAL_ENV, PYTHONPATH).
    pub variables: BTreeMap<String, String>,
}

/// How the program is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Entry {
    /// `python -u FILE`.
    PythonFile {
        /// Below the working directory.
        file: PathBuf,
    },
    /// `python -u -m MODULE`.
    PythonModule {
        /// The module.
        module: String,
    },
    /// `python -u -c CODE`.
    PythonCode {
        /// The code.
        code: String,
    },
    /// `INTERPRETER FILE`, such as `bash run.sh`; the interpreter is looked up on the payload's PATH.
    Other {
        /// The interpreter and its own arguments.
        command: Vec<String>,
        /// Below the working directory.
        file: PathBuf,
    },
    /// `INTERPRETER CODE`, such as `bash -c 'make run'`.
    OtherCode {
        /// The interpreter and its own arguments, the one that announces code last.
        command: Vec<String>,
        /// The code.
        code: String,
    },
}

/// What must never be in argv, in a log or in a world-readable file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// [`VERSION`].
    pub version: u32,
    /// Variables of the program (`CLEARML_AUTH_TOKEN`, …).
    #[serde(serialize_with = "expose_map")]
    pub variables: BTreeMap<String, SecretString>,
    /// For the source and environment stages.
    pub git: Vec<GitCredential>,
    /// Package index URLs with credentials in them, for the environment stage.
    #[serde(serialize_with = "expose_list")]
    pub index_urls: Vec<SecretString>,
    /// clearml.conf as the SDK may read it, written into the payload's home before the program starts.
    #[serde(default, serialize_with = "expose_option")]
    pub sdk_config: Option<SecretString>,
}

/// A user and password for a git host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GitCredential {
    /// Only this host; none for every host.
    pub host: Option<String>,
    /// The user.
    pub user: String,
    /// The password or personal access token.
    #[serde(serialize_with = "expose")]
    pub password: SecretString,
}

fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn expose_option<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
}

fn expose_map<S: Serializer>(map: &BTreeMap<String, SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(map.iter().map(|(name, secret)| (name, secret.expose_secret())))
}

fn expose_list<S: Serializer>(list: &[SecretString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(ExposeSecret::expose_secret))
}

/// Which process the shim is. A pidfd of `pid` is trusted only when `start_ticks` and `boot_id` match too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// In the host's pid namespace.
    pub pid: u32,
    /// Field 22 of /proc/PID/stat.
    pub start_ticks: u64,
    /// /proc/sys/kernel/random/boot_id.
    pub boot_id: String,
}

/// `started.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// [`VERSION`].
    pub version: u32,
    /// The Run.
    pub run: RunId,
    /// The shim.
    pub shim: ProcessIdentity,
    /// When.
    pub at: UnixMillis,
    /// What the sandbox could not have here, in words for an operator ("no cgroup v2", …).
    pub missing: Vec<String>,
}

/// One act of the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The code is fetched.
    Source,
    /// The packages are installed.
    Environment,
    /// The user's program runs.
    Program,
}

impl Stage {
    /// As it is written for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Environment => "environment",
            Self::Program => "program",
        }
    }
}

/// `progress.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// [`VERSION`].
    pub version: u32,
    /// The stage that is on.
    pub stage: Stage,
    /// Since when.
    pub since: UnixMillis,
    /// The first process of the stage, in the host's pid namespace; for `program` this is the user's program.
    pub pid: Option<u32>,
    /// What the source stage found, once it has ended.
    pub source: Option<SourceReport>,
    /// What the environment stage made, once it has ended.
    pub environment: Option<EnvironmentReport>,
}

/// What the source stage found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// The commit that is checked out, if there is a repository.
    pub commit: Option<String>,
}

/// What the environment stage made or found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentReport {
    /// Its content address.
    pub key: String,
    /// Whether it was there already.
    pub cached: bool,
    /// The interpreter's version.
    pub python_version: String,
    /// What is installed, a requirement a line.
    pub frozen: Vec<String>,
}

/// `stop.json`: a stop is an input of a Run, not a phase.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// [`VERSION`].
    pub version: u32,
    /// Why.
    pub reason: StopReason,
    /// From SIGTERM to SIGKILL. 0 kills at once.
    pub grace_ms: u64,
}

/// `exit.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// [`VERSION`].
    pub version: u32,
    /// The Run.
    pub run: RunId,
    /// When the last process had gone.
    pub at: UnixMillis,
    /// The stage that was on.
    pub stage: Stage,
    /// How it ended.
    pub end: End,
    /// The stop that was being carried out, if any.
    pub stop: Option<StopRequest>,
    /// Whether processes had to be killed because they outlived SIGTERM and the grace.
    pub killed: bool,
    /// The last line on the output that was not blank, cut to 500 characters.
    pub last_line: Option<String>,
    /// Bytes of output that did not fit into the spool's budget or onto the disk.
    pub dropped: u64,
    /// What the kernel counted.
    pub usage: Usage,
}

/// How a Run ended, as the shim saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum End {
    /// The program (or a stage's process) exited.
    Exited {
        /// Its code.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// Its number.
        signal: i32,
    },
    /// A stage before the program could not do its work, and said why.
    StageFailed {
        /// For the person who reads the task's status.
        reason: String,
    },
    /// The sandbox could not be built or the program not be started.
    LaunchFailed {
        /// For the operator.
        reason: String,
    },
    /// The Run's disk was full.
    DiskFull {
        /// What was being written.
        reason: String,
    },
}

/// What the kernel counted; zero where it could not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// User and system time of all processes.
    pub cpu_micros: u64,
    /// Peak memory in bytes: of the cgroup, else of the largest process.
    pub peak_memory: u64,
    /// `oom_kill` of memory.events.
    pub oom_kills: u64,
}

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
