//! A Worker whose GPUs are lent to several Runs at once.

use std::collections::BTreeSet;

use super::crash::Dying;
use super::gpus::{draft, inventory};
use super::*;
use crate::domain::inventory::Inventory;
use crate::domain::lending::Lending;

fn dynamic(gpus: &str, queues: &[&str]) -> WorkerDraft {
    let mut queues: Vec<String> = queues.iter().map(ToString::to_string).collect();
    let lending = Lending::of(None, true, &mut queues).expect("makes sense");
    WorkerDraft { queues, lending, ..draft(gpus, "none") }
}

/// The GPUs of a Run, by index.
fn gpus_of(run: &RunView) -> Vec<String> {
    run.record.units.iter().map(|unit| unit.uuid.trim_start_matches("GPU-").to_owned()).collect()
}

async fn lent(daemon: &Daemon, task: &str) -> Vec<String> {
    let run = daemon.running(task).await;
    gpus_of(&daemon.handle.run(run.as_str()).await.expect("there"))
}

async fn end(host: &Host, daemon: &Daemon, task: &str) {
    let run = daemon.running(task).await;
    host.launcher.exit(&run, End::Exited { code: 0 });
    daemon.settled(task).await;
}

async fn untouched(daemon: &Daemon, runs: usize) {
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(daemon.handle.runs().await.expect("asked").len(), runs);
}

