//! A server that is not there while a run ends.

use std::time::Duration;

use clearmld::server::Fault;

use super::world::World;

/// Says `ready`, and ends by itself a few seconds later.
const SHORT: &str = "import time\nprint('ready', flush=True)\ntime.sleep(4)\nprint('over')\n";

async fn link_is(world: &World, wanted: &str) {
    world.until(wanted, |world| world.json(&["status"])["server"]["link"] == wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_while_a_run_ends_frees_the_worker_and_is_told_when_it_is_back() {
    let mut world = World::new().await;
    let events = world.follow(&["events", "-f", "--output", "json"]);
    let task = world.submit(SHORT, "").await;
    world.log_shows(&task, "ready").await;
    world.stop_server().await;
    world.idle().await;
    let lines = world.daemon_log().lines().count();
    link_is(&world, "down").await;
    // Long enough for several calls to give up.
    tokio::time::sleep(Duration::from_secs(15)).await;
    let status = world.ok(&["status"]);
    assert!(status.contains("1 not reported to the server yet"), "{status}");
    let since = world.daemon_log().lines().count() - lines;
    assert!(since < 10, "{since} lines in 15 s:\n{}", world.daemon_log());
    world.start_server().await;
    let log = world.completes(&task).await;
    assert_eq!(log.matches("over\n").count(), 1, "{log}");
    link_is(&world, "up").await;
    let said = events.said();
    assert_eq!(said.matches("\"server_down\"").count(), 1, "{said}");
    assert_eq!(said.split("\"server_down\"").nth(1).expect("after it").matches("\"server_up\"").count(), 1, "{said}");
    let task = world.submit("print('and on')\n", "").await;
    world.completes(&task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_silent_server_was_not_told_is_delivered_by_the_next_daemon() {
    let mut world = World::new().await;
    let task = world.submit(SHORT, "").await;
    world.log_shows(&task, "ready").await;
    world.faults().next(u32::MAX, Fault::Drop);
    world.idle().await;
    assert_eq!(world.json(&["run", "list"])[0]["phase"], "exited");
    world.kill_daemon();
    world.start_daemon();
    assert_eq!(world.json(&["run", "list"])[0]["end"]["cause"], "completed");
    link_is(&world, "down").await;
    world.faults().clear();
    let log = world.completes(&task).await;
    assert_eq!(log.matches("over\n").count(), 1, "{log}");
    assert_eq!(log.matches("ready\n").count(), 1, "{log}");
}
