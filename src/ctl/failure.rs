//! Why a command failed: the words for stderr and the exit code.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::{Code, Status};

use super::connection::HOST_SOCKET;

/// Wrong usage or a request that makes no sense.
pub(super) const USAGE: u8 = 2;
pub(super) const FAILED: u8 = 1;
const NOT_FOUND: u8 = 3;
pub(super) const DENIED: u8 = 4;
pub(super) const NOT_RUNNING: u8 = 5;
const TIMEOUT: u8 = 6;
pub(super) const CONFLICT: u8 = 7;
const SOMETHING_TO_DO: u8 = 8;

/// See host.proto: what a message and its trailer look like.
const NEXT: &str = ". Next: ";
const REASON: &str = "clearmld-reason";

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The arguments make no sense together.
    Usage { what: String, next: &'static str },
    /// Nobody answers.
    NotRunning { socket: PathBuf, why: String },
    /// The socket may not be opened.
    SocketDenied { socket: PathBuf },
    /// `--timeout`.
    Timeout { limit: Duration },
    /// The daemon refused.
    Refused(Box<Status>),
    /// The connection broke.
    Broken { why: String },
    /// stdout.
    Output(io::Error),
    /// A file of the caller's.
    File { path: PathBuf, error: io::Error },
    /// A file that was to be made.
    Unwritten { path: PathBuf, error: io::Error },
    /// `--follow` saw the task end otherwise than well.
    TaskEnded { task: String, status: String, reason: String },
    /// `init`, in its own words.
    Setup { what: String, next: String, code: u8 },
    /// `doctor` found something.
    Unwell { failed: usize },
    /// `plan --exit-code`.
    SomethingToDo,
    /// `reload`: so many files could not be followed.
    NotAllDone { count: usize },
    /// This process.
    Runtime { why: String },
}

impl Failure {
    pub(super) fn runtime(error: &io::Error) -> Self {
        Self::Runtime { why: error.to_string() }
    }

    pub(super) fn file(path: &Path, error: io::Error) -> Self {
        Self::File { path: path.to_owned(), error }
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Setup { code, .. } => *code,
            Self::Usage { .. } | Self::File { .. } => USAGE,
            Self::Unwritten { .. } => FAILED,
            Self::NotRunning { .. } | Self::Broken { .. } => NOT_RUNNING,
            Self::SocketDenied { .. } => DENIED,
            Self::Timeout { .. } => TIMEOUT,
            Self::Refused(status) if reason(status) == Some("closing") => NOT_RUNNING,
            Self::Refused(status) => of_code(status.code()),
            Self::SomethingToDo => SOMETHING_TO_DO,
            Self::Output(_)
            | Self::TaskEnded { .. }
            | Self::Unwell { .. }
            | Self::NotAllDone { .. }
            | Self::Runtime { .. } => FAILED,
        }
    }

    /// Whether the daemon or the server is away, so that what follows something can wait and go on.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::NotRunning { .. } => true,
            Self::Refused(status) => matches!(reason(status), Some("closing" | "server_unreachable")),
            Self::Usage { .. }
            | Self::SocketDenied { .. }
            | Self::Timeout { .. }
            | Self::Output(_)
            | Self::File { .. }
            | Self::Unwritten { .. }
            | Self::TaskEnded { .. }
            | Self::Setup { .. }
            | Self::Unwell { .. }
            | Self::SomethingToDo
            | Self::NotAllDone { .. }
            | Self::Runtime { .. } => false,
        }
    }

    /// What went wrong, and what to do about it.
    pub(super) fn words(&self) -> (String, String) {
        match self {
            Self::Usage { what, next } => (what.clone(), (*next).to_owned()),
            Self::NotRunning { socket, why } => {
                // Elsewhere it is somebody's own, which no unit starts.
                let start = if socket == Path::new(HOST_SOCKET) { "`systemctl start clearmld`" } else { "`clearmld`" };
                (
                    format!("clearmld does not answer on {}: {why}", socket.display()),
                    format!("start it with {start}, or name its socket with --socket or CLEARMLD_SOCKET"),
                )
            }
            Self::SocketDenied { socket } => (
                format!("you may not open {}", socket.display()),
                "use sudo, or join the operators with `sudo usermod -aG clearml $USER` and log in again".to_owned(),
            ),
            Self::Timeout { limit } => (
                format!("no end within {} s", limit.as_secs_f64()),
                "what was asked may still be carried out: look at `clearmlctl status`, and give a longer --timeout"
                    .to_owned(),
            ),
            Self::Refused(status) => of_status(status),
            Self::Broken { why } => (
                format!("the connection to clearmld broke: {why}"),
                "look at `systemctl status clearmld` and try again; what was asked may have been carried out"
                    .to_owned(),
            ),
            Self::Output(error) => (format!("cannot write to stdout: {error}"), "look at where it leads".to_owned()),
            Self::File { path, error } => {
                (format!("cannot read {}: {error}", path.display()), "correct the path or its permissions".to_owned())
            }
            Self::Unwritten { path, error } => {
                (format!("cannot write {}: {error}", path.display()), "name another file with --file".to_owned())
            }
            Self::TaskEnded { task, status, reason } if reason.is_empty() => {
                (format!("task {task} ended {status}"), format!("its log is `clearmlctl task log {task}`"))
            }
            Self::TaskEnded { task, status, reason } => {
                (format!("task {task} ended {status}: {reason}"), format!("its log is `clearmlctl task log {task}`"))
            }
            Self::Setup { what, next, .. } => (what.clone(), next.clone()),
            Self::Unwell { failed } => {
                let things = if *failed == 1 { "one thing is".to_owned() } else { format!("{failed} things are") };
                (format!("{things} wrong with this host"), "do what stands beside each, and ask again".to_owned())
            }
            Self::SomethingToDo => {
                ("the files say something else than what is".to_owned(), "take it with `clearmlctl reload`".to_owned())
            }
            Self::NotAllDone { count } => (
                format!("{count} could not be followed (marked ! above); all else is done"),
                "correct the files, look with `clearmlctl plan`, and reload again".to_owned(),
            ),
            Self::Runtime { why } => (format!("cannot start: {why}"), "look at the limits of this shell".to_owned()),
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        // What the daemon itself says carries a reason; the rest is the transport's own.
        match (reason(&status), status.code()) {
            (None, Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal) => {
                Self::Broken { why: status.message().to_owned() }
            }
            (Some(_) | None, _) => Self::Refused(Box::new(status)),
        }
    }
}

fn reason(status: &Status) -> Option<&str> {
    status.metadata().get(REASON)?.to_str().ok()
}

fn of_code(code: Code) -> u8 {
    match code {
        Code::InvalidArgument | Code::OutOfRange => USAGE,
        Code::NotFound => NOT_FOUND,
        Code::PermissionDenied | Code::Unauthenticated => DENIED,
        Code::DeadlineExceeded => TIMEOUT,
        Code::AlreadyExists | Code::FailedPrecondition | Code::Aborted => CONFLICT,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::ResourceExhausted
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => FAILED,
    }
}

fn of_status(status: &Status) -> (String, String) {
    match status.message().rsplit_once(NEXT) {
        Some((what, next)) => (what.to_owned(), next.to_owned()),
        None if status.code() == Code::Unimplemented => (
            "this clearmld does not know the command".to_owned(),
            "bring clearmld and clearmlctl to the same version".to_owned(),
        ),
        None => (status.message().to_owned(), "look at `journalctl -u clearmld`".to_owned()),
    }
}
