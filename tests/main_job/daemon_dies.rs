use std::time::Duration;

use super::world::World;

/// The program's pid on the host, as `run show` tells it; a daemon that has just started reads it first.
async fn stage_pid(world: &World, task: &str) -> u64 {
    let shown = |world: &World| world.json(&["run", "show", task])["stage_pid"].as_u64();
    world.until("the program's pid", |world| shown(world).is_some()).await;
    shown(world).expect("it was there")
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_the_daemon_keeps_the_program_its_output_and_its_exit_code() {
    nothing_is_lost(&mut World::new().await).await;
}

pub(crate) async fn nothing_is_lost(world: &mut World) {
    let script = "import time\nfor i in range(60):\n    print('line', i, flush=True)\n    time.sleep(0.1)\nraise SystemExit(7)\n";
    let task = world.submit(script, "").await;
    world.log_shows(&task, "line 3\n").await;
    let before = stage_pid(world, task.as_str()).await;
    world.kill_daemon();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(std::path::Path::new(&format!("/proc/{before}")).exists(), "the program lives without the daemon");
    world.start_daemon();
    assert_eq!(stage_pid(world, task.as_str()).await, before);
    let reason = world.fails(&task).await;
    assert!(reason.contains("exit code 7"), "{reason}");
    let log = world.log(&task).await;
    for line in 0..60 {
        let wanted = format!("line {line}");
        assert_eq!(log.lines().filter(|found| *found == wanted).count(), 1, "line {line}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ends_while_no_daemon_lives_is_reported_by_the_next_one() {
    let mut world = World::new().await;
    let task = world.submit("import time\nprint('begun', flush=True)\ntime.sleep(3)\nprint('over')\n", "").await;
    world.log_shows(&task, "begun").await;
    world.kill_daemon();
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.start_daemon();
    let log = world.completes(&task).await;
    assert_eq!(log.matches("over\n").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_come_back_after_a_restart_without_being_asked() {
    let mut world = World::new().await;
    world.kill_daemon();
    world.start_daemon();
    assert!(world.ok(&["worker", "list"]).contains("testhost:cpu:0"));
    let task = world.submit("print('again')\n", "").await;
    world.completes(&task).await;
}
