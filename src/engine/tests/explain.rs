//! What the engine lays before the explanation, and that no server is asked for it.

use super::*;
use crate::domain::explain::Finding;
use crate::domain::gpu::GpuId;
use crate::domain::hours::{Timetable, Weekday};
use crate::domain::inventory::{Driver, Gpu, Inventory};
use crate::domain::lending::Lending;
use crate::engine::handle::Subject;

async fn explain(daemon: &Daemon, subject: Subject) -> Vec<Finding> {
    daemon.handle.explain(subject).await.expect("explained")
}

fn words(found: &[Finding]) -> Vec<&str> {
    found.iter().map(|finding| finding.word).collect()
}

fn task(key: &str) -> Subject {
    Subject::Task(key.to_owned())
}

fn gpu(index: u32) -> Subject {
    Subject::Gpu(GpuId::Index(index))
}

fn card(index: u32) -> Gpu {
    Gpu { index, uuid: format!("GPU-{index}"), minor: Some(index), ..Gpu::default() }
}

async fn settle() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_and_its_tasks_are_explained_from_what_the_polls_saw() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    let worker = daemon.add(&["default"]).await;
    let why = |worker: &WorkerName| Subject::Worker(worker.clone());
    settle().await;
    let found = explain(&daemon, why(&worker)).await;
    assert_eq!(words(&found), ["queue_empty"], "{found:?}");
    host.clearml.enqueue("default", "task1");
    let run = daemon.running("task1").await;
    assert_eq!(words(&explain(&daemon, why(&worker)).await), ["busy", "queue_taken"]);
    assert_eq!(words(&explain(&daemon, task("task1")).await), ["running"]);
    assert_eq!(words(&explain(&daemon, task(run.as_str())).await), ["running"], "by its run, too");
    host.clearml.enqueue("default", "task2");
    daemon.handle.stop_worker(worker.clone(), false).await.expect("stopped");
    assert_eq!(words(&explain(&daemon, why(&worker)).await)[..2], ["busy", "stopped"]);
    host.launcher.exit(&run, End::Exited { code: 3 });
    daemon.settled("task1").await;
    let found = explain(&daemon, task("task1")).await;
    assert_eq!(words(&found), ["exit_code"]);
    assert_eq!(words(&explain(&daemon, task("elsewhere")).await)[0], "never_seen");

    daemon.handle.drain().await.expect("draining");
    daemon.handle.resume_worker(worker.clone()).await.expect("resumed");
    assert_eq!(words(&explain(&daemon, why(&worker)).await)[0], "draining");
    let error = daemon.handle.explain(why(&WorkerName::new("nobody").expect("a name"))).await.expect_err("none");
    assert!(matches!(error, EngineError::NotFound { kind: "worker", .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_is_first_in_its_queue_says_why_nobody_takes_it_and_no_call_is_made_for_that() {
    let host = Host::new();
    host.clearml.queue("default");
    host.clock.show(Weekday::Monday, 12);
    let daemon = host.start().await;
    let timetable = Timetable::of(&["22-3 MON".to_owned()], &[]).expect("hours");
    daemon.handle.add_worker(WorkerDraft { timetable, ..WorkerDraft::default() }).await.expect("added");
    host.clearml.enqueue("default", "task1");
    settle().await;
    // Polls go on by themselves.
    let calls = |host: &Host| {
        let mut calls = host.clearml.lock().calls.clone();
        calls.remove("queue_heads");
        calls
    };
    let before = calls(&host);
    let found = explain(&daemon, task("task1")).await;
    assert_eq!(words(&found), ["first_in_queue", "outside_hours"]);
    assert!(found[1].says.contains("outside its hours until Mon 22:00"), "{found:?}");
    assert_eq!(calls(&host), before);
}

#[tokio::test(start_paused = true)]
async fn a_gpu_says_who_holds_it_and_one_that_nobody_claims_how_to_use_it() {
    let host = Host::new();
    host.clearml.queue("default");
    let lost = Gpu { unusable: Some("it has fallen off its bus".into()), ..card(2) };
    let driver = Driver::Up { version: None, cuda: None };
    host.gpus.set(Inventory { driver, gpus: vec![card(0), card(1), lost], ..Inventory::default() });
    let daemon = host.start().await;
    let draft = WorkerDraft { gpus: "0".parse().ok(), ..WorkerDraft::default() };
    let worker = daemon.handle.add_worker(draft).await.expect("added").worker.name;
    settle().await;
    assert_eq!(words(&explain(&daemon, gpu(0)).await), ["queue_empty"]);
    assert_eq!(words(&explain(&daemon, gpu(1)).await), ["unclaimed"]);
    assert_eq!(words(&explain(&daemon, gpu(2)).await), ["gpu_unusable", "unclaimed"]);
    host.clearml.enqueue("default", "task1");
    let run = daemon.running("task1").await;
    let found = explain(&daemon, gpu(0)).await;
    assert_eq!(words(&found), ["gpu_held"]);
    assert_eq!(found[0].says, format!("GPU 0 is held by run {run} of worker `{worker}`"));
    let error = daemon.handle.explain(gpu(7)).await.expect_err("none");
    assert!(matches!(error, EngineError::NotFound { kind: "gpu", .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_give_what_it_shows_is_asked_ever_less_often_and_the_worker_says_why() {
    let host = Host::new();
    host.clearml.queue("default");
    host.clearml.queue("other");
    host.clearml.lock().grudging = true;
    let daemon = host.start().await;
    let worker = daemon.add(&["default", "other"]).await;
    host.clearml.enqueue("default", "task1");
    let pops = || host.clearml.lock().calls.get("pop").copied().unwrap_or_default();
    tokio::time::sleep(Duration::from_secs(600)).await;
    let asked = pops();
    assert!((8..=25).contains(&asked), "{asked} times in ten minutes");
    let found = explain(&daemon, Subject::Worker(worker)).await;
    assert_eq!(words(&found)[0], "claim_refused", "{found:?}");
    assert!(found[0].says.contains("22") && found[0].says.contains("asked again in"), "{found:?}");
    host.clearml.lock().grudging = false;
    host.clearml.enqueue("other", "task2");
    daemon.running("task2").await;
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(pops(), asked + 1, "the worker is busy with what another queue gave");
}

#[tokio::test(start_paused = true)]
async fn a_shared_gpu_is_free_for_as_many_as_share_it_and_one_that_nobody_knows_is_held_by_its_name() {
    let host = Host::new();
    host.clearml.queue("default");
    host.clearml.queue("other");
    let driver = Driver::Up { version: None, cuda: None };
    host.gpus.set(Inventory { driver, gpus: vec![card(0)], ..Inventory::default() });
    let daemon = host.start().await;
    for (name, queue) in [("h:a", "default"), ("h:b", "other")] {
        let lending = Lending::of("2".parse().ok(), false, &mut []).expect("shared");
        let (name, queues) = (WorkerName::new(name).ok(), vec![queue.to_owned()]);
        let draft = WorkerDraft { name, queues, lending, gpus: "0".parse().ok(), ..WorkerDraft::default() };
        daemon.handle.add_worker(draft).await.expect("added");
    }
    host.clearml.enqueue("default", "task1");
    let run = daemon.running("task1").await;
    settle().await;
    let found = explain(&daemon, gpu(0)).await;
    assert!(!words(&found).contains(&"gpu_held") && words(&found).contains(&"queue_empty"), "{found:?}");
    host.gpus.set(Inventory { driver: Driver::Absent, ..Inventory::default() });
    let alone = WorkerName::new("h:c").expect("a name");
    // Whoever had those words before is still at it.
    daemon.handle.remove_worker(WorkerName::new("h:a").expect("a name"), true).await.expect("removed");
    let other = WorkerName::new("h:b").expect("a name");
    daemon.handle.remove_worker(other, false).await.expect("removed");
    let draft = WorkerDraft { name: Some(alone.clone()), gpus: "0".parse().ok(), ..WorkerDraft::default() };
    daemon.handle.add_worker(draft).await.expect("added");
    let found = explain(&daemon, Subject::Worker(alone)).await;
    assert!(found.iter().any(|one| one.hinders && one.says.contains(run.as_str())), "{found:?}");
}
