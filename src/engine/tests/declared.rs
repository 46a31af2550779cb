use super::*;
use crate::domain::declared::Change;
use crate::domain::worker::Intent;
use crate::engine::handle::Reload;

fn draft(queue: &str, gpus: &str) -> WorkerDraft {
    let gpus = Some(gpus.parse::<GpuClaim>().expect("a claim"));
    WorkerDraft { queues: vec![queue.into()], gpus, ..WorkerDraft::default() }
}

fn name(text: &str) -> WorkerName {
    WorkerName::new(text).expect("a name")
}

/// In short, without what stays.
fn said(reload: &Reload) -> Vec<String> {
    let after = |run: &Option<RunId>| if run.is_some() { " later" } else { "" };
    let word = |change: &Change| match change {
        Change::Add { worker } => Some(format!("+ {}", worker.name)),
        Change::Alter { worker, after: run, .. } => Some(format!("~ {}{}", worker.name, after(run))),
        Change::Remove { name, after: run, .. } => Some(format!("- {name}{}", after(run))),
        Change::Keep { .. } => None,
        Change::Refuse { path, reasons, .. } => Some(format!("! {path}: {}", reasons.join("; "))),
    };
    reload.workers.iter().filter_map(word).chain(reload.problems.iter().cloned()).collect()
}

