//! Stops that come before the program does.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use clearmld::domain::ids::TaskId;

use super::world::World;

/// A server that takes every connection and never says a word.
fn silent_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept() {
            held.push(connection);
        }
    });
    address
}

async fn is_at(world: &World, task: &TaskId, stage: &str) {
    let shows = |world: &World| {
        let runs = world.json(&["run", "list"]);
        runs.as_array()
            .is_some_and(|runs| runs.iter().any(|run| run["task_id"] == task.as_str() && run["stage"] == stage))
    };
    world.until(stage, shows).await;
    // Until its tool hangs.
    tokio::time::sleep(Duration::from_secs(2)).await;
}

async fn abort_is_prompt(world: &World, task: &TaskId) {
    let began = Instant::now();
    world.ok(&["task", "abort", task.as_str()]);
    assert_eq!(world.end(task).await.task.status, "stopped", "{}", world.log(task).await);
    assert!(began.elapsed() < Duration::from_secs(9), "it took {:?}", began.elapsed());
    let next = world.submit("print('next')\n", "").await;
    world.completes(&next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_ends_a_source_stage_whose_git_server_stalls() {
    let world = World::new().await;
    let server = silent_server();
    let task = world
        .submit_with(|task| {
            task.repository = Some(format!("http://{server}/project.git"));
            task.entry_point = "train.py".into();
        })
        .await;
    is_at(&world, &task, "source").await;
    abort_is_prompt(&world, &task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_ends_an_environment_stage_whose_package_server_stalls() {
    let world = World::new().await;
    let server = silent_server();
    let task = world.submit("print('never')\n", &format!("pkg @ http://{server}/pkg-1.0-py3-none-any.whl\n")).await;
    is_at(&world, &task, "environment").await;
    abort_is_prompt(&world, &task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_ends_a_run_that_waits_for_uv_to_be_fetched() {
    let mut world = World::without_daemon().await;
    world.variables = vec![("HTTPS_PROXY", format!("http://{}", silent_server()))];
    world.start_daemon();
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default"]);
    let task = world.submit("print('never')\n", "").await;
    world.until("the fetching", |world| world.daemon_log().contains("installing uv")).await;
    let began = Instant::now();
    world.ok(&["task", "abort", task.as_str()]);
    assert_eq!(world.end(&task).await.task.status, "stopped", "{}", world.log(&task).await);
    assert!(began.elapsed() < Duration::from_secs(9), "it took {:?}", began.elapsed());
    world.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_time_is_up_is_stopped_and_says_so() {
    let world = World::new().await;
    world.ok(&[
        "worker",
        "add",
        "--cpu-only",
        "--queue",
        "brief",
        "--create-queue",
        "--name",
        "brief",
        "--time-limit",
        "8s",
    ]);
    let task = world
        .submit_with(|task| {
            task.queue = Some("brief".into());
            task.entry_point = "endless.py".into();
            task.diff = Some("import time\nprint('up', flush=True)\ntime.sleep(3000)\n".into());
        })
        .await;
    let end = world.end(&task).await.task;
    assert_eq!((end.status.as_str(), end.status_reason.as_str()), ("stopped", "the time limit was reached"));
    assert!(world.log(&task).await.contains("up"));
}
