use super::*;
use crate::domain::ids::TaskId;

async fn with_a_running_task(host: &Host) -> (Daemon, TaskId, RunId) {
    host.clearml.queue("default");
    let daemon = host.start().await;
    let draft = WorkerDraft { requeue_on_host_loss: true, ..WorkerDraft::default() };
    daemon.handle.add_worker(draft).await.expect("added");
    let task = host.clearml.enqueue("default", "t1");
    let run = daemon.running("t1").await;
    (daemon, task, run)
}

/// Where the task is, and what the server was told last.
fn whereabouts(host: &Host, task: &TaskId) -> (Option<TaskStatus>, Vec<String>, String) {
    let state = host.clearml.lock();
    let queue = state.queues.values().flatten().map(ToString::to_string).collect();
    (state.tasks[task].status, queue, state.tasks[task].reasons.last().cloned().unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn a_task_whose_host_shuts_down_goes_back_to_the_head_of_its_queue_with_the_reason() {
    let host = Host::new();
    let (daemon, task, run) = with_a_running_task(&host).await;
    host.clearml.enqueue("default", "t2");
    host.launcher.set_going_down(true);
    host.launcher.stop_unit(&run);
    let run = daemon.settled("t1").await;
    assert_eq!(run.record.exited().expect("ended").cause, Cause::Stopped { reason: StopReason::HostShutdown });
    let (status, queue, reason) = whereabouts(&host, &task);
    assert_eq!((status, queue), (Some(TaskStatus::Queued), vec!["t1".to_owned(), "t2".to_owned()]));
    assert_eq!(reason, "the host was shut down; the task goes back to the head of queue default");
    assert!(log_of(&host, "t1").contains("goes back to the head of queue default"));
    daemon.stop().await;
    host.launcher.set_going_down(false);
    let daemon = host.start().await;
    daemon.running("t1").await;
}

#[tokio::test(start_paused = true)]
async fn an_operator_who_stops_the_unit_of_a_run_does_not_get_it_back() {
    let host = Host::new();
    let (daemon, task, run) = with_a_running_task(&host).await;
    host.launcher.stop_unit(&run);
    daemon.settled("t1").await;
    assert_eq!(host.clearml.lock().tasks[&task].status, Some(TaskStatus::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_say_so_leaves_the_task_stopped() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    let task = host.clearml.enqueue("default", "t1");
    let run = daemon.running("t1").await;
    host.launcher.set_going_down(true);
    host.launcher.stop_unit(&run);
    daemon.settled("t1").await;
    assert_eq!(host.clearml.lock().tasks[&task].status, Some(TaskStatus::Stopped));
}

#[tokio::test(start_paused = true)]
async fn after_a_power_cut_the_task_runs_again_but_not_for_ever() {
    let host = Host::new();
    let (mut daemon, task, _) = with_a_running_task(&host).await;
    for boot in 1..=3 {
        daemon.stop().await;
        host.launcher.reboot();
        daemon = host.start().await;
        if boot < 3 {
            let next = |runs: &[RunView]| {
                let live = |run: &&RunView| matches!(run.record.phase, Phase::Running(_));
                (runs.iter().filter(live).count() == 1 && host.launcher.live().len() == 1).then_some(())
            };
            daemon.until("it runs again", next).await;
        }
    }
    let failed = |_: &[RunView]| (host.clearml.lock().tasks[&task].status == Some(TaskStatus::Failed)).then_some(());
    daemon.until("it is left failed", failed).await;
    assert_eq!(host.launcher.launches().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_abort_that_came_meanwhile_counts_and_another_hosts_task_is_left_alone() {
    for (message, worker, wanted) in [
        ("stopping", None, TaskStatus::Stopped),
        ("pulled by another", Some("elsewhere:0".to_owned()), TaskStatus::InProgress),
    ] {
        let host = Host::new();
        let (daemon, task, _) = with_a_running_task(&host).await;
        daemon.stop().await;
        host.launcher.reboot();
        {
            let mut state = host.clearml.lock();
            let there = state.tasks.get_mut(&task).expect("there");
            there.message = message.into();
            there.last_worker = worker.or(there.last_worker.take());
        }
        let daemon = host.start().await;
        daemon.settled("t1").await;
        let (status, queue, _) = whereabouts(&host, &task);
        // A lost run of an aborted task is failed, as any other.
        let wanted = if wanted == TaskStatus::Stopped { TaskStatus::Failed } else { wanted };
        assert_eq!((status, queue), (Some(wanted), Vec::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_or_loses_answers_gets_the_task_back_exactly_once() {
    for lost in 0..6 {
        let host = Host::new();
        let (daemon, task, run) = with_a_running_task(&host).await;
        host.launcher.set_going_down(true);
        host.clearml.lock().down = true;
        host.launcher.stop_unit(&run);
        tokio::time::sleep(Duration::from_secs(60)).await;
        {
            let mut state = host.clearml.lock();
            state.down = false;
            state.lose_answers = lost;
        }
        daemon.settled("t1").await;
        let (status, queue, _) = whereabouts(&host, &task);
        assert_eq!((status, queue), (Some(TaskStatus::Queued), vec!["t1".to_owned()]), "{lost} answers lost");
    }
}

/// The daemon dies at each commit of an end that puts the task back; another one, of the next boot, finishes it.
#[tokio::test(start_paused = true)]
async fn killed_at_any_commit_the_task_is_neither_lost_nor_run_twice_at_a_time() {
    for before_the_write in [false, true] {
        let mut deaths = 0;
        for commit in 1..=4 {
            let host = Host::new();
            let (daemon, task, run) = with_a_running_task(&host).await;
            daemon.stop().await;
            host.launcher.set_going_down(true);
            let dead = watch::Sender::new(false);
            let store = super::crash::Dying::new(host.store(), commit, before_the_write, dead.clone());
            let daemon = host.start_with(Arc::new(store)).await;
            host.launcher.stop_unit(&run);
            for _ in 0..300 {
                tokio::time::sleep(Duration::from_millis(200)).await;
                if *dead.borrow() {
                    break;
                }
            }
            deaths += u32::from(*dead.borrow());
            daemon.kill().await;
            host.launcher.set_going_down(false);
            host.launcher.reboot();
            let daemon = host.start().await;
            let next = |runs: &[RunView]| {
                let live = |view: &&RunView| view.record.id != run && matches!(view.record.phase, Phase::Running(_));
                runs.iter().find(live).map(|view| view.record.id.clone())
            };
            let second = daemon.until("it runs again", next).await;
            let launches = host.launcher.launches();
            assert_eq!(launches.values().sum::<u32>(), 2, "commit {commit}: once before the boot and once after");
            host.launcher.exit(&second, End::Exited { code: 0 });
            daemon
                .until("all is settled", |runs| {
                    runs.iter().all(|run| matches!(run.record.phase, Phase::Settled(_))).then_some(())
                })
                .await;
            assert_eq!(host.clearml.lock().tasks[&task].status, Some(TaskStatus::Completed), "commit {commit}");
        }
        // Exited, stopped, Settled, and the intent of the next claim, which a host on its way down does not carry out.
        assert_eq!(deaths, 4);
    }
}
