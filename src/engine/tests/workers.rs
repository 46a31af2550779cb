use super::*;
use crate::domain::handover::RunSpec;
use crate::domain::limits::{Controllers, Limits, Written};

#[tokio::test(start_paused = true)]
async fn two_workers_run_ten_tasks_each_once() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    daemon.add(&["default"]).await;
    for number in 0..10 {
        host.clearml.enqueue("default", &format!("t{number}"));
    }
    let mut most = 0;
    for _ in 0..3000 {
        let live = host.launcher.live();
        most = most.max(live.len());
        for run in live {
            host.launcher.exit(&run, End::Exited { code: 0 });
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        if host.clearml.lock().tasks.values().all(|task| task.status == Some(TaskStatus::Completed)) {
            break;
        }
    }
    let launches = host.launcher.launches();
    assert_eq!(launches.len(), 10);
    assert!(launches.values().all(|count| *count == 1), "{launches:?}");
    assert_eq!(most, 2, "both workers were busy at once, and never more");
    assert!(host.clearml.lock().tasks.values().all(|task| task.ends == 1));
}

async fn order(fair: bool) -> Vec<String> {
    let host = Host::new();
    for (queue, task) in [("high", "h1"), ("high", "h2"), ("low", "l1"), ("low", "l2")] {
        host.clearml.enqueue(queue, task);
    }
    let daemon = host.start().await;
    let queues = vec!["high".to_owned(), "low".to_owned()];
    let draft = WorkerDraft { queues, order_fairness: fair, ..WorkerDraft::default() };
    daemon.handle.add_worker(draft).await.expect("added");
    let mut order = Vec::new();
    while order.len() < 4 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        for run in host.launcher.live() {
            order.push(daemon.handle.run(run.as_str()).await.expect("there").record.task.to_string());
            host.launcher.exit(&run, End::Exited { code: 0 });
        }
    }
    order
}

#[tokio::test(start_paused = true)]
async fn queues_are_served_in_their_order_and_with_order_fairness_in_turn() {
    assert_eq!(order(false).await, ["h1", "h2", "l1", "l2"]);
    assert_eq!(order(true).await, ["h1", "l1", "h2", "l2"]);
}

#[tokio::test(start_paused = true)]
async fn a_name_or_a_gpu_that_is_anothers_is_refused_with_the_reason() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    let draft = |name: &str, gpus: &str| WorkerDraft {
        name: Some(WorkerName::new(name).expect("a name")),
        gpus: Some(gpus.parse::<GpuClaim>().expect("a claim")),
        ..WorkerDraft::default()
    };
    daemon.handle.add_worker(draft("a", "0,1")).await.expect("added");
    for (name, gpus, said) in
        [("a", "none", "`a` already"), ("b", "1", "GPU 1 belongs to worker `a`"), ("c", "all", "belongs to")]
    {
        let error = daemon.handle.add_worker(draft(name, gpus)).await.expect_err("refused");
        assert!(matches!(error, EngineError::Conflict { .. }));
        assert!(error.to_string().contains(said), "{error}");
    }
    daemon.handle.add_worker(draft("d", "2")).await.expect("added");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_queue_is_refused_unless_it_may_be_made() {
    let host = Host::new();
    let daemon = host.start().await;
    let mut draft = WorkerDraft { queues: vec!["new".into()], ..WorkerDraft::default() };
    let error = daemon.handle.add_worker(draft.clone()).await.expect_err("refused");
    assert!(matches!(error, EngineError::NotFound { kind: "queue", .. }), "{error}");
    draft.create_queue = true;
    daemon.handle.add_worker(draft).await.expect("added");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_worker_finishes_its_task_and_takes_no_more_until_it_is_resumed() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    let worker = daemon.add(&["default"]).await;
    host.clearml.enqueue("default", "t1");
    let run = daemon.running("t1").await;
    let view = daemon.handle.stop_worker(worker.clone(), false).await.expect("stopped");
    assert!(matches!(view.activity, WorkerActivity::Finishing { .. }));
    host.clearml.enqueue("default", "t2");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(host.launcher.live(), std::slice::from_ref(&run), "the task went on");
    host.launcher.exit(&run, End::Exited { code: 0 });
    daemon.settled("t1").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(host.launcher.live().is_empty());
    daemon.handle.resume_worker(worker).await.expect("resumed");
    daemon.running("t2").await;
}

