//! The small root process that builds the sandbox, starts and reaps the payload, spools its output and records its end.
//!
//! Straight synchronous code with one thread, in this order: [`sanitize`], the run directory's lock, spec and secrets,
//! the cgroup, `started.json`, then each stage as a process tree of its own ([`tree`], [`init`], [`payload`]) that
//! [`watch`] waits for, and last of all, when no process of the Run lives, `exit.json`.
//!
//! | module | what |
//! |---|---|
//! | [`course`] | which stage follows which, and what is made of its answer |
//! | [`ground`] | what a stage sees: orders, paths, places |
//! | [`watch`] | the one loop: output, answers, signals, the stop escalation |
//! | [`tree`], [`init`], [`descendants`], [`cgroup`] | the processes of a stage, and their end |
//! | [`rootfs`], [`privileges`], [`seccomp`], [`rlimits`] | what separates them from the host |
//! | [`devices`] | whether the unit's device policy holds |
//! | [`environment`], [`walk`] | finished environments, sealed |
//! | [`spool`], [`last_line`], [`journal`] | their output |
//! | [`disk`], [`footprint`], [`turn`] | what the Run has on the disk, and that it does not fill it |
//! | [`stage`] | the other end, inside |
//! | [`probe`] | whether namespaces can be had here |

mod cgroup;
mod course;
mod descendants;
mod devices;
mod disk;
mod environment;
mod footprint;
mod ground;
mod inbox;
mod init;
mod journal;
mod last_line;
mod payload;
mod privileges;
pub mod probe;
mod record;
mod rlimits;
mod rootfs;
mod sanitize;
mod seccomp;
mod spool;
pub mod stage;
mod tree;
mod turn;
mod walk;
mod watch;
mod word;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::prctl;
use nix::sys::resource::{UsageWho, getrusage};

use self::cgroup::Cgroup;
pub use self::devices::DevicePolicy;
use self::disk::DiskWatch;
use self::inbox::Inbox;
use self::journal::Journal;
use self::record::Reserved;
use self::spool::Spool;
use self::watch::{Stopping, Why};
use crate::domain::handover::{
    End, ExitRecord, Isolation, Progress, RunSpec, Secrets, Stage, Started, Usage, VERSION, file,
};
use crate::domain::ids::UnixMillis;
use crate::domain::limits::Controllers;
use crate::sys::disk::room;
use crate::sys::{durable, identity};

/// A disk with less is full.
const LEAST_ROOM: u64 = 1 << 20;

/// Why a Run did not even get a record.
#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    /// The run directory cannot be used.
    #[error("cannot {operation} {path}: {reason}; nothing of the Run was started")]
    Directory {
        /// `read`.
        operation: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The process cannot be set up.
    #[error("cannot {operation}: {reason}; nothing of the Run was started")]
    Process {
        /// `wait for signals`.
        operation: &'static str,
        /// Why.
        reason: String,
    },
}

/// How a call of [`run`] went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Performed {
    /// The Run has ended and is recorded.
    Recorded,
    /// Another shim has or had this Run: a Run is never started twice.
    NotOurs,
}

/// The shim of one Run.
#[derive(Debug)]
struct Shim {
    directory: PathBuf,
    stage_program: PathBuf,
    spec: RunSpec,
    secrets: Secrets,
    cgroup: Option<Cgroup>,
    inbox: Inbox,
    spool: Spool,
    journal: Option<Journal>,
    started: Started,
    progress: Progress,
    stop: Option<Stopping>,
    killed: bool,
    disk: DiskWatch,
    began: Instant,
}

/// Carries out the Run in `directory`, from spec to record. `stage_program` is started with the argument `stage`
/// inside the sandbox; it is this program itself (`/proc/self/exe`) but in tests.
///
/// # Errors
/// When there is no Run to carry out, or no record can be kept of it.
pub fn run(directory: &Path, stage_program: &Path, devices: DevicePolicy) -> Result<Performed, ShimError> {
    sanitize::shim().map_err(process("close descriptors"))?;
    let directory = fs::canonicalize(directory).map_err(in_directory("find", directory))?;
    let Some(_lock) = lock(&directory)? else { return Ok(Performed::NotOurs) };
    if [file::STARTED, file::EXIT].iter().any(|name| directory.join(name).exists()) {
        return Ok(Performed::NotOurs);
    }
    become_supervisor()?;
    let inbox = Inbox::open().map_err(|error| process("wait for signals")(error.into()))?;
    let (spec, secrets) = take_orders(&directory)?;
    let path = directory.join(file::EXIT);
    let reserved = Reserved::make(&path).map_err(in_directory("reserve room for", &path))?;
    let missing = devices::missing(devices, &spec).into_iter().collect();
    let (shim, refusal) = Shim::start(directory, stage_program, spec, secrets, (inbox, missing))?;
    shim.finish(refusal, reserved)
}

