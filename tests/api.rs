//! The gRPC door through its socket: every rpc, errors, who is refused, what is written down, and a stock client.

#[path = "api/audit.rs"]
mod audit;
#[path = "api/scripted.rs"]
mod scripted;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clearmld::api::{self, BindError, access};
use clearmld::rpc::v1;
use clearmld::rpc::v1::stream_logs_request::Start;
use scripted::{BUSY, Daemon, FAILED_RUN, GONE_OUTPUT, GONE_RUN, LIVE_RUN, TASK, event, outside};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

const PATIENCE: Duration = Duration::from_secs(20);

async fn channel(daemon: &Daemon) -> Channel {
    Endpoint::from_shared(format!("unix:{}", daemon.socket.display()))
        .expect("an address")
        .connect()
        .await
        .expect("the daemon answers")
}

async fn workers(daemon: &Daemon) -> v1::workers_client::WorkersClient<Channel> {
    v1::workers_client::WorkersClient::new(channel(daemon).await)
}

async fn runs(daemon: &Daemon) -> v1::runs_client::RunsClient<Channel> {
    v1::runs_client::RunsClient::new(channel(daemon).await)
}

async fn host(daemon: &Daemon) -> v1::host_client::HostClient<Channel> {
    v1::host_client::HostClient::new(channel(daemon).await)
}

fn adding(name: &str) -> v1::AddWorkerRequest {
    v1::AddWorkerRequest { name: Some(name.into()), ..Default::default() }
}

fn reason(status: &Status) -> &str {
    status.metadata().get("clearmld-reason").and_then(|word| word.to_str().ok()).unwrap_or("")
}

// === Declarations ===

#[tokio::test]
async fn a_plan_and_a_reload_name_each_change_and_each_refusal() {
    let daemon = Daemon::open(outside);
    let mut client = v1::declarations_client::DeclarationsClient::new(channel(&daemon).await);
    let plan = client.plan(v1::PlanRequest {}).await.expect("a plan").into_inner();
    assert!(daemon.asked().is_empty(), "a plan changes nothing");
    let done = client.reload(v1::ReloadRequest {}).await.expect("done").into_inner();
    assert_eq!(daemon.asked(), ["reload"]);
    assert_eq!(plan, done);
    let [removed, refused] = &plan.workers[..] else { panic!("two: {plan:?}") };
    assert_eq!((removed.kind(), removed.name.as_str()), (v1::WorkerChangeKind::Remove, BUSY));
    assert_eq!(removed.after_run_id(), LIVE_RUN);
    assert_eq!((refused.kind(), refused.reasons.len()), (v1::WorkerChangeKind::Refuse, 1));
    assert!(refused.file.ends_with("workers.d/w.toml"));
}

// === Workers ===

