//! A host that goes down under a task, and a worker that wants it back. Without systemd the sign of a shutdown is SIGTERM
//! to the shim; tests/systemd shuts a host down.

use clearmld::domain::ids::TaskId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::world::{World, processes_with};

async fn with_a_running_task() -> (World, TaskId, String) {
    let mut world = World::without_daemon().await;
    world.bring_uv();
    world.start_daemon();
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default", "--requeue-on-host-loss"]);
    let task = world.submit("import time\nprint('ready', flush=True)\ntime.sleep(600)\n", "").await;
    world.log_shows(&task, "ready").await;
    let run = world.json(&["run", "show", task.as_str()])["id"].as_str().expect("an id").to_owned();
    (world, task, run)
}

fn signal_shim(run: &str, signal: Signal) {
    let directory = format!("/runs/{run}");
    let shim = *processes_with(&directory).first().expect("a shim");
    kill(Pid::from_raw(i32::try_from(shim).expect("a pid")), signal).expect("sent");
}

fn first_in_queue(world: &World) -> Value {
    world.json(&["queue", "list"])[0]["entries"][0].clone()
}

async fn runs_again(world: &World, task: &TaskId, run: &str) {
    let again = |world: &World| {
        let newest = world.json(&["run", "show", task.as_str()]);
        newest["id"] != run && newest["stage"] == "program"
    };
    world.until("it runs again", again).await;
    world.ok(&["task", "abort", task.as_str()]);
    assert_eq!(world.end(task).await.task.status, "stopped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_put_back_to_the_head_of_its_queue_with_the_reason_and_runs_again() {
    let (world, task, run) = with_a_running_task().await;
    world.ok(&["drain"]);
    let behind = world.submit("print('behind')\n", "").await;
    signal_shim(&run, Signal::SIGTERM);
    world.until("the end is told", |world| world.json(&["run", "show", &run])["phase"] == "settled").await;
    let shown = world.json(&["run", "show", &run]);
    assert_eq!((&shown["end"]["cause"], &shown["note"]), (&"host_shutdown".into(), &Value::Null), "{shown}");
    let detail = world.task(&task).await.task;
    assert_eq!(detail.status, "queued");
    assert!(detail.status_reason.contains("the host was shut down; the task goes back to the head of queue default"));
    assert_eq!(first_in_queue(&world), task.as_str(), "before what waited already");
    world.ok(&["resume"]);
    runs_again(&world, &task, &run).await;
    world.completes(&behind).await;
    assert_eq!(world.log(&task).await.matches("ready\n").count(), 2, "its log goes on where it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_boot_that_nobody_had_announced_the_task_is_put_back() {
    let (mut world, task, run) = with_a_running_task().await;
    world.ok(&["drain"]);
    world.kill_daemon();
    signal_shim(&run, Signal::SIGKILL);
    // The shim was of another boot, as far as the daemon can tell.
    let ledger = world.state.join(format!("ledger/{run}.json"));
    let mut record: Value = serde_json::from_slice(&std::fs::read(&ledger).expect("read")).expect("JSON");
    *record.pointer_mut("/phase/shim/boot_id").unwrap_or_else(|| panic!("a boot id")) = "another".into();
    std::fs::write(&ledger, record.to_string()).expect("written");
    world.start_daemon();
    world.until("the end is told", |world| world.json(&["run", "show", &run])["phase"] == "settled").await;
    assert_eq!(world.json(&["run", "show", &run])["end"]["cause"], "lost");
    assert_eq!(world.task(&task).await.task.status, "queued");
    world.ok(&["resume"]);
    runs_again(&world, &task, &run).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shim_that_is_killed_on_a_host_that_stays_up_is_lost_and_its_task_failed() {
    let (world, task, run) = with_a_running_task().await;
    signal_shim(&run, Signal::SIGKILL);
    let reason = world.fails(&task).await;
    assert!(reason.contains("lost"), "{reason}");
}
