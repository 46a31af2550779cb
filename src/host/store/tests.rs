#![expect(clippy::disallowed_methods, reason = "a test writes what a crash or another version left")]

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::domain::gpu::GpuClaim;
use crate::domain::ids::{QueueId, StateId, TaskId, UnixMillis};
use crate::domain::worker::{Intent, QueueRef};

fn open(path: &Path) -> Result<StateDirectory, OpenError> {
    StateDirectory::open(path, StateId::new("fresh").expect("an id"))
}

fn worker(name: &str) -> Worker {
    Worker {
        version: crate::domain::worker::VERSION,
        name: WorkerName::new(name).expect("a name"),
        queues: vec![queue()],
        gpus: GpuClaim::None,
        lending: crate::domain::lending::Lending::Whole,
        order_fairness: false,
        user: None,
        timetable: Default::default(),
        limits: crate::domain::limits::Limits::default(),
        sandbox: crate::domain::sandbox::Sandbox::default(),
        intent: Intent::Active,
        added: UnixMillis(1),
        requeue_on_host_loss: false,
        origin: crate::domain::worker::Origin::Operator,
    }
}

fn queue() -> QueueRef {
    QueueRef { id: QueueId::new("q").expect("an id"), name: "default".into() }
}

fn record(id: &str) -> RunRecord {
    let run = RunId::new(id).expect("an id");
    let task = TaskId::new("t").expect("an id");
    RunRecord::claim(run, worker("h:0").name, queue(), task, GpuClaim::None, UnixMillis(1))
}

#[tokio::test]
async fn workers_and_runs_come_back_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FileStore::new(open(directory.path()).expect("open"));
    store.put_worker(&worker("h:gpu0,1")).await.expect("kept");
    store.put_run(&record("r1")).await.expect("kept");
    store.put_draining(true).await.expect("kept");
    drop(store);
    let store = FileStore::new(open(directory.path()).expect("open"));
    let loaded = store.load().await.expect("loaded");
    assert_eq!(loaded.workers, [worker("h:gpu0,1")]);
    assert_eq!(loaded.runs, [record("r1")]);
    assert!(loaded.draining && loaded.set_aside.is_empty());
    store.drop_run(&record("r1").id).await.expect("dropped");
    store.drop_worker(&worker("h:gpu0,1").name).await.expect("dropped");
    let loaded = store.load().await.expect("loaded");
    assert!(loaded.workers.is_empty() && loaded.runs.is_empty());
}

#[tokio::test]
async fn a_damaged_record_is_set_aside_and_reported_and_the_others_go_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FileStore::new(open(directory.path()).expect("open"));
    store.put_run(&record("good")).await.expect("kept");
    fs::write(directory.path().join("ledger/bad.json"), "{\"version\": 1, \"id\"").expect("written");
    let loaded = store.load().await.expect("loaded");
    assert_eq!(loaded.runs, [record("good")]);
    assert_eq!(loaded.set_aside.len(), 1);
    assert!(loaded.set_aside[0].contains("bad.json"), "{:?}", loaded.set_aside);
    assert!(directory.path().join("set-aside/bad.json").exists());
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_left_where_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FileStore::new(open(directory.path()).expect("open"));
    let file = directory.path().join("ledger/new.json");
    fs::write(&file, "{\"version\": 99, \"shape\": \"unknown\"}").expect("written");
    let loaded = store.load().await.expect("loaded");
    assert!(loaded.runs.is_empty() && file.exists());
    assert!(loaded.set_aside[0].contains("newer"), "{:?}", loaded.set_aside);
}

#[tokio::test]
async fn a_newer_file_that_this_daemon_would_write_over_is_moved_away_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FileStore::new(open(directory.path()).expect("open"));
    for (name, field) in [("gpu-health.json", "\"records\": {}"), ("reservations.json", "\"made\": []")] {
        let text = format!("{{\"version\": 99, {field}}}");
        fs::write(directory.path().join(name), &text).expect("written");
        let loaded = store.load().await.expect("loaded");
        let said = &loaded.set_aside[0];
        assert!(said.contains("newer") && said.contains("moved to") && !said.contains("left alone"), "{said}");
        let kept = directory.path().join("set-aside").join(name);
        assert_eq!(fs::read_to_string(kept).expect("kept"), text);
    }
}

#[test]
fn a_second_daemon_on_the_same_directory_is_refused_and_told_who_holds_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = open(directory.path()).expect("open");
    let error = open(directory.path()).expect_err("refused").to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    drop(first);
    assert_eq!(open(directory.path()).expect("open again").id().as_str(), "fresh");
}

#[test]
fn a_directory_of_a_newer_layout_is_refused_and_not_touched() {
    let directory = tempfile::tempdir().expect("a directory");
    let header = "{\"version\": 99, \"id\": \"x\"}";
    fs::write(directory.path().join("state.json"), header).expect("written");
    let error = open(directory.path()).expect_err("refused");
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    assert_eq!(fs::read_to_string(directory.path().join("state.json")).expect("read"), header);
}

#[test]
fn nobody_else_can_look_into_the_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state");
    let _open = open(&path).expect("open");
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn the_spool_is_read_from_any_offset_and_trimming_keeps_offsets() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FileStore::new(open(directory.path()).expect("open"));
    let run = RunId::new("r").expect("an id");
    store.note(&run, "hello").await.expect("written");
    store.note(&run, "world").await.expect("written");
    assert_eq!(store.read_spool(&run, 6, 100).await.expect("read"), b"world\n");
    assert_eq!(store.read_spool(&run, 0, 3).await.expect("read"), b"hel");
    assert_eq!(store.read_spool(&run, 99, 3).await.expect("read"), b"");
    store.trim_spool(&run, 6).await.expect("trimmed");
    assert_eq!(store.read_spool(&run, 6, 100).await.expect("read"), b"world\n");
}
