use super::*;

#[tokio::test(start_paused = true)]
async fn a_task_goes_from_its_queue_to_completed_with_all_its_output() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    let task = host.clearml.enqueue("default", "t1");
    let run = daemon.running("t1").await;
    host.launcher.print(&run, "hello\nworld\n");
    host.launcher.exit(&run, End::Exited { code: 0 });
    daemon.settled("t1").await;
    let log = log_of(&host, "t1");
    assert!(log.contains("pulled from queue default"), "{log}");
    assert!(log.contains("hello\nworld\n"), "{log}");
    let state = host.clearml.lock();
    assert_eq!(state.tasks[&task].status, Some(TaskStatus::Completed));
    assert_eq!(state.tasks[&task].requirements, ["six==1.16.0"]);
    assert_eq!((state.tokens, state.revoked), (1, 1), "the payload's token is revoked at the end");
}

#[tokio::test(start_paused = true)]
async fn a_failing_program_is_failed_with_its_exit_code_in_the_reason() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    let task = host.clearml.enqueue("default", "t1");
    let run = daemon.running("t1").await;
    host.launcher.exit(&run, End::Exited { code: 3 });
    daemon.settled("t1").await;
    let state = host.clearml.lock();
    assert_eq!(state.tasks[&task].status, Some(TaskStatus::Failed));
    assert_eq!(state.tasks[&task].reasons, ["worker execution exit code 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_cannot_be_launched_is_failed_with_the_cause_never_silently_in_progress() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    let task = host.clearml.enqueue("default", "unfit");
    daemon.settled("unfit").await;
    let state = host.clearml.lock();
    assert_eq!(state.tasks[&task].status, Some(TaskStatus::Failed));
    assert!(state.tasks[&task].reasons[0].contains("no script"), "{:?}", state.tasks[&task].reasons);
}

#[tokio::test(start_paused = true)]
async fn an_abort_at_the_server_stops_the_program_and_the_task_is_stopped() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    let task = host.clearml.enqueue("default", "t1");
    daemon.running("t1").await;
    host.clearml.lock().tasks.get_mut(&task).expect("there").message = "stopping".into();
    let run = daemon.settled("t1").await;
    let cause = &run.record.exited().expect("ended").cause;
    assert_eq!(*cause, Cause::Stopped { reason: StopReason::UserAbort });
    assert_eq!(host.clearml.lock().tasks[&task].status, Some(TaskStatus::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_deleted_or_reset_is_ended_and_left_alone() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    for (name, status) in [("gone", None), ("reset", Some(TaskStatus::Created))] {
        let task = host.clearml.enqueue("default", name);
        daemon.running(name).await;
        match status {
            None => drop(host.clearml.lock().tasks.remove(&task)),
            Some(_) => host.clearml.lock().tasks.get_mut(&task).expect("there").status = status,
        }
        daemon.settled(name).await;
        let state = host.clearml.lock();
        assert_eq!(state.tasks.get(&task).and_then(|task| task.status), status);
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_server_is_away_the_run_ends_and_the_worker_is_free_and_all_is_told_afterwards() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    let worker = daemon.add(&["default"]).await;
    let task = host.clearml.enqueue("default", "t1");
    let run = daemon.running("t1").await;
    host.clearml.lock().down = true;
    host.launcher.print(&run, "said while nobody listened\n");
    host.launcher.exit(&run, End::Exited { code: 0 });
    let exited = |runs: &[RunView]| matches!(runs[0].record.phase, Phase::Exited(_)).then_some(());
    daemon.until("exited", exited).await;
    assert_eq!(daemon.handle.worker(&worker).await.expect("there").activity, WorkerActivity::Idle);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    host.clearml.lock().down = false;
    daemon.settled("t1").await;
    assert!(log_of(&host, "t1").contains("said while nobody listened"));
    assert_eq!(host.clearml.lock().tasks[&task].status, Some(TaskStatus::Completed));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_is_not_asked_in_a_hot_loop() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    host.clearml.lock().down = true;
    tokio::time::sleep(Duration::from_secs(1)).await;
    host.clearml.lock().calls.clear();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    let polls = host.clearml.lock().calls["queue_heads"];
    assert!((30..300).contains(&polls), "{polls} polls in an hour");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_neither_loses_nor_doubles_a_line() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    host.clearml.enqueue("default", "t1");
    let run = daemon.running("t1").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    for line in 0..20 {
        host.clearml.lock().lose_answers = u32::from(line % 3 == 0);
        host.launcher.print(&run, &format!("line {line}\n"));
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    host.launcher.exit(&run, End::Exited { code: 0 });
    daemon.settled("t1").await;
    let log = log_of(&host, "t1");
    for line in 0..20 {
        assert_eq!(log.matches(&format!("line {line}\n")).count(), 1, "{log}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shim_that_was_killed_is_lost_and_never_guessed_to_be_success() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    let task = host.clearml.enqueue("default", "t1");
    let run = daemon.running("t1").await;
    host.launcher.kill(&run);
    let view = daemon.settled("t1").await;
    assert!(matches!(view.record.exited().expect("ended").cause, Cause::Lost { .. }));
    assert_eq!(host.clearml.lock().tasks[&task].status, Some(TaskStatus::Failed));
}

#[tokio::test(start_paused = true)]
async fn an_abort_that_comes_before_the_program_starts_is_not_wiped_by_our_own_started() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    let task = host.clearml.enqueue("default", "t1");
    {
        let mut state = host.clearml.lock();
        let task = state.tasks.get_mut(&task).expect("there");
        task.status = Some(TaskStatus::InProgress);
        task.message = "stopping".into();
    }
    daemon.settled("t1").await;
    assert!(host.launcher.launches().is_empty(), "the program never ran");
    assert_eq!(host.clearml.lock().tasks[&task].status, Some(TaskStatus::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_progress_bar_is_a_line_every_few_seconds() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    let task = host.clearml.enqueue("default", "t1");
    let run = daemon.running("t1").await;
    for step in 0..300 {
        host.launcher.print(&run, &format!("\r{step} of 300"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    host.launcher.print(&run, "\n");
    host.launcher.exit(&run, End::Exited { code: 0 });
    daemon.settled("t1").await;
    let events = host.clearml.lock().tasks[&task].log.len();
    assert!(events < 12, "{events} events for 30 s of a progress bar");
    assert!(log_of(&host, "t1").contains("299 of 300"));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_prints_its_token_does_not_publish_it() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    daemon.add(&["default"]).await;
    host.clearml.enqueue("default", "t1");
    let run = daemon.running("t1").await;
    host.launcher.print(&run, "CLEARML_AUTH_TOKEN=token-1 and more\n");
    host.launcher.exit(&run, End::Exited { code: 0 });
    daemon.settled("t1").await;
    let log = log_of(&host, "t1");
    assert!(log.contains("CLEARML_AUTH_TOKEN=**** and more"), "{log}");
}