async fn workers(daemon: &Daemon) -> Vec<String> {
    let views = daemon.handle.workers().await.expect("workers");
    views.iter().map(|view| format!("{} {}", view.worker.name, view.worker.gpus)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_declared_worker_is_there_at_the_start_and_takes_tasks() {
    let host = Host::new();
    host.clearml.enqueue("gpu", "t1");
    host.declarations.write("w", Ok(draft("gpu", "0")));
    let daemon = host.start().await;
    assert_eq!(workers(&daemon).await, ["host:w 0"]);
    let run = daemon.running("t1").await;
    host.launcher.exit(&run, End::Exited { code: 0 });
    daemon.settled("t1").await;
}

#[tokio::test(start_paused = true)]
async fn while_the_server_is_away_it_is_there_and_serves_as_soon_as_its_queues_are_known() {
    let host = Host::new();
    host.clearml.enqueue("gpu", "t1");
    host.clearml.lock().down = true;
    host.declarations.write("w", Ok(draft("gpu", "0")));
    let daemon = host.start().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let view = daemon.handle.worker(&name("host:w")).await.expect("there");
    assert!(view.problem.as_deref().is_some_and(|problem| problem.contains("not known yet")), "{view:?}");
    daemon.stop().await;
    let daemon = host.start().await;
    host.clearml.lock().down = false;
    daemon.running("t1").await;
    let view = daemon.handle.worker(&name("host:w")).await.expect("there");
    assert_eq!(view.problem, None);
    // What is known stays known: the next start needs no server to serve.
    assert_eq!(view.worker.queues[0].name, "gpu");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_exist_is_waited_for_or_made() {
    let host = Host::new();
    host.declarations.write("waits", Ok(draft("later", "0")));
    host.declarations.write("makes", Ok(WorkerDraft { create_queue: true, ..draft("made", "1") }));
    let daemon = host.start().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(host.clearml.lock().queues.keys().any(|queue| queue.as_str() == "made"));
    let view = daemon.handle.worker(&name("host:waits")).await.expect("there");
    let problem = view.problem.expect("a problem");
    assert!(problem.contains("`later`") && problem.contains("waits.toml"), "{problem}");
    host.clearml.enqueue("later", "t1");
    daemon.running("t1").await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_changes_nothing_and_a_reload_does_what_it_said() {
    let host = Host::new();
    host.clearml.queue("gpu");
    host.declarations.write("kept", Ok(draft("gpu", "0")));
    host.declarations.write("gone", Ok(draft("gpu", "1")));
    host.declarations.write("moved", Ok(draft("gpu", "2")));
    let daemon = host.start().await;
    let before = workers(&daemon).await;
    host.declarations.delete("gone");
    host.declarations.write("moved", Ok(draft("gpu", "1")));
    host.declarations.write("new", Ok(draft("gpu", "2")));
    let plan = daemon.handle.plan().await.expect("planned");
    assert_eq!(said(&plan), ["- host:gone", "~ host:moved", "+ host:new"]);
    assert_eq!(workers(&daemon).await, before);
    assert_eq!(said(&daemon.handle.reload().await.expect("done")), said(&plan));
    assert_eq!(workers(&daemon).await, ["host:kept 0", "host:moved 1", "host:new 2"]);
    assert!(daemon.handle.reload().await.expect("done").is_calm());
    daemon.stop().await;
    let daemon = host.start().await;
    assert_eq!(workers(&daemon).await, ["host:kept 0", "host:moved 1", "host:new 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_running_task_ends_under_the_old_definition_and_then_the_new_one_counts() {
    let host = Host::new();
    host.declarations.write("changed", Ok(draft("a", "0")));
    host.declarations.write("removed", Ok(draft("b", "1")));
    host.clearml.enqueue("a", "t1");
    host.clearml.enqueue("b", "t2");
    let daemon = host.start().await;
    let (first, second) = (daemon.running("t1").await, daemon.running("t2").await);
    host.declarations.write("changed", Ok(draft("c", "0")));
    host.declarations.delete("removed");
    let done = daemon.handle.reload().await.expect("done");
    assert_eq!(said(&done), ["- host:removed later", "~ host:changed later"]);
    let pending = daemon.handle.worker(&name("host:changed")).await.expect("there").pending.expect("pending");
    assert_eq!(pending, format!("queues: a -> c, after run {first}"));
    for (queue, task) in [("a", "t3"), ("b", "t4"), ("c", "t5")] {
        host.clearml.enqueue(queue, task);
    }
    // Also over a restart.
    daemon.stop().await;
    let daemon = host.start().await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(host.launcher.live().len(), 2, "both tasks run on");
    assert_eq!(workers(&daemon).await, ["host:changed 0", "host:removed 1"]);
    for run in [&first, &second] {
        host.launcher.exit(run, End::Exited { code: 0 });
    }
    let third = daemon.running("t5").await;
    assert_eq!(workers(&daemon).await, ["host:changed 0"]);
    host.launcher.exit(&third, End::Exited { code: 0 });
    tokio::time::sleep(Duration::from_secs(60)).await;
    let state = host.clearml.lock();
    let waiting: Vec<String> = state.queues.values().flatten().map(ToString::to_string).collect();
    assert_eq!(waiting, ["t3", "t4"], "nobody serves the old queues any more");
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_taken_back_while_the_task_runs_never_happens() {
    let host = Host::new();
    host.declarations.write("w", Ok(draft("a", "0")));
    host.clearml.enqueue("a", "t1");
    let daemon = host.start().await;
    daemon.running("t1").await;
    host.declarations.delete("w");
    assert_eq!(said(&daemon.handle.reload().await.expect("done")), ["- host:w later"]);
    host.declarations.write("w", Ok(draft("a", "0")));
    assert_eq!(said(&daemon.handle.reload().await.expect("done")), Vec::<String>::new());
    assert_eq!(daemon.handle.worker(&name("host:w")).await.expect("there").pending, None);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_worker_stays_stopped_over_a_reload_and_a_change() {
    let host = Host::new();
    host.clearml.queue("a");
    host.declarations.write("w", Ok(draft("a", "0")));
    let daemon = host.start().await;
    daemon.handle.stop_worker(name("host:w"), false).await.expect("stopped");
    host.declarations.write("w", Ok(draft("a", "1")));
    daemon.handle.reload().await.expect("done");
    let view = daemon.handle.worker(&name("host:w")).await.expect("there");
    assert_eq!((view.worker.intent, view.worker.gpus.to_string()), (Intent::Stopped, "1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_is_named_in_the_status_and_its_worker_and_the_others_serve_on() {
    let host = Host::new();
    host.declarations.write("good", Ok(draft("a", "0")));
    host.declarations.write("bad", Ok(draft("a", "1")));
    host.clearml.queue("a");
    let daemon = host.start().await;
    assert_eq!(workers(&daemon).await.len(), 2);
    host.declarations.write("bad", Err(vec!["line 3: colour: there is no such key".into()]));
    host.declarations.write("root", Ok(WorkerDraft { user: Some("root".into()), ..draft("a", "2") }));
    let done = daemon.handle.reload().await.expect("done");
    let wanted = ["! bad.toml: line 3: colour: there is no such key", "! root.toml: user: tasks may not run as `root`"];
    assert_eq!(said(&done), wanted);
    assert_eq!(workers(&daemon).await, ["host:bad 1", "host:good 0"]);
    let status = daemon.handle.status().await.expect("status");
    assert!(status.remarks.contains(&"bad.toml: line 3: colour: there is no such key".to_owned()), "{status:?}");
    daemon.stop().await;
    // Also at a start.
    let daemon = host.start().await;
    assert_eq!(workers(&daemon).await, ["host:bad 1", "host:good 0"]);
    host.declarations.write("bad", Ok(draft("a", "1")));
    host.declarations.delete("root");
    daemon.handle.reload().await.expect("done");
    let remarks = daemon.handle.status().await.expect("status").remarks;
    assert!(!remarks.iter().any(|remark| remark.contains(".toml")), "{remarks:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_added_by_hand_and_what_is_declared_keep_out_of_each_others_way() {
    let host = Host::new();
    host.clearml.queue("default");
    host.declarations.write("w", Ok(draft("default", "0")));
    let daemon = host.start().await;
    for (name, gpus) in [(Some(name("host:w")), "1"), (None, "0")] {
        let draft = WorkerDraft { name, gpus: gpus.parse().ok(), ..WorkerDraft::default() };
        let error = daemon.handle.add_worker(draft).await.expect_err("refused").to_string();
        assert!(error.contains("delete w.toml, then clearmlctl reload"), "{error}");
    }
    let error = daemon.handle.remove_worker(name("host:w"), true).await.expect_err("refused").to_string();
    assert!(error.contains("w.toml") && error.contains("clearmlctl reload"), "{error}");
    let by_hand = WorkerDraft { gpus: "1".parse().ok(), ..WorkerDraft::default() };
    daemon.handle.add_worker(by_hand).await.expect("added");
    host.declarations.write("x", Ok(draft("default", "1")));
    let plan = said(&daemon.handle.reload().await.expect("done"));
    assert!(plan.len() == 1 && plan[0].contains("clearmlctl worker remove host:gpu1"), "{plan:?}");
    daemon.handle.remove_worker(name("host:gpu1"), false).await.expect("removed");
    assert_eq!(said(&daemon.handle.reload().await.expect("done")), ["+ host:x"]);
}

#[tokio::test(start_paused = true)]
async fn a_gpu_that_a_pending_change_will_take_is_not_given_away() {
    let host = Host::new();
    host.declarations.write("w", Ok(draft("a", "0")));
    host.clearml.enqueue("a", "t1");
    let daemon = host.start().await;
    daemon.running("t1").await;
    host.declarations.write("w", Ok(draft("a", "1")));
    daemon.handle.reload().await.expect("done");
    let draft = WorkerDraft { queues: vec!["a".into()], gpus: "1".parse().ok(), ..WorkerDraft::default() };
    assert!(daemon.handle.add_worker(draft).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_slow_keeps_nobody_waiting_but_who_asked_for_the_reload() {
    let host = Host::new();
    let daemon = host.start().await;
    assert_eq!(workers(&daemon).await, Vec::<String>::new(), "the files of the start are read");
    host.declarations.write("w", Ok(draft("gpu", "0")));
    host.declarations.answer_after(Duration::from_secs(60));
    let began = tokio::time::Instant::now();
    let others = async {
        for _ in 0..3 {
            daemon.handle.status().await.expect("answered");
            assert_eq!(workers(&daemon).await, Vec::<String>::new());
        }
        began.elapsed()
    };
    let (done, waited) = tokio::join!(daemon.handle.reload(), others);
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    assert_eq!((said(&done.expect("done")), began.elapsed().as_secs()), (vec!["+ host:w".to_owned()], 60));
    assert_eq!(workers(&daemon).await, ["host:w 0"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_read_first_is_never_followed_last() {
    let host = Host::new();
    let daemon = host.start().await;
    assert_eq!(workers(&daemon).await, Vec::<String>::new(), "the files of the start are read");
    host.declarations.write("w", Ok(draft("gpu", "0")));
    host.declarations.answer_after(Duration::from_secs(60));
    let second = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        host.declarations.delete("w");
        host.declarations.answer_after(Duration::ZERO);
        daemon.handle.reload().await.expect("done")
    };
    let (first, second) = tokio::join!(daemon.handle.reload(), second);
    assert_eq!((said(&first.expect("done")), said(&second)), (vec!["+ host:w".into()], vec!["- host:w".to_owned()]));
    assert_eq!(workers(&daemon).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_reload_takes_over_the_settings_that_it_can() {
    let host = Host::new();
    let daemon = host.start().await;
    host.clearml.queue("default");
    daemon.add(&["default"]).await;
    let mut found = settings();
    found.poll_interval = Duration::from_secs(10);
    found.described = [("clearmld.poll_interval_seconds".to_owned(), "10 s".to_owned())].into();
    host.declarations.set(found);
    let done = daemon.handle.reload().await.expect("done");
    assert!(done.settings.len() == 1 && done.settings[0].live, "{done:?}");
    tokio::time::sleep(Duration::from_secs(20)).await;
    host.clearml.lock().calls.clear();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let polls = host.clearml.lock().calls["queue_heads"];
    assert!((8..=12).contains(&polls), "{polls} polls in 100 s");
}
