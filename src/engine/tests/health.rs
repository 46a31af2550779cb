//! GPUs that fail: what becomes of them, of their Runs, and of what else the host has.

use super::*;
use crate::domain::gpu::GpuId;
use crate::domain::health::{Fault, Report, Xid};
use crate::domain::inventory::{Driver, Gpu, Inventory};
use crate::domain::lease::Unit;
use crate::engine::handle::GpuOrder;

fn inventory() -> Inventory {
    let gpu = |index: u32| Gpu { index, uuid: format!("GPU-{index}"), minor: Some(index), ..Gpu::default() };
    Inventory {
        driver: Driver::Up { version: None, cuda: None },
        gpus: (0..2).map(gpu).collect(),
        ..Inventory::default()
    }
}

fn xid(gpu: &str, number: u64) -> Report {
    let unit = Unit { uuid: gpu.into(), gpu: gpu.into(), nodes: Vec::new() };
    Report { unit, fault: Fault::Xid { xid: Xid(number) } }
}

/// A host with two GPUs, each with a worker and a queue of its own: `q0` and `q1`.
async fn two(host: &Host) -> Daemon {
    host.gpus.set(inventory());
    let daemon = host.start().await;
    for gpu in ["0", "1"] {
        let draft = WorkerDraft {
            queues: vec![format!("q{gpu}")],
            gpus: Some(gpu.parse().expect("a claim")),
            create_queue: true,
            ..WorkerDraft::default()
        };
        daemon.handle.add_worker(draft).await.expect("added");
    }
    daemon
}

async fn problem(daemon: &Daemon, worker: &str) -> String {
    let name = WorkerName::new(worker).expect("a name");
    daemon.handle.worker(&name).await.expect("there").problem.unwrap_or_default()
}

fn reasons(host: &Host, task: &str) -> (Option<TaskStatus>, String) {
    let state = host.clearml.lock();
    let task = &state.tasks[&crate::domain::ids::TaskId::new(task).expect("an id")];
    (task.status, task.reasons.join("|"))
}

async fn beats() {
    tokio::time::sleep(Duration::from_secs(5)).await;
}

