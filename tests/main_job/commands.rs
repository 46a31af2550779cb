//! Commands that go on or intervene, on a host that works.

use std::time::{Duration, Instant};

use super::world::{World, processes_with};

const TICKS: &str = "import time\nfor i in range(30):\n    print('tick', i, flush=True)\n    time.sleep(0.1)\n";
/// Ignores SIGTERM; the marker makes its processes findable.
const STUBBORN: &str = "import os, signal, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
    if 'again' not in sys.argv:\n    os.execv(sys.executable, [sys.executable, __file__, 'again', 'MARKER'])\n\
    print('ready', flush=True)\ntime.sleep(3000)\n";

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_followed_to_the_end_at_the_host_and_at_the_server_and_events_tell_the_rest() {
    let world = World::new().await;
    let events = world.follow(&["events", "--output", "json"]);
    let task = world.submit(TICKS, "").await;
    let mut at_server = world.follow(&["task", "log", "-f", task.as_str()]);
    world.log_shows(&task, "tick 1\n").await;
    let mut at_host = world.follow(&["run", "logs", "-f", task.as_str()]);
    world.completes(&task).await;
    world.until("both have ended", |_| at_server.ended() && at_host.ended()).await;
    for (place, said) in [("server", at_server.said()), ("host", at_host.said())] {
        for tick in 0..30 {
            let wanted = format!("tick {tick}");
            assert_eq!(said.lines().filter(|line| *line == wanted).count(), 1, "{place}, {wanted}: {said}");
        }
    }
    world.until("the last event", |_| events.said().contains("run_settled")).await;
    let said = events.said();
    let mut places = Vec::new();
    for kind in ["run_claimed", "run_prepared", "run_started", "run_stage", "run_exited", "run_settled"] {
        places.push(said.find(&format!("\"{kind}\"")).unwrap_or_else(|| panic!("no {kind}: {said}")));
    }
    assert!(places.is_sorted(), "{said}");
    assert!(said.contains(task.as_str()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ignores_sigterm_is_killed_after_the_grace_that_the_operator_gives() {
    let world = World::new().await;
    let task = world.submit(&STUBBORN.replace("MARKER", "stubborn-b71c"), "").await;
    world.log_shows(&task, "ready").await;
    assert!(!processes_with("stubborn-b71c").is_empty(), "the test itself works");
    let began = Instant::now();
    world.ok(&["run", "stop", "--grace", "1", task.as_str()]);
    let detail = world.end(&task).await;
    assert!(began.elapsed() > Duration::from_millis(900), "the grace was given: {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(8), "it took {:?}", began.elapsed());
    assert_eq!(detail.task.status, "stopped");
    assert!(detail.task.status_reason.contains("operator"), "{}", detail.task.status_reason);
    assert_eq!(world.json(&["run", "show", task.as_str()])["end"]["cause"], "operator");
    assert_eq!(processes_with("stubborn-b71c"), Vec::<u32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_worker_is_removed_only_now_and_then_its_task_is_stopped() {
    let world = World::new().await;
    let task = world.submit("import time\nprint('ready', flush=True)\ntime.sleep(3000)\n", "").await;
    world.log_shows(&task, "ready").await;
    let refused = world.ctl(&["worker", "remove", "testhost:cpu:0"]);
    assert_eq!(refused.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--now"), "{refused:?}");
    world.ok(&["worker", "remove", "--now", "testhost:cpu:0"]);
    assert_eq!(world.end(&task).await.task.status, "stopped");
    assert!(!world.ok(&["worker", "list"]).contains("testhost:cpu:0"));
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default", "--name", "testhost:cpu:0"]);
    let next = world.submit("print('again')\n", "").await;
    world.completes(&next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_host_ends_what_runs_and_takes_nothing_until_it_is_resumed() {
    let mut world = World::new().await;
    let running = world.submit(TICKS, "").await;
    world.log_shows(&running, "tick 1\n").await;
    world.ok(&["drain"]);
    let waiting = world.submit("print('later')\n", "").await;
    world.completes(&running).await;
    world.kill_daemon();
    world.start_daemon();
    assert_eq!(world.json(&["status"])["draining"], true);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.task(&waiting).await.task.status, "queued");
    world.ok(&["resume"]);
    world.completes(&waiting).await;
}