#[tokio::test(start_paused = true)]
async fn stop_now_aborts_the_task_and_says_why() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    let worker = daemon.add(&["default"]).await;
    let task = host.clearml.enqueue("default", "t1");
    daemon.running("t1").await;
    daemon.handle.stop_worker(worker, true).await.expect("stopped");
    let run = daemon.settled("t1").await;
    assert_eq!(run.record.exited().expect("ended").cause, Cause::Stopped { reason: StopReason::WorkerStopped });
    assert_eq!(host.clearml.lock().tasks[&task].status, Some(TaskStatus::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_draining_host_takes_nothing_also_after_a_restart() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    daemon.handle.drain().await.expect("draining");
    host.clearml.enqueue("default", "t1");
    tokio::time::sleep(Duration::from_secs(30)).await;
    daemon.stop().await;
    let daemon = host.start().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(host.launcher.live().is_empty());
    daemon.handle.resume().await.expect("resumed");
    daemon.running("t1").await;
}

#[tokio::test(start_paused = true)]
async fn a_host_on_its_way_down_leaves_tasks_in_their_queue_until_the_next_start() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    host.launcher.set_going_down(true);
    host.clearml.enqueue("default", "t1");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!host.clearml.lock().calls.contains_key("pop"), "it was taken");
    let polls = host.clearml.lock().calls["queue_heads"];
    assert!(polls < 10, "{polls} polls by a host that takes nothing");
    daemon.stop().await;
    host.launcher.set_going_down(false);
    let daemon = host.start().await;
    daemon.running("t1").await;
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_closes_takes_nothing_and_still_reports_ends() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    host.clearml.enqueue("default", "t1");
    let run = daemon.running("t1").await;
    daemon.handle.close().await.expect("closing");
    host.clearml.enqueue("default", "t2");
    host.launcher.exit(&run, End::Exited { code: 0 });
    daemon.settled("t1").await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(host.launcher.live().is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_request_polls_all_queues_of_all_workers() {
    let host = Host::new();
    let daemon = host.start().await;
    for number in 0..20 {
        host.clearml.queue(&format!("q{number}"));
        daemon.add(&[&format!("q{number}")]).await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    host.clearml.lock().calls.clear();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let polls = host.clearml.lock().calls["queue_heads"];
    assert!((50..=70).contains(&polls), "{polls} requests in a minute for 20 workers");
}

#[tokio::test(start_paused = true)]
async fn workers_are_seen_at_the_server_and_leave_with_the_daemon_when_idle() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    let idle = daemon.add(&["default"]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(host.clearml.lock().workers.contains(&idle));
    host.clearml.enqueue("default", "t1");
    daemon.running("t1").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    daemon.stop().await;
    assert!(host.clearml.lock().workers.contains(&idle), "its task goes on, so the server must not call it dead");
    let daemon = host.start().await;
    host.launcher.exit(&host.launcher.live()[0], End::Exited { code: 0 });
    daemon.settled("t1").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    daemon.stop().await;
    assert!(host.clearml.lock().workers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_breaks_ends_the_daemon_instead_of_leaving_one_that_does_nothing() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    host.clearml.lock().broken = true;
    let ended = tokio::time::timeout(Duration::from_secs(60), daemon.task).await.expect("it ends");
    assert!(ended.is_err(), "the engine said that a loop broke");
}

fn limited(memory: &str) -> WorkerDraft {
    let limits = Limits::parse(&Written { memory: Some(memory), ..Written::default() }).expect("limits");
    WorkerDraft { limits, ..WorkerDraft::default() }
}

#[tokio::test(start_paused = true)]
async fn a_limit_reaches_the_run_and_one_that_the_host_cannot_keep_is_refused() {
    let host = Host::new();
    host.clearml.enqueue("default", "t1");
    let daemon = host.start().await;
    let error = daemon.handle.add_worker(limited("1G")).await.expect_err("no controller");
    assert!(matches!(&error, EngineError::Invalid { reason } if reason.contains("cannot enforce")), "{error}");
    *host.launcher.controllers.lock().expect("unpoisoned") = Controllers::of("memory", String::new());
    let error = daemon.handle.add_worker(limited("65G")).await.expect_err("the host has 64 GiB");
    assert!(error.to_string().contains("63488 MiB"), "{error}");
    daemon.handle.add_worker(limited("1G")).await.expect("added");
    let run = daemon.running("t1").await;
    let path = host.disk.path().join("state/runs").join(run.as_str()).join("spec.json");
    let spec: RunSpec = serde_json::from_slice(&std::fs::read(path).expect("read")).expect("a spec");
    assert_eq!(spec.limits, limited("1G").limits);
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_limits_the_host_no_longer_keeps_takes_no_task_and_says_why() {
    let host = Host::new();
    host.clearml.queue("default");
    *host.launcher.controllers.lock().expect("unpoisoned") = Controllers::of("memory", String::new());
    let daemon = host.start().await;
    let worker = daemon.handle.add_worker(limited("1G")).await.expect("added").worker.name;
    daemon.stop().await;
    // A boot without cgroup v2.
    *host.launcher.controllers.lock().expect("unpoisoned") = Controllers::default();
    let daemon = host.start().await;
    host.clearml.enqueue("default", "t1");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(host.launcher.launches().is_empty());
    let view = daemon.handle.worker(&worker).await.expect("there");
    assert!(view.problem.as_deref().is_some_and(|problem| problem.contains("cannot enforce")), "{view:?}");
}
