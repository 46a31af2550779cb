#![expect(clippy::disallowed_methods, reason = "a test owns its tasks until it ends")]
//! A daemon's door over a scripted engine and a scripted server: real socket, real gRPC, answers by the book below.
//! What is not in the book is an error.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use clearmld::api::{self, Door, access};
use clearmld::domain::cause::Cause;
use clearmld::domain::declared::Change;
use clearmld::domain::explain::Finding;
use clearmld::domain::gpu::GpuClaim;
use clearmld::domain::hours::{KeptHours, LocalHour, Timetable, Weekday};
use clearmld::domain::ids::{RunId, StateId, TaskId, UnixMillis, WorkerName};
use clearmld::domain::run::{Claimed, Exited, Phase, RunRecord, Running, Settled};
use clearmld::domain::schedule::Paused;
use clearmld::domain::worker::{Intent, Origin, QueueRef, Worker};
use clearmld::engine::handle::{
    Command, EngineError, Event, Handle, HostStatus, Reload, RunView, ServerLink, Subject, WorkerActivity, WorkerDraft,
    WorkerView,
};
use clearmld::engine::ports::{Desk, DeskTask, LauncherDescription, ServerError, ServerIdentity};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

#[path = "desk.rs"]
mod desk;
#[path = "gpus.rs"]
mod gpus;

/// A task that is there; its name tries to talk to terminals.
pub(crate) const TASK: &str = "aaaa0001000000000000000000000001";
/// A task that fails when it is followed.
pub(crate) const BAD_TASK: &str = "bbbb0002000000000000000000000002";
/// Busy, on [`LIVE_RUN`].
pub(crate) const BUSY: &str = "host:gpu0";
/// A Run whose spool grows until [`Daemon::end_live_run`].
pub(crate) const LIVE_RUN: &str = "run0live";
/// A Run that failed; its spool is there.
pub(crate) const FAILED_RUN: &str = "run1fail";
/// A Run that completed; its output is at the server only.
pub(crate) const GONE_RUN: &str = "run2gone";
/// What [`GONE_RUN`] had printed.
pub(crate) const GONE_OUTPUT: &str = "epoch 1\nepoch 2\nepoch 3\n";

/// The door, open.
pub(crate) struct Daemon {
    pub(crate) socket: PathBuf,
    pub(crate) live_spool: PathBuf,
    pub(crate) events: broadcast::Sender<Event>,
    script: Arc<Script>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Result<(), api::ServeError>>,
    _directory: tempfile::TempDir,
}

#[derive(Debug)]
struct Script {
    directory: PathBuf,
    live: AtomicBool,
    asked: Mutex<Vec<String>>,
    looks: AtomicUsize,
}

impl Daemon {
    pub(crate) fn open(inside: access::Decision) -> Self {
        // With no subscriber at all on another test's thread, tracing would remember that nobody wants the audit lines.
        let _ = tracing_subscriber::fmt().with_writer(std::io::sink).try_init();
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("run/clearmld.sock");
        let script = Arc::new(Script {
            directory: directory.path().to_owned(),
            live: AtomicBool::new(true),
            asked: Mutex::new(Vec::new()),
            looks: AtomicUsize::new(0),
        });
        fs::File::create(script.spool(LIVE_RUN)).expect("a spool");
        let mut text = "setting up\n".repeat(10_000);
        text.push_str("\u{1b}]0;owned\u{7}\u{1b}[31mKeyError\u{1b}[0m: 'x'\n");
        fs::File::create(script.spool(FAILED_RUN))
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .expect("a spool");
        let (commands, mut received) = mpsc::channel(8);
        let (events, _) = broadcast::channel(16);
        let engine = Arc::clone(&script);
        tokio::spawn(async move {
            while let Some(command) = received.recv().await {
                engine.answer(command);
            }
        });
        let door = Door {
            listening: api::bind(&socket).expect("the socket is bound"),
            handle: Handle::new(commands, events.clone()),
            desk: Arc::clone(&script) as Arc<dyn Desk>,
            seeing: api::Seeing::default(),
            state: StateId::new("s1").expect("an id"),
            inside,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(api::serve(door, async move {
            let _ = stopped.await;
        }));
        let live_spool = script.spool(LIVE_RUN);
        Self { socket, live_spool, events, script, stop: Some(stop), serving, _directory: directory }
    }

    /// What the engine and the server were asked to change, in order.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.script.asked.lock().expect("no test has panicked with it").clone()
    }

