//! GPUs as the driver tells of them.

use super::*;
use crate::domain::inventory::{Driver, Gpu, Inventory};

/// So many GPUs, none of which has the minor number that its index is.
pub(super) fn inventory(gpus: u32) -> Inventory {
    let gpu = |index: u32| Gpu { index, uuid: format!("GPU-{index}"), minor: Some(9 - index), ..Gpu::default() };
    let driver = Driver::Up { version: None, cuda: None };
    Inventory { driver, gpus: (0..gpus).map(gpu).collect(), ..Inventory::default() }
}

pub(super) fn draft(gpus: &str, queue: &str) -> WorkerDraft {
    WorkerDraft {
        queues: vec![queue.into()],
        gpus: Some(gpus.parse().expect("a claim")),
        create_queue: true,
        ..WorkerDraft::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_gpu_that_is_not_there_is_refused_with_what_is_and_nothing_has_changed() {
    let host = Host::new();
    host.gpus.set(inventory(2));
    let daemon = host.start().await;
    let refused = daemon.handle.add_worker(draft("0,5", "q")).await.expect_err("refused").to_string();
    assert!(refused.contains("no GPU `5`; it has 0 (") && refused.contains("GPU-1"), "{refused}");
    assert!(daemon.handle.workers().await.expect("asked").is_empty());
    let added = daemon.handle.add_worker(draft("1", "q")).await.expect("added");
    assert_eq!(added.worker.name.as_str(), "host:gpu1");
    assert_eq!(added.worker.gpus.to_string(), "1", "as it was said");
}

#[tokio::test(start_paused = true)]
async fn two_names_of_one_gpu_are_no_two_workers() {
    let host = Host::new();
    host.gpus.set(inventory(2));
    let daemon = host.start().await;
    daemon.handle.add_worker(draft("1", "q")).await.expect("added");
    let refused = daemon.handle.add_worker(draft("GPU-1", "q")).await.expect_err("refused");
    assert!(matches!(&refused, EngineError::Conflict { reason } if reason.contains("host:gpu1")), "{refused}");
    daemon.handle.add_worker(draft("GPU-0", "q")).await.expect("another GPU");
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_words_takes_all_gpus_that_the_driver_names() {
    let host = Host::new();
    host.gpus.set(inventory(2));
    let daemon = host.start().await;
    let draft = WorkerDraft { gpus: None, ..draft("none", "q") };
    assert_eq!(daemon.handle.add_worker(draft).await.expect("added").worker.gpus, GpuClaim::All);
}

#[tokio::test(start_paused = true)]
async fn a_run_holds_hardware_and_a_daemon_that_comes_back_holds_it_before_the_driver_has_answered() {
    let host = Host::new();
    host.gpus.set(inventory(2));
    let daemon = host.start().await;
    daemon.handle.add_worker(draft("1", "q")).await.expect("added");
    host.clearml.enqueue("q", "a");
    let run = daemon.running("a").await;
    let units = daemon.handle.run(run.as_str()).await.expect("there").record.units;
    assert_eq!(units.iter().map(|unit| unit.uuid.as_str()).collect::<Vec<_>>(), ["GPU-1"]);
    assert_eq!(units[0].nodes, [Path::new("/dev/nvidia8")]);
    daemon.kill().await;

    host.gpus.set(Inventory::default());
    let daemon = host.start().await;
    let view = daemon.handle.workers().await.expect("asked").remove(0);
    assert!(matches!(view.activity, WorkerActivity::Busy { .. }), "{view:?}");
    // A card was lost meanwhile: what was index 1 is index 0 now, and it is still held.
    let mut fewer = inventory(2);
    fewer.gpus.remove(0);
    fewer.gpus[0].index = 0;
    host.gpus.set(fewer);
    let gpus = daemon.handle.gpus(Duration::ZERO).await.expect("asked").gpus;
    assert_eq!((gpus[0].gpu.uuid.as_str(), &gpus[0].runs), ("GPU-1", &vec![run.clone()]));
    let other = daemon.handle.add_worker(draft("GPU-1", "q2")).await.expect("its name is nobody's");
    assert!(other.problem.as_ref().is_some_and(|problem| problem.contains(run.as_str())), "{other:?}");
    host.clearml.enqueue("q2", "b");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(daemon.handle.runs().await.expect("asked").len(), 1, "the GPU is not lent twice");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn while_the_driver_does_not_answer_gpu_workers_wait_and_say_why_and_others_work() {
    let host = Host::new();
    host.gpus.set(Inventory { silent_seconds: Some(12), ..Inventory::default() });
    let daemon = host.start().await;
    let waiting = daemon.handle.add_worker(draft("0", "q")).await.expect("it may be there");
    let problem = waiting.problem.expect("a reason");
    assert!(problem.contains("has not answered for 12 s"), "{problem}");
    daemon.handle.add_worker(draft("none", "q")).await.expect("added");
    host.clearml.enqueue("q", "a");
    host.clearml.enqueue("q", "b");
    let run = daemon.running("a").await;
    let record = daemon.handle.run(run.as_str()).await.expect("there").record;
    assert_eq!(record.worker.as_str(), "host:cpu:0");
    host.gpus.set(inventory(1));
    daemon.running("b").await;
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_driver_words_are_taken_as_they_are_and_status_says_so() {
    let host = Host::new();
    let daemon = host.start().await;
    daemon.handle.add_worker(draft("7", "q")).await.expect("taken at its word");
    let remarks = daemon.handle.status().await.expect("asked").remarks;
    assert!(remarks.iter().any(|remark| remark.contains("libnvidia-ml.so.1")), "{remarks:?}");
    host.clearml.enqueue("q", "a");
    daemon.running("a").await;
    daemon.stop().await;
}
