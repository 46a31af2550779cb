//! A daemon that has no descriptor left for a while.

use std::process::Command;
use std::time::Duration;

use super::world::World;

/// How many files the daemon may have open, soft and hard.
fn allow(world: &World, files: &str) {
    let pid = format!("--pid={}", world.daemon_pid());
    let done = Command::new("prlimit").args([pid, format!("--nofile={files}")]).status().expect("prlimit");
    assert!(done.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_cannot_be_read_for_want_of_descriptors_is_delivered_when_there_are_some_again() {
    let world = World::new().await;
    let script = "import time\nfor i in range(40):\n    print('line', i, flush=True)\n    time.sleep(0.1)\n";
    let task = world.submit(script, "").await;
    world.log_shows(&task, "line 3\n").await;
    // What is open stays open; nothing more can be.
    allow(&world, "3:4096");
    tokio::time::sleep(Duration::from_secs(6)).await;
    allow(&world, "4096:4096");
    let log = world.completes(&task).await;
    for line in 0..40 {
        let wanted = format!("line {line}");
        assert_eq!(
            log.lines().filter(|found| *found == wanted).count(),
            1,
            "line {line}: {log}\n{}",
            world.daemon_log()
        );
    }
}