#[tokio::test(start_paused = true)]
async fn one_bad_gpu_takes_itself_out_and_no_other_and_a_restart_forgets_nothing() {
    let host = Host::new();
    let daemon = two(&host).await;
    assert!(host.gpus.report(xid("GPU-0", 79)), "the engine listens");
    beats().await;
    host.clearml.enqueue("q0", "a");
    host.clearml.enqueue("q1", "b");
    daemon.running("b").await;
    let why = problem(&daemon, "host:gpu0").await;
    assert!(why.contains("quarantined: Xid 79 (GPU has fallen off the bus)"), "{why}");
    daemon.kill().await;
    let daemon = host.start().await;
    beats().await;
    let why = problem(&daemon, "host:gpu0").await;
    assert!(why.contains("quarantined") && why.contains("clearmlctl gpu verify"), "{why}");
    assert_eq!(daemon.handle.runs().await.expect("asked").len(), 1, "a waits");
    daemon.handle.order_gpu(GpuId::Index(0), GpuOrder::Readmit, "by hand".into()).await.expect("readmitted");
    daemon.running("a").await;
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_program_that_fails_after_an_error_of_its_gpu_says_so_at_the_server_and_one_that_ends_well_remarks_it() {
    let host = Host::new();
    let daemon = two(&host).await;
    host.clearml.enqueue("q0", "bad");
    host.clearml.enqueue("q1", "good");
    let (bad, good) = (daemon.running("bad").await, daemon.running("good").await);
    host.gpus.report(xid("GPU-0", 48));
    host.gpus.report(xid("GPU-1", 31));
    beats().await;
    host.launcher.exit(&bad, End::Exited { code: 1 });
    host.launcher.exit(&good, End::Exited { code: 0 });
    let bad = daemon.settled("bad").await.record.exited().expect("ended").cause.clone();
    assert!(matches!(&bad, Cause::GpuFault { gpu, xid: Some(48), .. } if gpu == "GPU-0"), "{bad:?}");
    let (status, reason) = reasons(&host, "bad");
    assert_eq!(status, Some(TaskStatus::Failed));
    assert_eq!(reason, "GPU fault: Xid 48 (double bit ECC error), on GPU GPU-0; worker execution exit code 1");
    daemon.settled("good").await;
    let (status, reason) = reasons(&host, "good");
    assert_eq!((status, reason.as_str()), (Some(TaskStatus::Completed), "worker execution done"));
    let log = log_of(&host, "good");
    assert!(log.contains("GPU-1 reported a fault while the task ran: Xid 31 (GPU memory page fault)"), "{log}");
    assert_eq!(problem(&daemon, "host:gpu1").await, "", "a program's own fault takes no GPU out");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_driver_may_say_a_moment_later_why_a_program_died_and_an_earlier_error_is_nobodys() {
    let host = Host::new();
    let daemon = two(&host).await;
    host.gpus.report(xid("GPU-1", 31));
    beats().await;
    host.clearml.enqueue("q0", "late");
    host.clearml.enqueue("q1", "own");
    let (late, own) = (daemon.running("late").await, daemon.running("own").await);
    host.launcher.exit(&own, End::Exited { code: 2 });
    daemon.settled("own").await;
    assert_eq!(reasons(&host, "own").1, "worker execution exit code 2", "that error was before its time");
    host.launcher.exit(&late, End::Signaled { signal: 6 });
    tokio::time::sleep(Duration::from_millis(500)).await;
    host.gpus.report(xid("GPU-0", 43));
    daemon.settled("late").await;
    let (_, reason) = reasons(&host, "late");
    assert!(reason.contains("Xid 43") && reason.contains("error of the program itself"), "{reason}");
    assert!(reason.contains("SIGABRT"), "{reason}");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_gpu_that_is_lost_under_a_program_is_its_cause_and_is_out_of_use() {
    let host = Host::new();
    let daemon = two(&host).await;
    host.clearml.enqueue("q1", "a");
    let run = daemon.running("a").await;
    let mut lost = inventory();
    lost.gpus[1].lost = true;
    lost.gpus[1].unusable = Some("GPU is lost".into());
    host.gpus.set(lost);
    host.launcher.exit(&run, End::Exited { code: 1 });
    daemon.settled("a").await;
    let (_, reason) = reasons(&host, "a");
    assert!(reason.starts_with("GPU lost: GPU GPU-1 does not answer any more (GPU is lost)"), "{reason}");
    host.gpus.set(inventory());
    beats().await;
    assert!(problem(&daemon, "host:gpu1").await.contains("quarantined"), "it came back, and nobody has verified it");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_comes_back_knows_what_the_runs_before_it_may_die_of() {
    let host = Host::new();
    let daemon = two(&host).await;
    host.clearml.enqueue("q0", "a");
    let run = daemon.running("a").await;
    host.gpus.report(xid("GPU-0", 119));
    beats().await;
    daemon.kill().await;
    let daemon = host.start().await;
    host.launcher.exit(&run, End::Exited { code: 1 });
    daemon.settled("a").await;
    assert!(reasons(&host, "a").1.contains("Xid 119"), "{:?}", reasons(&host, "a"));
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_verification_that_finds_something_ends_in_quarantine_and_one_of_a_gpu_in_use_is_refused() {
    let host = Host::new();
    let daemon = two(&host).await;
    let order = |order| daemon.handle.order_gpu(GpuId::Index(0), order, "because".into());
    assert!(matches!(order(GpuOrder::Verify).await, Err(EngineError::Conflict { .. })), "it is healthy");
    order(GpuOrder::Quarantine).await.expect("taken out");
    assert!(problem(&daemon, "host:gpu0").await.contains("because"));
    let mut worn = inventory();
    worn.gpus[0].repair = Some("parts of its memory wait".into());
    host.gpus.set(worn);
    order(GpuOrder::Verify).await.expect("verifying");
    beats().await;
    let why = problem(&daemon, "host:gpu0").await;
    assert!(why.contains("did not pass its verification: parts of its memory wait"), "{why}");
    host.clearml.enqueue("q1", "a");
    let run = daemon.running("a").await;
    daemon.handle.order_gpu(GpuId::Index(1), GpuOrder::Quarantine, "later".into()).await.expect("taken out");
    let refused = daemon.handle.order_gpu(GpuId::Index(1), GpuOrder::Verify, "now".into()).await.expect_err("in use");
    assert!(refused.to_string().contains(run.as_str()), "{refused}");
    let nobody = daemon.handle.order_gpu(GpuId::Index(7), GpuOrder::Quarantine, "x".into()).await;
    assert!(matches!(nobody, Err(EngineError::NotFound { kind: "gpu", .. })));
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_processes_do_not_end_is_its_gpus_fault() {
    let host = Host::new();
    let daemon = two(&host).await;
    host.clearml.enqueue("q0", "a");
    let run = daemon.running("a").await;
    host.launcher.hanging.store(true, Ordering::SeqCst);
    daemon.handle.stop_run(run.clone(), Some(1000)).await.expect("stopping");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(problem(&daemon, "host:gpu0").await, "", "it has its time");
    tokio::time::sleep(settings().longest_callback + Duration::from_secs(120)).await;
    host.launcher.exit(&run, End::Signaled { signal: 9 });
    daemon.settled("a").await;
    let why = problem(&daemon, "host:gpu0").await;
    assert!(why.contains("cannot be ended") && why.contains("nvidia-smi -r"), "{why}");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_gpu_is_now_is_kept_before_anybody_is_told() {
    let host = Host::new();
    let dead = watch::Sender::new(false);
    let store = crash::Dying::new(host.store(), u32::MAX, true, dead.clone());
    host.gpus.set(inventory());
    let daemon = host.start_with(Arc::new(store)).await;
    let mut events = daemon.handle.events();
    beats().await;
    dead.send_replace(true);
    assert!(host.gpus.report(xid("GPU-0", 79)), "the engine listens");
    beats().await;
    while let Ok(event) = events.try_recv() {
        assert_ne!(event.kind, "gpu_quarantined", "a daemon that comes back knows nothing of it: {event:?}");
    }
    daemon.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_cause_that_the_disk_does_not_take_is_told_all_the_same() {
    let host = Host::new();
    let daemon = two(&host).await;
    host.clearml.enqueue("q0", "a");
    let run = daemon.running("a").await;
    // A directory in its place: it cannot be written.
    let file = host.disk.path().join("state/gpu-health.json");
    let _ = std::fs::remove_file(&file);
    std::fs::create_dir_all(file.join("x")).expect("made");
    host.gpus.report(xid("GPU-0", 48));
    beats().await;
    host.launcher.exit(&run, End::Exited { code: 1 });
    daemon.settled("a").await;
    assert!(reasons(&host, "a").1.contains("Xid 48"), "{:?}", reasons(&host, "a"));
    std::fs::remove_dir_all(&file).expect("removed");
    beats().await;
    let kept = std::fs::read_to_string(&file).expect("written at a later beat");
    assert!(kept.contains("quarantined"), "{kept}");
    daemon.stop().await;
}