#[tokio::test(start_paused = true)]
async fn several_tasks_run_at_once_each_on_as_many_gpus_as_its_queue_says() {
    let host = Host::new();
    host.gpus.set(inventory(4));
    let daemon = host.start().await;
    let added = daemon.handle.add_worker(dynamic("0-3", &["dual=2", "any=1-4"])).await.expect("added");
    assert_eq!(added.worker.name.as_str(), "host:dgpu0-3", "as clearml-agent names it");
    host.clearml.enqueue("dual", "a");
    assert_eq!(lent(&daemon, "a").await, ["0", "1"]);
    host.clearml.enqueue("dual", "b");
    assert_eq!(lent(&daemon, "b").await, ["2", "3"]);
    host.clearml.enqueue("any", "c");
    untouched(&daemon, 2).await;
    let view = daemon.handle.workers().await.expect("asked").remove(0);
    assert!(view.runs.len() == 2 && view.problem.is_none(), "{view:?}");
    // The server knows each task's worker by its GPUs, as it did clearml-agent's.
    let names: Vec<String> = host.clearml.lock().workers.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["host:dgpu0-3", "host:gpu0,1", "host:gpu2,3"]);
    end(&host, &daemon, "a").await;
    assert_eq!(lent(&daemon, "c").await, ["0", "1"], "as many as are free");
    end(&host, &daemon, "b").await;
    end(&host, &daemon, "c").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let names: Vec<String> = host.clearml.lock().workers.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["host:dgpu0-3"]);
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_task_is_claimed_while_the_first_is_being_set_up() {
    let host = Host::new();
    host.gpus.set(inventory(2));
    let daemon = host.start().await;
    daemon.handle.add_worker(dynamic("0-1", &["q=1"])).await.expect("added");
    // Neither program does anything before the other has been launched, too.
    host.clearml.enqueue("q", "a");
    host.clearml.enqueue("q", "b");
    let both = |runs: &[RunView]| (runs.iter().filter(|run| run.record.holds_lease()).count() == 2).then_some(());
    daemon.until("two claims", both).await;
    assert_ne!(lent(&daemon, "a").await, lent(&daemon, "b").await);
    assert_eq!(host.clearml.lock().calls["pop"], 2, "no entry is popped for twice");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_task_that_needs_many_gpus_is_not_overtaken_for_ever_by_small_ones_of_lower_queues() {
    let host = Host::new();
    host.gpus.set(inventory(2));
    let daemon = host.start().await;
    daemon.handle.add_worker(dynamic("0-1", &["big=2", "small=1"])).await.expect("added");
    host.clearml.enqueue("small", "s1");
    daemon.running("s1").await;
    host.clearml.enqueue("big", "b");
    host.clearml.enqueue("small", "s2");
    untouched(&daemon, 1).await;
    end(&host, &daemon, "s1").await;
    assert_eq!(lent(&daemon, "b").await, ["0", "1"]);
    end(&host, &daemon, "b").await;
    daemon.running("s2").await;
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_whose_tasks_need_more_than_none_of_our_runs_gives_back_is_passed_over_and_said() {
    let host = Host::new();
    let mut broken = inventory(2);
    broken.gpus[0].unusable = Some("it fell off the bus".into());
    host.gpus.set(inventory(2));
    let daemon = host.start().await;
    daemon.handle.add_worker(dynamic("0-1", &["big=2", "small=1"])).await.expect("added");
    host.gpus.set(broken);
    host.clearml.enqueue("big", "b");
    host.clearml.enqueue("small", "s");
    assert_eq!(lent(&daemon, "s").await, ["1"]);
    let problem = daemon.handle.workers().await.expect("asked").remove(0).problem.expect("a reason");
    for part in ["queue `big` wants 2 GPUs", "at most 1 can be lent", "GPU 0 cannot be used: it fell off the bus"] {
        assert!(problem.contains(part), "{problem}");
    }
    host.gpus.set(inventory(2));
    end(&host, &daemon, "s").await;
    daemon.running("b").await;
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused_with_the_reason_and_nothing_has_changed() {
    let host = Host::new();
    let daemon = host.start().await;
    let refused = async |draft| daemon.handle.add_worker(draft).await.expect_err("refused").to_string();
    let said = refused(dynamic("0-1", &["q=1"])).await;
    assert!(said.contains("libnvidia-ml.so.1") && said.contains("gpu rescan"), "{said}");
    host.gpus.set(inventory(2));
    let said = refused(dynamic("none", &["q=1"])).await;
    assert!(said.contains("need GPUs"), "{said}");
    let said = refused(dynamic("0-1", &["q=1", "huge=3-4"])).await;
    assert!(said.contains("queue `huge` wants 3 GPUs") && said.contains("the worker has 2"), "{said}");
    assert!(daemon.handle.workers().await.expect("asked").is_empty());
    daemon.handle.add_worker(draft("1", "q")).await.expect("added");
    let said = refused(dynamic("0-1", &["q=1"])).await;
    assert!(said.contains("host:gpu1") && !said.contains("--share"), "{said}");
    daemon.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_with_several_runs_is_stopped_and_removed_with_all_of_them() {
    let host = Host::new();
    host.gpus.set(inventory(2));
    let daemon = host.start().await;
    let name = daemon.handle.add_worker(dynamic("0-1", &["q=1"])).await.expect("added").worker.name;
    host.clearml.enqueue("q", "a");
    host.clearml.enqueue("q", "b");
    daemon.running("a").await;
    daemon.running("b").await;
    let busy = daemon.handle.remove_worker(name.clone(), false).await.expect_err("busy").to_string();
    assert!(busy.contains("--now"), "{busy}");
    daemon.handle.stop_worker(name, true).await.expect("stopped");
    for task in ["a", "b"] {
        let cause = daemon.settled(task).await.record.exited().map(|exited| exited.cause.clone());
        assert_eq!(cause, Some(Cause::Stopped { reason: StopReason::WorkerStopped }), "{task}");
    }
    daemon.stop().await;
}

/// No GPU is in two live leases.
fn disjoint(runs: &[RunView]) {
    let held: Vec<String> = runs.iter().filter(|run| run.record.holds_lease()).flat_map(gpus_of).collect();
    let once: BTreeSet<&String> = held.iter().collect();
    assert_eq!(once.len(), held.len(), "a GPU is lent twice: {held:?}");
}

/// Each program ends when it has run for a while. Until all have ended, or the daemon is dead.
async fn play(host: &Host, daemon: &Daemon, dead: &watch::Sender<bool>, tasks: usize) {
    let mut age = std::collections::BTreeMap::new();
    for _ in 0..1500 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if *dead.borrow() {
            return;
        }
        for run in host.launcher.live() {
            let steps: &mut u32 = age.entry(run.clone()).or_default();
            *steps += 1;
            if *steps == 15 {
                host.launcher.exit(&run, End::Exited { code: 0 });
            }
        }
        let runs = daemon.handle.runs().await.expect("asked");
        disjoint(&runs);
        let over = |run: &&RunView| matches!(run.record.phase, Phase::Settled(_));
        if runs.iter().filter(over).count() == tasks {
            return;
        }
    }
    panic!("it never ended: {:#?}", daemon.handle.runs().await);
}

/// Three tasks on four GPUs, two of them at once, with a daemon that dies at its `commit`-th commit. Whether it died.
async fn die_at(commit: u32, before_the_write: bool) -> bool {
    let host = Host::new();
    host.gpus.set(inventory(4));
    let daemon = host.start().await;
    daemon.handle.add_worker(dynamic("0-3", &["dual=2"])).await.expect("added");
    daemon.stop().await;
    for task in ["a", "b", "c"] {
        host.clearml.enqueue("dual", task);
    }
    let dead = watch::Sender::new(false);
    let daemon = host.start_with(Arc::new(Dying::new(host.store(), commit, before_the_write, dead.clone()))).await;
    play(&host, &daemon, &dead, 3).await;
    let died = *dead.borrow();
    daemon.kill().await;

    // The driver answers some time after the daemon is back, and counts its cards from the other end then.
    host.gpus.set(Inventory::default());
    let daemon = host.start().await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    disjoint(&daemon.handle.runs().await.expect("asked"));
    let mut turned = inventory(4);
    turned.gpus.reverse();
    for (index, gpu) in (0..).zip(&mut turned.gpus) {
        gpu.index = index;
    }
    host.gpus.set(turned);
    let alive = watch::Sender::new(false);
    play(&host, &daemon, &alive, 3).await;
    let launches = host.launcher.launches();
    assert!(launches.len() == 3 && launches.values().all(|count| *count == 1), "commit {commit}: {launches:?}");
    for task in host.clearml.lock().tasks.values() {
        assert_eq!((task.status, task.ends), (Some(TaskStatus::Completed), 1), "commit {commit}");
    }
    let view = daemon.handle.workers().await.expect("asked").remove(0);
    assert_eq!((view.activity, view.runs.len()), (WorkerActivity::Idle, 0), "commit {commit}: all leases came back");
    died
}

#[tokio::test(start_paused = true)]
async fn from_every_commit_of_two_runs_at_once_a_new_daemon_lends_no_gpu_twice_and_reaches_the_same_end() {
    for before_the_write in [false, true] {
        let mut deaths = 0;
        for commit in 1..=23 {
            deaths += u32::from(die_at(commit, before_the_write).await);
        }
        assert_eq!(deaths, 21, "each commit of three lives was one at which the daemon died");
    }
}
