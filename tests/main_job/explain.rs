//! Hours, tags and the property `force` end to end, and what `clearmlctl explain` says of each.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::world::World;

/// An hour of every day that is far from now, in UTC.
fn far_from_now() -> String {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let hour = (seconds / 3600 + 12) % 24;
    format!("{hour}-{} SUN-SAT", (hour + 1) % 24)
}

async fn world() -> World {
    let mut world = World::without_daemon().await;
    world.bring_uv();
    world.variables.push(("TZ", "UTC".to_owned()));
    world.start_daemon();
    world
}

/// What is found, in words.
fn why(world: &World, kind: &str, id: &str) -> Vec<String> {
    let found = world.json(&["explain", kind, id]);
    found.as_array().expect("a list").iter().map(|one| one["reason"].as_str().expect("a word").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_outside_its_hours_leaves_the_task_says_why_and_is_sent_to_work_by_a_tag() {
    let world = world().await;
    let worker = "testhost:cpu:0";
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default", "--uptime", &far_from_now()]);
    let task = world.submit("print('at last')\n", "").await;
    let id = task.as_str();
    world.until("why it waits", |world| why(world, "task", id) == ["first_in_queue", "outside_hours"]).await;
    assert_eq!(why(&world, "worker", worker), ["outside_hours", "task_waits"]);
    for arguments in [&["worker", "list"][..], &["worker", "show", worker], &["status"], &["explain", "worker", worker]]
    {
        let said = world.ok(arguments);
        assert!(said.contains("outside its hours until "), "{arguments:?}: {said}");
    }
    let registered = world.api("workers.get_all", &json!({}))["data"]["workers"][0]["id"].clone();
    assert_eq!((registered, world.task(&task).await.task.status.as_str()), (json!(worker), "queued"));

    let queue = world.json(&["queue", "list"])[0]["id"].clone();
    world.api("queues.update", &json!({"queue": queue, "tags": ["force_workers:off", "force_workers:on"]}));
    world.until("that off wins", |world| why(world, "worker", worker)[0] == "queue_off").await;
    world.api("queues.update", &json!({"queue": queue, "tags": ["force_workers:on"]}));
    world.completes(&task).await;
    world.idle().await;
    assert_eq!(why(&world, "task", id), ["completed"]);
    world.until("an empty queue", |world| why(world, "worker", worker) == ["queue_empty"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_property_force_is_heeded_where_the_server_has_it() {
    let mut world = world().await;
    world.local().offer_runtime_properties();
    let worker = "testhost:cpu:0";
    let force = |world: &World, value: &str| {
        let properties = json!([{"key": "force", "value": value}]);
        world.api("workers.set_runtime_properties", &json!({"worker": worker, "runtime_properties": properties}));
    };
    force(&world, "off");
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default", "--downtime", &far_from_now()]);
    let task = world.submit("print('at last')\n", "").await;
    world.until("that it is forced off", |world| why(world, "worker", worker) == ["forced_off", "task_waits"]).await;
    assert_eq!(world.task(&task).await.task.status, "queued");
    // A daemon that has just started asks at once, instead of within a minute.
    world.kill_daemon();
    force(&world, "on");
    world.start_daemon();
    world.completes(&task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_worker_from_its_tasks_is_told_also_while_the_server_is_away() {
    let mut world = World::new().await;
    let worker = "testhost:cpu:0";
    world.until("an empty queue", |world| why(world, "worker", worker) == ["queue_empty"]).await;
    let task = world.submit("import time\nprint('ready', flush=True)\ntime.sleep(3000)\n", "").await;
    world.log_shows(&task, "ready").await;
    assert_eq!(why(&world, "task", task.as_str()), ["running"]);
    assert_eq!(why(&world, "task", &task.as_str()[..8]), ["running"], "the beginning of an id will do");
    world.ok(&["worker", "stop", "--now", worker]);
    world.end(&task).await;
    world.idle().await;
    assert_eq!(why(&world, "task", task.as_str())[0], "worker_stopped");
    world.ok(&["drain"]);
    assert_eq!(why(&world, "worker", worker)[..2], ["stopped", "draining"]);
    world.ok(&["resume"]);
    world.ok(&["worker", "resume", worker]);
    let never = why(&world, "task", "feedfeedfeedfeedfeedfeedfeedfeed");
    assert_eq!(never, ["never_seen"]);
    world.stop_server().await;
    world.until("that it is away", |world| why(world, "worker", worker)[0] == "server_down").await;
    assert_eq!(why(&world, "task", task.as_str())[0], "worker_stopped", "it needs no server");
    let output = world.ctl(&["explain", "worker", "nobody"]);
    assert_eq!(output.status.code(), Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_says_who_has_it_and_how_it_could_be_used() {
    let mut world = World::with_gpus().await;
    world.start_daemon();
    world.ok(&["worker", "add", "--gpus", "1", "--queue", "default"]);
    assert_eq!(why(&world, "gpu", "0"), ["unclaimed"]);
    world.until("an empty queue", |world| why(world, "gpu", "GPU-bb") == ["queue_empty"]).await;
    let task = world.submit("import time\nprint('ready', flush=True)\ntime.sleep(3000)\n", "").await;
    world.log_shows(&task, "ready").await;
    let run = world.json(&["run", "list"])[0]["id"].clone();
    let said = world.ok(&["explain", "gpu", "1"]);
    let held = format!("! GPU 1 is held by run {} of worker `testhost:gpu1`\n", run.as_str().expect("an id"));
    assert!(said.starts_with(&held), "{said}");
    world.ok(&["task", "abort", task.as_str()]);
    world.end(&task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_server_says_so_first() {
    let mut world = World::without_daemon().await;
    world.unconfigured();
    world.start_daemon();
    assert_eq!(why(&world, "task", "feedfeed"), ["never_seen", "not_configured"]);
}