    pub(crate) fn print(&self, text: &str) {
        use std::io::Write;
        let mut spool = fs::OpenOptions::new().append(true).open(&self.live_spool).expect("the spool is there");
        spool.write_all(text.as_bytes()).expect("it is written");
    }

    pub(crate) fn end_live_run(&self) {
        self.script.live.store(false, Ordering::SeqCst);
    }

    /// A clean end; what `serve` returned.
    pub(crate) async fn close(mut self) -> (PathBuf, Result<(), api::ServeError>) {
        drop(self.stop.take());
        (self.socket, self.serving.await.expect("serve does not panic"))
    }
}

/// An operator outside of all Runs: what tests that are not about access say.
pub(crate) fn outside(_: &access::PeerFacts, _: &StateId) -> Option<access::Inside> {
    None
}

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("an identifier")
}

fn queue() -> QueueRef {
    QueueRef { id: id("q1"), name: "default".into() }
}

fn not_found<T>(kind: &'static str, name: impl ToString) -> Result<T, EngineError> {
    Err(EngineError::NotFound { kind, name: name.to_string() })
}

fn view(name: &str, gpus: GpuClaim, intent: Intent, activity: WorkerActivity) -> WorkerView {
    let worker = Worker {
        version: 1,
        name: id(name),
        queues: vec![queue()],
        gpus,
        lending: Default::default(),
        order_fairness: false,
        user: None,
        limits: clearmld::domain::limits::Limits::default(),
        sandbox: Default::default(),
        timetable: Timetable::default(),
        requeue_on_host_loss: false,
        intent,
        added: UnixMillis(1_700_000_000_000),
        origin: Origin::Operator,
    };
    let hours = KeptHours::default();
    WorkerView { worker, hours, activity, runs: Vec::new(), problem: None, paused: None, pending: None }
}

fn explain(subject: &Subject) -> Result<Vec<Finding>, EngineError> {
    let finding = |word, says: String, next| Finding { word, says, next, hinders: word != "ready" };
    match subject {
        Subject::Worker(name) if name.as_str() == BUSY => {
            let says = "queue `a\u{1b}[2J` was empty when it was last asked, 3 s ago".to_owned();
            Ok(vec![
                finding("queue_empty", says, Some("enqueue one".into())),
                finding("ready", "else none".into(), None),
            ])
        }
        Subject::Worker(name) => not_found("worker", name),
        Subject::Task(key) => Ok(vec![finding("never_seen", format!("never had `{key}`"), None)]),
        Subject::Gpu(id) => not_found("gpu", id),
    }
}

impl Script {
    fn spool(&self, run: &str) -> PathBuf {
        self.directory.join(format!("{run}.spool"))
    }

    fn note(&self, what: String) {
        self.asked.lock().expect("no test has panicked with it").push(what);
    }

    fn busy(&self) -> WorkerView {
        let activity = WorkerActivity::Busy { run: id(LIVE_RUN), task: id(TASK) };
        let timetable = Timetable::of(&["9-17 MON-FRI".to_owned()], &[]).expect("hours");
        let hours = KeptHours { timetable, said_in: Some("agent.uptime, /etc/clearmld/clearml.conf:7".to_owned()) };
        WorkerView { hours, ..view(BUSY, id("0"), Intent::Active, activity) }
    }

