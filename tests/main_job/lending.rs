//! GPUs that are lent to several Runs at once, kept by people, used by strangers: the real daemon and the stub NVML.

use serde_json::json;

use super::world::World;
use super::world::gpus::TWO;

/// Says which GPU it has, and stays.
const STAYS: &str = "import os, time\nprint('has', os.environ['CUDA_VISIBLE_DEVICES'], sorted(n for n in os.listdir('/dev') if n in ('nvidia0', 'nvidia1')), flush=True)\ntime.sleep(3000)\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_dynamic_gpus_runs_two_tasks_at_once_and_holds_their_gpus_over_a_kill_while_the_driver_hangs() {
    let mut world = World::with_gpus().await;
    world.start_daemon();
    let add = ["worker", "add", "--dynamic-gpus", "--gpus", "0-1", "--queue"];
    let half = world.ctl(&[&add[..], &["default=0.5"]].concat());
    let error = String::from_utf8_lossy(&half.stderr).into_owned();
    assert!(half.status.code() == Some(2) && error.contains("part of a GPU"), "{error}");
    let shown = world.ok(&[&add[..], &["default=1"]].concat());
    assert!(shown.contains("testhost:dgpu0-1") && shown.contains("default=1"), "{shown}");

    let (one, other) = (world.submit(STAYS, "").await, world.submit(STAYS, "").await);
    let logs = [world.log_shows(&one, "has").await, world.log_shows(&other, "has").await];
    let (a, b) = ("has GPU-aa ['nvidia1']", "has GPU-bb ['nvidia0']");
    let each = |line: &str| logs.iter().filter(|log| log.contains(line)).count();
    assert_eq!((each(a), each(b)), (1, 1), "each has one of its own: {logs:#?}");
    let served = |world: &World| {
        let workers = world.api("workers.get_all", &json!({}))["data"]["workers"].clone();
        let mut names: Vec<String> =
            workers.as_array().into_iter().flatten().filter_map(|worker| Some(worker["id"].as_str()?.into())).collect();
        names.sort();
        names
    };
    world
        .until("the server to know each by its GPU", |world| {
            served(world) == ["testhost:dgpu0-1", "testhost:gpu0", "testhost:gpu1"]
        })
        .await;

    world.kill_daemon();
    world.gpus_are(&format!("{TWO}hang\n"));
    world.start_daemon();
    let worker = world.json(&["worker", "show", "testhost:dgpu0-1"]);
    assert_eq!(worker["run_ids"].as_array().map(Vec::len), Some(2), "{worker}");
    world.gpus_are(TWO);
    let third = world.submit("print('third')\n", "").await;
    world
        .until("the driver's answer", |world| {
            let gpus = world.json(&["gpu", "list"])["gpus"].clone();
            (0..2).all(|at| gpus[at]["run_ids"].as_array().is_some_and(|runs| runs.len() == 1))
        })
        .await;
    assert_eq!(world.json(&["run", "list"]).as_array().map(Vec::len), Some(2), "nothing is lent twice");
    world.ok(&["task", "abort", one.as_str()]);
    world.end(&one).await;
    world.completes(&third).await;
    world.ok(&["task", "abort", other.as_str()]);
    world.end(&other).await;
    world.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_that_is_reserved_or_that_a_stranger_uses_is_not_lent_and_the_worker_says_why() {
    let mut world = World::with_gpus().await;
    world.start_daemon();
    world.ok(&["worker", "add", "--gpus", "1", "--queue", "default"]);
    let refused = world.ctl(&["worker", "add", "--gpus", "GPU-bb", "--share", "2", "--queue", "default"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        refused.status.code() == Some(7) && error.contains("testhost:gpu1") && error.contains("--share 2"),
        "{error}"
    );

    world.ok(&["gpu", "reserve", "1", "--for", "2h", "--reason", "a demo"]);
    let task = world.submit("print('done')\n", "").await;
    let says = |world: &World, wanted: &str| {
        world.json(&["worker", "show", "testhost:gpu1"])["problem"].as_str().is_some_and(|why| why.contains(wanted))
    };
    world.until("the reservation as the reason", |world| says(world, "is reserved by root: a demo")).await;
    assert!(world.ok(&["gpu", "list"]).contains("root, 1h 59m"), "{}", world.ok(&["gpu", "list"]));
    world.kill_daemon();
    world.start_daemon();
    world.until("the reservation after a kill", |world| says(world, "is reserved by root")).await;

    let stranger = std::process::id();
    world.gpus_are(&format!("{TWO}process gpu=1 pid={stranger} used=1024\n"));
    world.ok(&["gpu", "release", "1"]);
    world.until("the stranger as the reason", |world| says(world, &format!("is used by process {stranger} ("))).await;
    assert_eq!(world.json(&["run", "list"]), json!([]));
    world.gpus_are(TWO);
    world.completes(&task).await;
}