fn process(operation: &'static str) -> impl FnOnce(io::Error) -> ShimError {
    move |error| ShimError::Process { operation, reason: error.to_string() }
}

fn in_directory<E: ToString>(operation: &'static str, path: &Path) -> impl FnOnce(E) -> ShimError {
    let path = path.to_owned();
    move |error| ShimError::Directory { operation, path, reason: error.to_string() }
}

fn lock(directory: &Path) -> Result<Option<Flock<File>>, ShimError> {
    let path = directory.join("shim.lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(in_directory("open", &path))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(in_directory("lock", &path)(error)),
    }
}

fn become_supervisor() -> Result<(), ShimError> {
    // It leads a session already where the launcher has seen to that.
    let _ = nix::unistd::setsid();
    prctl::set_child_subreaper(true).map_err(|error| process("become a subreaper")(error.into()))?;
    let _ = prctl::set_name(c"clearmld-shim");
    // When memory is short, the payload goes first. Without CAP_SYS_RESOURCE the value cannot be lowered.
    let adjusted = File::options().write(true).open("/proc/self/oom_score_adj").and_then(|mut f| f.write_all(b"-900"));
    drop(adjusted);
    Ok(())
}

fn take_orders(directory: &Path) -> Result<(RunSpec, Secrets), ShimError> {
    let path = directory.join(file::SPEC);
    let spec: RunSpec = durable::read_json(&path).map_err(in_directory("read", &path))?;
    if spec.version != VERSION {
        let reason = format!("it has version {}, and this clearmld-shim knows {VERSION}", spec.version);
        return Err(ShimError::Directory { operation: "understand", path, reason });
    }
    let path = directory.join(file::SECRETS);
    let secrets = durable::read_json(&path);
    // Read or not: nothing else may find them.
    let removed = fs::remove_file(&path);
    let secrets = secrets.map_err(in_directory("read", &path))?;
    removed.map_err(in_directory("remove", &path))?;
    Ok((spec, secrets))
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A line for people, in `shim.log`.
fn log(text: &str) {
    let _ = writeln!(io::stderr(), "clearmld-shim: {text}");
}

// === impl Shim ===

impl Shim {
    /// Says that the Run has started. The second value says why it must not go on.
    fn start(
        directory: PathBuf,
        stage_program: &Path,
        spec: RunSpec,
        secrets: Secrets,
        (inbox, mut missing): (Inbox, Vec<String>),
    ) -> Result<(Self, Option<End>), ShimError> {
        let cgroup = join_cgroup(&spec, &mut missing);
        let refusal = refuse(&spec, cgroup.as_ref());
        if spec.isolation == Isolation::Subreaper {
            missing.push("no namespaces: the task sees the host's files and processes as its user does".to_owned());
        }
        let shim = identity::of(std::process::id()).map_err(process("find out who it is"))?;
        let started = Started { version: VERSION, run: spec.run.clone(), shim, at: now(), missing };
        let path = directory.join(file::STARTED);
        durable::write_json(&path, &started).map_err(in_directory("write", &path))?;
        let path = directory.join(file::SPOOL);
        let spool = Spool::open(&path, spec.spool_budget).map_err(in_directory("open", &path))?;
        let progress = Progress {
            version: VERSION,
            stage: Stage::Source,
            since: now(),
            pid: None,
            source: None,
            environment: None,
        };
        let stage_program = stage_program.to_owned();
        let (stop, killed, began) = (None, false, Instant::now());
        let journal = Journal::open(&spec, &secrets, 0);
        let disk = DiskWatch::new(spec.disk_reserve);
        let shim = Self {
            directory,
            stage_program,
            spec,
            secrets,
            cgroup,
            inbox,
            spool,
            journal,
            started,
            progress,
            stop,
            killed,
            disk,
            began,
        };
        Ok((shim, refusal))
    }

    /// Runs the stages and records the end.
    fn finish(mut self, refusal: Option<End>, reserved: Reserved) -> Result<Performed, ShimError> {
        let (stage, end) = match refusal {
            Some(end) => (Stage::Source, end),
            None => self.course(),
        };
        self.make_room();
        let (end, stop) = match &self.stop {
            Some(Stopping { why: Why::DiskFull { reason }, .. }) => (End::DiskFull { reason: reason.clone() }, None),
            Some(Stopping { why: Why::Asked(request), .. }) => (end, Some(request.clone())),
            None => (end, None),
        };
        self.spool.sync();
        let at_ms = self.now_ms();
        if let Some(journal) = &mut self.journal {
            journal.end(at_ms);
        }
        let record = ExitRecord {
            version: VERSION,
            run: self.spec.run.clone(),
            at: now(),
            stage,
            end,
            stop,
            killed: self.killed,
            last_line: self.spool.last_line(),
            dropped: self.spool.dropped(),
            disk_full: self.disk_is_full(),
            usage: self.usage(),
        };
        if let Some(cgroup) = &self.cgroup {
            cgroup.remove();
        }
        reserved.fill(&record).map_err(in_directory("write", &self.directory.join(file::EXIT)))?;
        if let Some(journal) = self.journal {
            journal.linger();
        }
        Ok(Performed::Recorded)
    }

    /// Takes output of the payload: into the spool first, then into the journal.
    fn take(&mut self, bytes: &[u8]) {
        self.spool.take(bytes);
        let (stage, now) = (self.progress.stage, self.now_ms());
        if let Some(journal) = &mut self.journal {
            journal.take(stage, bytes, now);
        }
    }

    /// A line of our own in the output.
    fn say(&mut self, text: &str) {
        self.take(format!("[clearmld] {text}\n").as_bytes());
    }

    fn disk_is_full(&self) -> bool {
        room(&self.directory).is_ok_and(|room| room.free < LEAST_ROOM)
    }

    /// Notes something that the sandbox could not have, for `clearmlctl status`.
    fn lacks(&mut self, what: String) {
        log(&what);
        if let Some(journal) = &mut self.journal {
            journal.remark(&what);
        }
        if !self.started.missing.contains(&what) {
            self.started.missing.push(what);
            let _ = durable::write_json(&self.directory.join(file::STARTED), &self.started);
        }
    }

    fn write_progress(&self) {
        if let Err(error) = durable::write_json(&self.directory.join(file::PROGRESS), &self.progress) {
            // The Run goes on: progress is for people, and the next write may have room again.
            log(&format!("cannot write {}: {error}", file::PROGRESS));
        }
    }

    fn usage(&self) -> Usage {
        let counted = self.cgroup.as_ref().map(Cgroup::usage).unwrap_or_default();
        let Ok(children) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return counted };
        let micros = |time: nix::sys::time::TimeVal| {
            let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
            seconds.saturating_mul(1_000_000).saturating_add(u64::try_from(time.tv_usec()).unwrap_or(0))
        };
        let (user, system) = (micros(children.user_time()), micros(children.system_time()));
        let largest = u64::try_from(children.max_rss()).unwrap_or(0).saturating_mul(1024);
        let or = |figure: u64, other: u64| if figure == 0 { other } else { figure };
        Usage {
            cpu_micros: or(counted.cpu_micros, user + system),
            user_micros: or(counted.user_micros, user),
            system_micros: or(counted.system_micros, system),
            peak_memory: or(counted.peak_memory, largest),
            ..counted
        }
    }
}