    fn runs(&self) -> Vec<RunView> {
        let live = self.live.load(Ordering::SeqCst);
        let run = |name: &str, phase: Phase| {
            let gpus = id("0");
            let mut record =
                RunRecord::claim(id(name), id(BUSY), queue(), id(TASK), gpus, UnixMillis(1_700_000_000_000));
            record.task_name = "train \u{1b}[31mred".into();
            record.phase = phase;
            let live = name == LIVE_RUN && live;
            RunView { record, progress: None, spool: self.spool(name), live }
        };
        let ended = |cause| {
            let (at, started) = (UnixMillis(1_700_000_090_000), Some(UnixMillis(1_700_000_030_000)));
            let exited = Exited { cause, record: None, at, started, requeue: None, remark: None };
            Phase::Settled(Settled { exited, at: UnixMillis(1_700_000_091_000), note: None })
        };
        let shim = clearmld::domain::handover::ProcessIdentity { pid: 1, start_ticks: 1, boot_id: "b".into() };
        vec![
            run(LIVE_RUN, Phase::Running(Running { shim, started: UnixMillis(1_700_000_001_000) })),
            run(FAILED_RUN, ended(Cause::ExitCode { code: 3, last_line: Some("KeyError: 'x'".into()) })),
            run(GONE_RUN, ended(Cause::ExitCode { code: 0, last_line: None })),
            run("run3claim", Phase::Claimed(Claimed { popped: false, announced: false })),
        ]
    }

    fn status(&self) -> HostStatus {
        HostStatus {
            version: "0.1.0".into(),
            host: "host".into(),
            state_dir: "/var/lib/clearmld".into(),
            state_id: id("s1"),
            since: UnixMillis(1_700_000_000_000),
            draining: self.asked.lock().expect("no test has panicked with it").iter().any(|asked| asked == "drain"),
            server: ServerIdentity { api_url: "http://127.0.0.1:8008".into(), ..ServerIdentity::default() },
            link: ServerLink::Down {
                since: UnixMillis(1_700_000_000_000),
                reason: "connection refused".into(),
                refused: false,
            },
            launcher: LauncherDescription {
                name: "direct",
                missing: vec!["no cgroup v2: no memory limits".into()],
                controllers: clearmld::domain::limits::Controllers::default(),
            },
            remarks: vec![],
            workers: 1,
            live_runs: 1,
            unsettled_runs: 0,
            all_runs: String::new(),
        }
    }

    fn reload(&self) -> Reload {
        let path = "/etc/clearmld/workers.d/w.toml".to_owned();
        let refused = Change::Refuse { path: path.clone(), name: None, reasons: vec!["line 1: no".into()] };
        let removed = Change::Remove { name: id(BUSY), path, after: Some(id(LIVE_RUN)) };
        Reload { workers: vec![removed, refused], ..Reload::default() }
    }

    fn add(&self, draft: WorkerDraft) -> Result<WorkerView, EngineError> {
        self.note(format!("add {draft:?}"));
        let queue = draft.queues.first().map_or("default", String::as_str);
        match queue {
            "nowhere" => return not_found("queue", queue),
            "away" => {
                let reason = "connection refused".into();
                return Err(EngineError::Server(ServerError::Unreachable {
                    call: "queues.get_all",
                    reason,
                    maybe_done: false,
                }));
            }
            _ => {}
        }
        if draft.user.as_deref() == Some("root") {
            return Err(EngineError::Invalid { reason: "root may not run tasks".into() });
        }
        let name = draft.name.as_ref().map_or("host:new", WorkerName::as_str);
        if name == BUSY {
            return Err(EngineError::Conflict { reason: format!("there is a worker `{BUSY}` already") });
        }
        let mut added = view(name, draft.gpus.unwrap_or(GpuClaim::All), Intent::Active, WorkerActivity::Idle);
        added.worker.limits = draft.limits;
        let tuesday = LocalHour { day: Weekday::Tuesday, hour: 12 };
        added.paused = draft.timetable.check(tuesday).err().map(Paused::Outside);
        added.hours = KeptHours { timetable: draft.timetable.clone(), said_in: None };
        added.worker.timetable = draft.timetable;
        Ok(added)
    }

