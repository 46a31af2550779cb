use std::time::{Duration, Instant};

use super::world::{World, processes_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_literal_script_goes_from_its_queue_to_completed_and_its_output_is_there() {
    let world = World::new().await;
    let task = world.submit("import sys\nprint('hello')\nprint('trouble', file=sys.stderr)\n", "").await;
    let log = world.completes(&task).await;
    assert!(log.contains("hello\n") && log.contains("trouble\n"), "{log}");
    let runs = world.json(&["run", "list"]);
    assert!(runs.to_string().contains("completed"), "{runs}");
    assert!(world.ok(&["run", "logs", task.as_str()]).contains("hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_reaches_the_server_within_a_second_or_so_while_the_program_runs() {
    let world = World::new().await;
    let script = "import time\ntime.sleep(3)\nprint('now', int(time.time() * 1000), flush=True)\ntime.sleep(60)\n";
    let task = world.submit(script, "").await;
    let log = world.log_shows(&task, "now ").await;
    let seen = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_millis();
    let printed: u128 =
        log.lines().find_map(|line| line.strip_prefix("now ")).expect("a stamp").parse().expect("a number");
    assert!(seen - printed < 3000, "it took {} ms", seen - printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_fails_is_failed_with_its_code_and_its_last_line() {
    let world = World::new().await;
    let task = world.submit("print('about to')\nraise ValueError('no such luck')\n", "").await;
    let reason = world.fails(&task).await;
    assert!(reason.contains("exit code 1") && reason.contains("ValueError: no such luck"), "{reason}");
    let task = world.submit("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n", "").await;
    let reason = world.fails(&task).await;
    assert!(reason.contains("SIGSEGV"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_gives_the_program_its_grace_and_the_task_is_stopped() {
    let world = World::new().await;
    let script = "import signal, sys, time\n\
        def bye(*_):\n    print('saved the model', flush=True)\n    sys.exit(0)\n\
        signal.signal(signal.SIGTERM, bye)\nprint('ready', flush=True)\ntime.sleep(600)\n";
    let task = world.submit(script, "").await;
    world.log_shows(&task, "ready").await;
    world.ok(&["task", "abort", task.as_str()]);
    let detail = world.end(&task).await;
    assert_eq!(detail.task.status, "stopped", "{}", world.log(&task).await);
    assert!(world.log(&task).await.contains("saved the model"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_reset_or_deleted_meanwhile_is_ended_and_left_as_it_is() {
    let world = World::new().await;
    let task = world.submit("import time\nprint('ready', flush=True)\ntime.sleep(3917)\n", "").await;
    world.log_shows(&task, "ready").await;
    world.ok(&["task", "reset", "--force", task.as_str()]);
    let began = Instant::now();
    while world.ok(&["worker", "list"]).to_lowercase().contains("busy") {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", world.daemon_log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(world.task(&task).await.task.status, "created");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_5xx_for_a_while_loses_nothing() {
    let world = World::new().await;
    let script = "import time\nfor i in range(40):\n    print('line', i, flush=True)\n    time.sleep(0.2)\n";
    let task = world.submit(script, "").await;
    world.log_shows(&task, "line 2\n").await;
    world.faults().next(60, clearmld::server::Fault::Status(503));
    let log = world.completes(&task).await;
    for line in 0..40 {
        assert_eq!(log.matches(&format!("line {line}\n")).count(), 1, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_neither_fills_the_memory_nor_is_it_silently_lost() {
    let world = World::new().await;
    let script = "import sys\nfor i in range(300000):\n    sys.stdout.write('x' * 100 + '\\n')\nprint('the end')\n";
    let task = world.submit(script, "").await;
    let log = world.completes(&task).await;
    assert!(log.ends_with("the end\n") || log.contains("the end\n"));
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.daemon_pid())).expect("status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kib < 200 << 10, "the daemon's memory peaked at {kib} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn worker_stop_now_ends_every_process_of_the_task() {
    let world = World::new().await;
    let task = world.submit("import time\nprint('ready', flush=True)\ntime.sleep(7919)  # stop-now-marker\n", "").await;
    world.log_shows(&task, "ready").await;
    let run = world.json(&["run", "list"]);
    world.ok(&["worker", "stop", "--now", "testhost:cpu:0"]);
    let detail = world.end(&task).await;
    assert_eq!(detail.task.status, "stopped", "{run}");
    assert!(processes_with(task.as_str()).is_empty());
}