fn join_cgroup(spec: &RunSpec, missing: &mut Vec<String>) -> Option<Cgroup> {
    let Some(path) = &spec.cgroup else {
        missing.push("no cgroup: memory and CPU are not limited, and figures are approximate".to_owned());
        return None;
    };
    match Cgroup::enter(path) {
        Ok(cgroup) => {
            if !cgroup.kills_at_once() {
                missing.push("no cgroup.kill (Linux 5.14): processes are killed one by one".to_owned());
            }
            if !cgroup.counts_memory() {
                missing.push("no memory controller in the cgroup: out of memory is not recognised".to_owned());
            }
            Some(cgroup)
        }
        Err(error) => {
            missing.push(format!("no cgroup: {} cannot be used: {error}", path.display()));
            None
        }
    }
}

/// What no shim starts, whoever asks.
fn refuse(spec: &RunSpec, cgroup: Option<&Cgroup>) -> Option<End> {
    let launch_failed = |reason: String| Some(End::LaunchFailed { reason });
    if let Err(error) = privileges::check(&spec.identity) {
        return launch_failed(error.to_string());
    }
    if spec.isolation == Isolation::Namespaces && !nix::unistd::geteuid().is_root() {
        return launch_failed(
            "namespaces need root; the daemon must ask for `subreaper` as an ordinary user".to_owned(),
        );
    }
    let limited = match cgroup {
        Some(cgroup) => cgroup.limit(&spec.limits).map_err(|error| error.to_string()),
        None => Controllers { place: "it has no cgroup".to_owned(), ..Controllers::default() }
            .lacking(&spec.limits)
            .map_err(|error| error.to_string()),
    };
    limited.err().and_then(|error| launch_failed(format!("its limits ({}) cannot be enforced: {error}", spec.limits)))
}
