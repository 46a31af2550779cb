//! GPUs that are not lent although no Run holds them: reserved by a person, or used by a stranger.

use super::gpus::{draft, inventory};
use super::*;
use crate::domain::gpu::GpuId;
use crate::domain::inventory::{GpuProcess, GpuView};
use crate::engine::handle::NewReservation;

fn reservation(gpu: &str, minutes: u64, when_free: bool) -> NewReservation {
    let (by, reason) = ("alice".to_owned(), "a demo".to_owned());
    NewReservation { gpu: gpu.parse().expect("a GPU"), by, reason, ms: minutes * 60_000, when_free }
}

async fn problem(daemon: &Daemon) -> Option<String> {
    daemon.handle.workers().await.expect("asked").remove(0).problem
}

async fn gpu(daemon: &Daemon, index: u32) -> GpuView {
    daemon.handle.gpu(&GpuId::Index(index), Duration::ZERO).await.expect("there")
}

async fn waits(daemon: &Daemon, runs: usize) {
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(daemon.handle.runs().await.expect("asked").len(), runs, "nothing is lent");
}

#[tokio::test(start_paused = true)]
async fn a_reserved_gpu_is_not_lent_until_it_is_given_back() {
    let host = Host::new();
    host.gpus.set(inventory(2));
    let daemon = host.start().await;
    daemon.handle.add_worker(draft("1", "q")).await.expect("added");
    let view = daemon.handle.reserve_gpu(reservation("1", 120, false)).await.expect("reserved");
    assert_eq!(view.withheld.map(|why| why.to_string()).as_deref(), Some("is reserved by alice: a demo"));
    let again = daemon.handle.reserve_gpu(reservation("GPU-1", 1, true)).await.expect_err("once").to_string();
    assert!(again.contains("by alice") && again.contains("clearmlctl gpu release GPU-1"), "{again}");
    let unknown = daemon.handle.reserve_gpu(reservation("7", 1, false)).await;
    assert!(matches!(unknown, Err(EngineError::NotFound { kind: "gpu", .. })), "{unknown:?}");
    host.clearml.enqueue("q", "a");
    waits(&daemon, 0).await;
    assert_eq!(problem(&daemon).await.as_deref(), Some("GPU 1 is reserved by alice: a demo"));
    // It outlives the daemon.
    daemon.kill().await;
    let daemon = host.start().await;
    waits(&daemon, 0).await;
    daemon.handle.release_gpu(GpuId::Index(1)).await.expect("given back");
    daemon.running("a").await;
    let twice = daemon.handle.release_gpu(GpuId::Index(1)).await.expect_err("it is not reserved").to_string();
    assert!(twice.contains("is not reserved"), "{twice}");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_reservation_ends_by_itself_and_is_told() {
    let host = Host::new();
    host.gpus.set(inventory(1));
    let daemon = host.start().await;
    let mut events = daemon.handle.events();
    daemon.handle.add_worker(draft("0", "q")).await.expect("added");
    // The host's clock is the real one, which paused time does not move.
    let short = NewReservation { ms: 1, ..reservation("0", 0, false) };
    daemon.handle.reserve_gpu(short).await.expect("reserved");
    host.clearml.enqueue("q", "a");
    std::thread::sleep(Duration::from_millis(5));
    daemon.running("a").await;
    assert_eq!(gpu(&daemon, 0).await.reservation, None);
    let mut kinds = Vec::new();
    while let Ok(event) = events.try_recv() {
        kinds.push(event.kind);
    }
    let of_gpus: Vec<&str> = kinds.into_iter().filter(|kind| kind.starts_with("gpu_")).collect();
    assert_eq!(of_gpus, ["gpu_reserved", "gpu_released"]);
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_gpu_that_a_run_holds_is_reserved_only_by_who_waits_for_it_and_then_no_other_run_gets_it() {
    let host = Host::new();
    host.gpus.set(inventory(1));
    let daemon = host.start().await;
    daemon.handle.add_worker(draft("0", "q")).await.expect("added");
    host.clearml.enqueue("q", "a");
    let run = daemon.running("a").await;
    let refused = daemon.handle.reserve_gpu(reservation("0", 5, false)).await.expect_err("held").to_string();
    assert!(refused.contains("--when-free"), "{refused}");
    assert!(refused.contains(&format!("clearmlctl run stop {run}")), "{refused}");
    assert_eq!(gpu(&daemon, 0).await.reservation, None);
    let view = daemon.handle.reserve_gpu(reservation("0", 5, true)).await.expect("reserved");
    assert_eq!(view.runs, std::slice::from_ref(&run), "it goes on");
    host.clearml.enqueue("q", "b");
    host.launcher.exit(&run, End::Exited { code: 0 });
    daemon.settled("a").await;
    waits(&daemon, 1).await;
    let term = gpu(&daemon, 0).await.reservation.expect("still").term;
    assert!(matches!(term, crate::domain::reservation::Term::Until(_)), "its time has begun: {term:?}");
    daemon.handle.release_gpu(GpuId::Index(0)).await.expect("given back");
    daemon.running("b").await;
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_gpu_that_a_stranger_computes_on_is_not_lent_while_he_is_there() {
    let host = Host::new();
    let used = |name: &str| {
        let mut used = inventory(1);
        let process = GpuProcess { pid: 4711, name: name.into(), ancestors: vec![1], ..GpuProcess::default() };
        used.gpus[0].processes = vec![process];
        used
    };
    host.gpus.set(used("python"));
    let daemon = host.start().await;
    daemon.handle.add_worker(draft("0", "q")).await.expect("added");
    host.clearml.enqueue("q", "a");
    waits(&daemon, 0).await;
    let said = "GPU 0 is used by process 4711 (python), which belongs to no run";
    assert_eq!(problem(&daemon).await.as_deref(), Some(said));
    host.gpus.set(used("Xorg"));
    daemon.running("a").await;
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn where_strangers_are_welcome_their_gpu_is_lent() {
    let host = Host::new();
    let mut used = inventory(1);
    used.gpus[0].processes = vec![GpuProcess { pid: 4711, name: "python".into(), ..GpuProcess::default() }];
    host.gpus.set(used);
    let welcome = Settings { strangers: crate::domain::withheld::Strangers::Welcome, ..settings() };
    host.declarations.set(welcome);
    let daemon = host.start().await;
    daemon.handle.add_worker(draft("0", "q")).await.expect("added");
    host.clearml.enqueue("q", "a");
    daemon.running("a").await;
    daemon.stop().await;
}
