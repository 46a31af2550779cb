//! `spec.json`: what a Run is, whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::journal::JournalSpec;
use crate::domain::ids::{RunId, TaskId};
use crate::domain::limits::Limits;

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
    /// What it may use at most. A limit that cannot be enforced ends the Run before it starts.
    #[serde(default)]
    pub limits: Limits,
    /// Bytes of the disk that are left free, whatever the Run writes; none for what is usual on such a disk.
    #[serde(default)]
    pub disk_reserve: Option<u64>,
    /// Which system calls the payload has.
    #[serde(default)]
    pub seccomp: Seccomp,
    /// From SIGTERM to SIGKILL, when nobody says otherwise.
    pub stop_grace_ms: u64,
    /// Bytes that the spool may hold on disk; beyond it output is counted and dropped, never waited for.
    pub spool_budget: u64,
    /// What of the output goes to the journal; none where there is no journal or it is not wanted.
    #[serde(default)]
    pub journal: Option<JournalSpec>,
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

/// Which system calls the payload has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seccomp {
    /// What programs need, and nothing that administers a host.
    #[default]
    Default,
    /// That, and io_uring.
    IoUring,
    /// All that its user may call.
    Off,
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