    fn answer(&self, command: Command) {
        // Whoever asked may have gone.
        match command {
            Command::Status(reply) => drop(reply.send(Ok(self.status()))),
            Command::Workers(reply) => drop(reply.send(Ok(vec![self.busy()]))),
            Command::AddWorker(draft, reply) => drop(reply.send(self.add(*draft))),
            Command::StopWorker { name, now, reply } => {
                self.note(format!("stop {name} {now}"));
                drop(reply.send(if name.as_str() == BUSY { Ok(self.busy()) } else { not_found("worker", name) }));
            }
            Command::ResumeWorker { name, reply } => {
                self.note(format!("resume {name}"));
                drop(reply.send(if name.as_str() == BUSY { Ok(self.busy()) } else { not_found("worker", name) }));
            }
            Command::RemoveWorker { name, now, reply } => {
                self.note(format!("remove {name} {now}"));
                let reason = format!("worker `{name}` has run {LIVE_RUN}; stop it, or use --now");
                drop(reply.send(if now { Ok(()) } else { Err(EngineError::Conflict { reason }) }));
            }
            Command::Gpus { age, reply } => {
                self.note(format!("gpus {}", age.as_secs()));
                drop(reply.send(Ok(gpus::view())));
            }
            Command::Explain { subject, reply } => drop(reply.send(explain(&subject))),
            Command::OrderGpu { gpu, order, reason, reply } => {
                self.note(format!("{order:?} {gpu} {reason}"));
                drop(reply.send(gpus::order(&gpu, order, reason)));
            }
            Command::ReserveGpu { asked, reply } => {
                self.note(format!(
                    "reserve {} for {} ms when_free={}: {}",
                    asked.gpu, asked.ms, asked.when_free, asked.reason
                ));
                let reason = format!("GPU {} is held by run {LIVE_RUN}; wait for it (--when-free)", asked.gpu);
                drop(reply.send(if asked.when_free { Ok(()) } else { Err(EngineError::Conflict { reason }) }));
            }
            Command::ReleaseGpu { gpu, reply } => {
                self.note(format!("release {gpu}"));
                drop(reply.send(Ok(())));
            }
            Command::Runs(reply) => drop(reply.send(Ok(self.runs()))),
            Command::StopRun { run, grace_ms, reply } => {
                self.note(format!("stop {run} {grace_ms:?}"));
                let found = self.runs().into_iter().find(|view| view.record.id == run && view.live);
                let reason = format!("run {run} has ended already");
                drop(reply.send(found.ok_or(EngineError::Conflict { reason })));
            }
            Command::Plan(reply) => drop(reply.send(Ok(self.reload()))),
            Command::Reload(reply) => {
                self.note("reload".into());
                drop(reply.send(Ok(self.reload())));
            }
            Command::Close(reply) => {
                self.note("close".into());
                drop(reply.send(Ok(())));
            }
            Command::Drain(reply) => {
                self.note("drain".into());
                drop(reply.send(Ok(())));
            }
            Command::Resume(reply) => {
                self.note("resume".into());
                drop(reply.send(Err(EngineError::Ledger {
                    path: "/var/lib/clearmld/host.json".into(),
                    reason: "disk full".into(),
                })));
            }
        }
    }

    fn task_now(&self, task: &TaskId) -> DeskTask {
        // A followed task gets on with every look.
        let look = self.looks.fetch_add(1, Ordering::SeqCst);
        let end = if task.as_str() == BAD_TASK { "failed" } else { "completed" };
        let status = ["queued", "in_progress"].get(look).copied().unwrap_or(end);
        DeskTask {
            id: task.clone(),
            name: "train \u{1b}[31mred".into(),
            kind: "training".into(),
            status: status.into(),
            status_reason: if status == "failed" { "worker execution exit code 1".into() } else { String::new() },
            status_message: String::new(),
            last_worker: Some(BUSY.into()),
            last_update: Some("2026-11-24T07:45:00+00:00".into()),
        }
    }
}

/// An event, with a running number.
pub(crate) fn event(sequence: u64) -> Event {
    Event {
        sequence,
        at: UnixMillis(1_700_000_000_000),
        kind: "run_started",
        worker: Some(id(BUSY)),
        run: Some(RunId::new(LIVE_RUN).expect("an id")),
        task: Some(id(TASK)),
        message: "run started".into(),
    }
}
