//! Many tasks, several queues, and what may happen to a queue.

use std::collections::BTreeSet;

use clearmld::domain::ids::TaskId;
use serde_json::{Value, json};

use super::world::World;

/// The tasks in the order in which they were taken.
fn order(world: &World) -> Vec<String> {
    let runs = world.json(&["run", "list"]);
    let mut taken: Vec<(String, String)> = runs
        .as_array()
        .expect("a list")
        .iter()
        .map(|run| (text(&run["claimed_at"]), text(&run["task_name"])))
        .collect();
    taken.sort();
    taken.into_iter().map(|(_, task)| task).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// One task a name, of that queue.
async fn fill(world: &World, queue: &str, names: &[&str]) -> Vec<TaskId> {
    let mut tasks = Vec::new();
    for name in names {
        let task = world
            .submit_with(|task| {
                task.name = (*name).to_owned();
                task.diff = Some(format!("print('this is {name}')\n"));
                task.queue = Some(queue.to_owned());
            })
            .await;
        tasks.push(task);
    }
    tasks
}

async fn drained_world(options: &[&str]) -> World {
    let mut world = World::without_daemon().await;
    world.bring_uv();
    world.start_daemon();
    world.ok(&["drain"]);
    let add = ["worker", "add", "--cpu-only", "--create-queue", "--queue", "first", "--queue", "second"];
    world.ok(&[&add, options].concat());
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_run_ten_tasks_once_each() {
    let world = World::new().await;
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default"]);
    let names: Vec<String> = (0..10).map(|number| format!("task-{number}")).collect();
    let tasks = fill(&world, "default", &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for (task, name) in tasks.iter().zip(&names) {
        let log = world.completes(task).await;
        assert_eq!(log.matches(&format!("this is {name}\n")).count(), 1, "{log}");
    }
    let runs = world.json(&["run", "list"]);
    let runs = runs.as_array().expect("a list");
    assert_eq!(runs.len(), 10, "{runs:?}");
    let workers: BTreeSet<String> = runs.iter().map(|run| text(&run["worker"])).collect();
    assert_eq!(workers.len(), 2, "{workers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_queue_is_emptied_before_the_second_is_served() {
    let world = drained_world(&[]).await;
    let mut tasks = fill(&world, "second", &["low 1", "low 2"]).await;
    tasks.extend(fill(&world, "first", &["high 1", "high 2"]).await);
    world.ok(&["resume"]);
    for task in &tasks {
        world.completes(task).await;
    }
    assert_eq!(order(&world), ["high 1", "high 2", "low 1", "low 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_order_fairness_the_queues_are_served_in_turn() {
    let world = drained_world(&["--order-fairness"]).await;
    let mut tasks = fill(&world, "second", &["b 1", "b 2"]).await;
    tasks.extend(fill(&world, "first", &["a 1", "a 2"]).await);
    world.ok(&["resume"]);
    for task in &tasks {
        world.completes(task).await;
    }
    assert_eq!(order(&world), ["a 1", "b 1", "a 2", "b 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_tagged_off_gives_nothing_until_the_tag_is_gone() {
    let world = World::new().await;
    let queue = text(&world.json(&["queue", "list"])[0]["id"]);
    world.api("queues.update", &json!({"queue": queue, "tags": ["force_workers:off"]}));
    let task = world.submit("print('at last')\n", "").await;
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    assert_eq!(world.task(&task).await.task.status, "queued");
    world.api("queues.update", &json!({"queue": queue, "tags": []}));
    world.completes(&task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_deleted_is_the_workers_problem_and_no_error_loop() {
    let world = World::new().await;
    world.ok(&["queue", "create", "short-lived"]);
    world.ok(&["worker", "add", "--cpu-only", "--queue", "short-lived"]);
    let queues = world.json(&["queue", "list"]);
    let queue = queues.as_array().and_then(|all| all.iter().find(|queue| queue["name"] == "short-lived"));
    let lines = world.daemon_log().lines().count();
    world.api("queues.delete", &json!({"queue": queue.expect("the queue")["id"], "force": true}));
    let problem = |world: &World| world.json(&["worker", "show", "testhost:cpu:1"])["problem"].to_string();
    world.until("a problem", |world| problem(world).contains("short-lived")).await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let since = world.daemon_log().lines().count() - lines;
    assert!(since < 6, "{since} lines:\n{}", world.daemon_log());
    assert!(world.ok(&["worker", "list"]).contains("short-lived"));
    let task = world.submit("print('the other goes on')\n", "").await;
    world.completes(&task).await;
}