#[tokio::test]
async fn a_worker_is_added_as_it_was_asked_for() {
    let daemon = Daemon::open(outside);
    let request = v1::AddWorkerRequest {
        queues: vec!["fast".into(), "slow".into()],
        gpus: Some("0-1".into()),
        user: Some("alice".into()),
        order_fairness: true,
        create_queue: true,
        ..adding("host:two")
    };
    let worker = workers(&daemon).await.add(request).await.expect("it is added").into_inner();
    assert_eq!((worker.name.as_str(), worker.gpus.as_str()), ("host:two", "0,1"));
    assert_eq!(worker.activity(), v1::WorkerActivity::Idle);
    let asked = daemon.asked().concat();
    for part in [r#""fast", "slow""#, r#"Some("alice")"#, "order_fairness: true", "create_queue: true", "Index(1)"] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
}

#[tokio::test]
async fn a_refusal_has_a_code_a_word_and_a_next_step() {
    let daemon = Daemon::open(outside);
    let mut workers = workers(&daemon).await;
    let with_queue = |queue: &str| v1::AddWorkerRequest { queues: vec![queue.into()], ..adding("host:x") };
    let cases = [
        (adding(BUSY), Code::AlreadyExists, "conflict"),
        (adding("../x"), Code::InvalidArgument, "invalid"),
        (v1::AddWorkerRequest { gpus: Some("many".into()), ..adding("x") }, Code::InvalidArgument, "invalid"),
        (v1::AddWorkerRequest { user: Some("root".into()), ..adding("x") }, Code::InvalidArgument, "invalid"),
        (with_queue("nowhere"), Code::NotFound, "not_found"),
        (with_queue("away"), Code::Unavailable, "server_unreachable"),
    ];
    for (request, code, word) in cases {
        let status = workers.add(request).await.expect_err("it is refused");
        assert_eq!((status.code(), reason(&status)), (code, word), "{status}");
        assert!(status.message().contains(". Next: "), "{status}");
    }
}

#[tokio::test]
async fn workers_are_listed_shown_stopped_resumed_and_removed() {
    let daemon = Daemon::open(outside);
    let mut workers = workers(&daemon).await;
    let name = || BUSY.to_owned();
    let list = workers.list(v1::ListWorkersRequest {}).await.expect("a list").into_inner().workers;
    assert_eq!(list.len(), 1);
    let worker = workers.get(v1::GetWorkerRequest { name: name() }).await.expect("it is there").into_inner();
    assert_eq!((worker.activity(), worker.run_id()), (v1::WorkerActivity::Busy, LIVE_RUN));
    let missing = workers.get(v1::GetWorkerRequest { name: "nobody".into() }).await.expect_err("there is none");
    assert_eq!(missing.code(), Code::NotFound);
    workers.stop(v1::StopWorkerRequest { name: name(), now: true }).await.expect("it stops");
    workers.resume(v1::ResumeWorkerRequest { name: name() }).await.expect("it resumes");
    let busy = workers.remove(v1::RemoveWorkerRequest { name: name(), now: false }).await.expect_err("it is busy");
    assert_eq!(busy.code(), Code::FailedPrecondition);
    workers.remove(v1::RemoveWorkerRequest { name: name(), now: true }).await.expect("it is removed");
    let asked = [
        format!("stop {BUSY} true"),
        format!("resume {BUSY}"),
        format!("remove {BUSY} false"),
        format!("remove {BUSY} true"),
    ];
    assert_eq!(daemon.asked(), asked);
}

// === Host ===

#[tokio::test]
async fn the_host_tells_its_status_and_drains() {
    let daemon = Daemon::open(outside);
    let mut host = host(&daemon).await;
    let status = host.get_status(v1::GetStatusRequest {}).await.expect("a status").into_inner();
    let server = status.server.clone().expect("a server");
    assert_eq!((server.link(), server.reason()), (v1::Link::Down, "connection refused"));
    assert!(!status.draining);
    assert!(host.drain(v1::DrainRequest {}).await.expect("it drains").into_inner().draining);
    let failed = host.resume(v1::ResumeRequest {}).await.expect_err("the disk is full");
    assert_eq!((failed.code(), reason(&failed)), (Code::Internal, "ledger"));
}

#[tokio::test]
async fn events_are_streamed_until_the_daemon_goes_down() {
    let daemon = Daemon::open(outside);
    let mut events = host(&daemon).await.watch_events(v1::WatchEventsRequest {}).await.expect("a stream").into_inner();
    daemon.events.send(event(7)).expect("somebody listens");
    let first = events.message().await.expect("an event").expect("not the end");
    assert_eq!((first.sequence, first.worker()), (7, BUSY));
    let (socket, served) = daemon.close().await;
    served.expect("a clean end");
    assert!(events.message().await.expect("a clean end").is_none());
    assert!(!socket.exists(), "the socket is removed");
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_told_how_many_events_it_missed() {
    let daemon = Daemon::open(outside);
    let mut events = host(&daemon).await.watch_events(v1::WatchEventsRequest {}).await.expect("a stream").into_inner();
    // More than the channel of the engine holds, in one go: nobody reads in between on this one thread.
    for sequence in 0..40 {
        daemon.events.send(event(sequence)).expect("somebody listens");
    }
    let first = events.message().await.expect("an event").expect("not the end");
    assert_eq!(first.kind, "events_missed");
    assert!(first.message.starts_with("24 "), "{}", first.message);
}

// === Runs ===

#[tokio::test]
async fn runs_are_listed_and_found_by_the_beginning_of_their_id() {
    let daemon = Daemon::open(outside);
    let mut runs = runs(&daemon).await;
    let list = runs.list(v1::ListRunsRequest {}).await.expect("a list").into_inner().runs;
    assert_eq!(
        list.iter().map(v1::Run::phase).collect::<Vec<_>>(),
        [v1::RunPhase::Running, v1::RunPhase::Settled, v1::RunPhase::Settled, v1::RunPhase::Claimed]
    );
    let run = runs.get(v1::GetRunRequest { key: "run1".into() }).await.expect("it is there").into_inner();
    let end = run.end.clone().expect("it has ended");
    assert_eq!((run.id.as_str(), end.cause.as_str(), end.exit_code()), (FAILED_RUN, "exit_code", 3));
    let bad = runs.get(v1::GetRunRequest { key: "../etc".into() }).await.expect_err("no id");
    assert_eq!(bad.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_run_is_stopped_with_its_grace_and_one_that_has_ended_is_refused() {
    let daemon = Daemon::open(outside);
    let mut runs = runs(&daemon).await;
    runs.stop(v1::StopRunRequest { key: LIVE_RUN.into(), grace_ms: Some(1500) }).await.expect("it is stopped");
    assert_eq!(daemon.asked(), [format!("stop {LIVE_RUN} Some(1500)")]);
    let ended = runs.stop(v1::StopRunRequest { key: FAILED_RUN.into(), grace_ms: None }).await;
    assert_eq!(ended.expect_err("it has ended").code(), Code::FailedPrecondition);
    let negative = runs.stop(v1::StopRunRequest { key: LIVE_RUN.into(), grace_ms: Some(-1) }).await;
    assert_eq!(negative.expect_err("nonsense").code(), Code::InvalidArgument);
}

async fn output(daemon: &Daemon, run: &str, start: Option<Start>) -> String {
    let request = v1::StreamLogsRequest { key: run.into(), start, follow: false };
    let mut chunks = runs(daemon).await.stream_logs(request).await.expect("a stream").into_inner();
    let mut all = Vec::new();
    while let Some(chunk) = chunks.message().await.expect("a chunk") {
        assert!(chunk.data.len() <= 64 * 1024, "chunks are bounded");
        all.extend(chunk.data);
    }
    String::from_utf8(all).expect("text")
}

#[tokio::test]
async fn output_is_read_from_its_beginning_an_offset_or_its_last_lines() {
    let daemon = Daemon::open(outside);
    let all = output(&daemon, FAILED_RUN, None).await;
    assert!(all.starts_with("setting up\nsetting up\n") && all.ends_with(": 'x'\n") && all.len() > 110_000);
    assert_eq!(output(&daemon, FAILED_RUN, Some(Start::LastBytes(5))).await, " 'x'\n");
    assert!(output(&daemon, FAILED_RUN, Some(Start::LastLines(2))).await.starts_with("setting up\n\u{1b}]0;"));
    let offset = i64::try_from(all.len() - 5).expect("short");
    assert_eq!(output(&daemon, FAILED_RUN, Some(Start::Offset(offset))).await, " 'x'\n");
}

#[tokio::test]
async fn output_whose_spool_is_gone_comes_from_the_server() {
    let daemon = Daemon::open(outside);
    assert_eq!(output(&daemon, GONE_RUN, None).await, GONE_OUTPUT);
    assert_eq!(output(&daemon, GONE_RUN, Some(Start::LastLines(1))).await, "epoch 3\n");
}

#[tokio::test]
async fn following_gives_what_is_printed_and_ends_with_the_run() {
    let daemon = Daemon::open(outside);
    daemon.print("first\n");
    let request = v1::StreamLogsRequest { key: LIVE_RUN.into(), start: None, follow: true };
    let mut chunks = runs(&daemon).await.stream_logs(request).await.expect("a stream").into_inner();
    let mut text = Vec::new();
    text.extend(chunks.message().await.expect("a chunk").expect("not the end").data);
    daemon.print("second\n");
    text.extend(chunks.message().await.expect("a chunk").expect("not the end").data);
    daemon.print("last\n");
    daemon.end_live_run();
    let rest = async {
        while let Some(chunk) = chunks.message().await.expect("a chunk") {
            text.extend(chunk.data);
        }
    };
    tokio::time::timeout(PATIENCE, rest).await.expect("the stream ends with the run");
    assert_eq!(text, b"first\nsecond\nlast\n");
}

// === Desk ===

#[tokio::test]
async fn queues_are_listed_made_and_reordered() {
    let daemon = Daemon::open(outside);
    let mut queues = v1::queues_client::QueuesClient::new(channel(&daemon).await);
    let list = queues.list(v1::ListQueuesRequest {}).await.expect("a list").into_inner().queues;
    assert_eq!(list[0].entries, [TASK]);
    let made = queues.create(v1::CreateQueueRequest { name: " new ".into() }).await.expect("it is made").into_inner();
    assert_eq!(made.name, "new");
    let twice = queues.create(v1::CreateQueueRequest { name: "default".into() }).await.expect_err("it is there");
    assert_eq!(twice.code(), Code::AlreadyExists);
    let mut request = v1::MoveTaskRequest { queue: "default".into(), task_id: TASK.into(), to: None };
    let nowhere = queues.move_task(request.clone()).await.expect_err("where to?");
    assert_eq!(nowhere.code(), Code::InvalidArgument);
    request.to = Some(v1::move_task_request::To::Forward(2));
    queues.move_task(request).await.expect("it is moved");
    assert!(daemon.asked().contains(&format!("move default {TASK} Forward {{ count: 2 }}")));
}

#[tokio::test]
async fn every_call_about_tasks_reaches_the_server() {
    let daemon = Daemon::open(outside);
    let mut tasks = v1::tasks_client::TasksClient::new(channel(&daemon).await);
    let task_id = || TASK.to_owned();
    let listed = tasks.list(v1::ListTasksRequest { statuses: vec!["queued".into()], name: None, limit: 0 }).await;
    assert_eq!(listed.expect("a list").into_inner().tasks.len(), 1);
    let detail = tasks.get(v1::GetTaskRequest { task_id: task_id() }).await.expect("it is there").into_inner();
    assert_eq!(detail.last_scalars[0].metric, "loss");
    let missing = tasks.get(v1::GetTaskRequest { task_id: "cccc".into() }).await.expect_err("there is none");
    assert_eq!(missing.code(), Code::NotFound);
    tasks.clone_task(v1::CloneTaskRequest { task_id: task_id(), name: None }).await.expect("a clone");
    let queued =
        tasks.reset(v1::ResetTaskRequest { task_id: task_id(), force: false }).await.expect_err("it is queued");
    assert_eq!(queued.code(), Code::FailedPrecondition);
    tasks.enqueue(v1::EnqueueTaskRequest { task_id: task_id(), queue: "default".into() }).await.expect("it waits");
    tasks.abort(v1::AbortTaskRequest { task_id: task_id(), force: true }).await.expect("it is asked to stop");
    let page = v1::GetTaskLogRequest { task_id: task_id(), after_unix_ms: Some(1), limit: 10 };
    let events = tasks.get_log(page).await.expect("a page").into_inner().events;
    assert_eq!(events.iter().map(|event| event.text.as_str()).collect::<Vec<_>>(), ["epoch 2", "epoch 3"]);
    let empty = tasks.submit(v1::SubmitTaskRequest { name: "x".into(), ..Default::default() }).await;
    assert_eq!(empty.expect_err("nothing to run").code(), Code::InvalidArgument);
    let task = v1::SubmitTaskRequest {
        name: "x".into(),
        entry_point: "x.py".into(),
        diff: Some("print(1)".into()),
        requirements: Some(String::new()),
        ..Default::default()
    };
    tasks.submit(task).await.expect("it is submitted");
    assert!(daemon.asked().last().is_some_and(|asked| asked.starts_with("submit ") && asked.contains("print(1)")));
}

// === Access ===

#[tokio::test]
async fn a_peer_inside_a_run_is_refused_whatever_it_calls() {
    let daemon = Daemon::open(|_, _| Some(access::Inside::Shim));
    let status = host(&daemon).await.get_status(v1::GetStatusRequest {}).await.expect_err("it is refused");
    assert_eq!((status.code(), reason(&status)), (Code::PermissionDenied, "inside_run"));
    let status = workers(&daemon).await.add(adding("x")).await.expect_err("it is refused");
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(daemon.asked().is_empty());
}

#[tokio::test]
async fn the_facts_about_a_peer_are_its_own_and_an_operator_is_let_in() {
    let daemon = Daemon::open(|facts, state| {
        assert_eq!(facts.pid, std::process::id());
        assert!(facts.exe.as_ref().is_some_and(|exe| exe.starts_with("/")));
        assert_eq!(facts.same_pid_namespace, Some(true));
        access::inside_a_run(facts, state)
    });
    host(&daemon).await.get_status(v1::GetStatusRequest {}).await.expect("we are outside of all runs");
}

// === The socket ===

#[tokio::test]
async fn a_second_daemon_is_refused_and_a_stale_socket_is_replaced() {
    let daemon = Daemon::open(outside);
    assert!(matches!(api::bind(&daemon.socket), Err(BindError::Served { .. })));
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket that nobody will serve"));
    let listening = api::bind(&path).expect("the stale one is replaced");
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777;
    assert!([0o600, 0o660].contains(&mode), "{mode:o}");
    assert_eq!(listening.path(), path);
}

#[tokio::test]
async fn something_that_is_no_socket_is_left_alone() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    assert!(matches!(api::bind(file.path()), Err(BindError::NoSocket { .. })));
    assert!(file.path().exists());
    let long = PathBuf::from(format!("/tmp/{}", "x".repeat(120)));
    assert!(matches!(api::bind(&long), Err(BindError::TooLong { .. })));
}

// === A stock client ===

/// Python of CLEARMLD_TEST_PYTHON, else of target/test-venv.
fn python() -> PathBuf {
    let venv = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-venv/bin/python");
    std::env::var_os("CLEARMLD_TEST_PYTHON").map_or_else(venv, PathBuf::from)
}

#[tokio::test]
async fn a_stock_python_client_lists_the_services_and_calls_them() {
    let daemon = Daemon::open(outside);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/stock_client.py");
    let python = python();
    let run = tokio::process::Command::new(&python).arg(script).arg(&daemon.socket).stdin(Stdio::null()).output();
    let output = match tokio::time::timeout(Duration::from_secs(60), run).await.expect("it ends") {
        Ok(output) => output,
        Err(error) => panic!(
            "cannot run {}: {error}; install it with `python3 -m venv target/test-venv && target/test-venv/bin/pip \
             install grpcio grpcio-reflection grpcio-health-checking`, or name another in CLEARMLD_TEST_PYTHON",
            python.display()
        ),
    };
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(stdout.trim(), "ok", "{stderr}");
}
