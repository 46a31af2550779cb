//! Failures on demand of a daemon's own server, ordered over its socket as any user of `clearmld --local` can.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

use serde_json::Value;

use super::world::World;

/// A daemon with a server of its own that takes orders, and a worker.
async fn ordered() -> World {
    let mut world = World::without_daemon().await;
    world.unconfigured();
    world.bring_uv();
    world.arguments.extend(["--local=127.0.0.1:0", "--local-faults"]);
    world.started()
}

/// The answer to an order, or to the question what is to come.
fn order(world: &World, order: &str) -> Value {
    let method = if order.is_empty() { "GET" } else { "POST" };
    let request = format!(
        "{method} /faults HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{order}",
        order.len()
    );
    let mut stream = UnixStream::connect(world.state.join("faults.sock")).expect("somebody listens");
    stream.write_all(request.as_bytes()).expect("written");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (_, body) = text.split_once("\r\n\r\n").expect("head and body");
    serde_json::from_str(body).expect("JSON")
}

/// A shell script, submitted; its task.
fn submit(world: &World, script: &str) -> String {
    let file = world.path().join("program.sh");
    std::fs::write(&file, script).expect("written");
    let file = file.to_str().expect("UTF-8");
    world.json(&["submit", file, "--queue", "default"])["task_id"].as_str().expect("an id").to_owned()
}

async fn status_is(world: &World, task: &str, wanted: &str) {
    world.until(wanted, |world| world.json(&["task", "show", task])["task"]["status"] == wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_faults_are_taken_only_where_they_are_asked_for_and_everybody_is_told() {
    let mut world = World::without_daemon().await;
    world.unconfigured();
    world.arguments.push("--local=127.0.0.1:0");
    world.start_daemon();
    let socket = world.state.join("faults.sock");
    assert!(!socket.exists() && !world.ok(&["status"]).contains("on demand"));
    world.kill_daemon();
    world.arguments.push("--local-faults");
    world.start_daemon();
    let mode = std::fs::metadata(&socket).expect("a socket").permissions().mode();
    assert_eq!(mode & 0o007, 0, "{mode:o}");
    assert!(world.daemon_log().contains("fails on demand"), "{}", world.daemon_log());
    assert!(world.ok(&["status"]).contains("fails on demand"), "{}", world.ok(&["status"]));
    let alone = Command::new(env!("CARGO_BIN_EXE_clearmld")).arg("--local-faults").output().expect("it starts");
    let said = String::from_utf8_lossy(&alone.stderr);
    assert!(alone.status.code() == Some(2) && said.contains("--local"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_comes_through_everything_that_its_daemons_own_server_is_ordered_to_do() {
    let world = ordered().await;
    for fault in [
        r#"{"fault": "status", "code": 500, "endpoint": "events.add_batch", "times": 2}"#,
        r#"{"fault": "cut_reply", "endpoint": "events.add_batch"}"#,
        r#"{"fault": "drop_reply", "endpoint": "queues.get_next_task"}"#,
        r#"{"fault": "drop", "endpoint": "tasks.completed"}"#,
        r#"{"fault": "late_log", "seconds": 3}"#,
        r#"{"fault": "revoke_tokens"}"#,
    ] {
        assert!(order(&world, fault)["faults"].is_array(), "{fault}");
    }
    let task = submit(&world, "for i in $(seq 30); do echo line $i; sleep 0.05; done\n");
    status_is(&world, &task, "completed").await;
    // The log is shown whole only after its delay.
    world.until("the last line", |world| world.ok(&["task", "log", &task]).contains("line 30\n")).await;
    let log = world.ok(&["task", "log", &task]);
    for line in 1..=30 {
        let wanted = format!("line {line}");
        assert_eq!(log.lines().filter(|found| *found == wanted).count(), 1, "{wanted}: {log}");
    }
    let left = order(&world, "");
    assert_eq!(left["faults"].as_array().map(Vec::len), Some(1), "only the delay of the log has no end: {left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_the_servers_watchdog_stops_is_ended_here_too() {
    let world = ordered().await;
    let task = submit(&world, "echo ready; sleep 3923\n");
    world.until("ready", |world| world.ok(&["task", "log", &task]).contains("ready")).await;
    order(&world, r#"{"fault": "watchdog", "ahead_seconds": 7300}"#);
    status_is(&world, &task, "stopped").await;
    world.idle().await;
    let shown = world.json(&["task", "show", &task]);
    assert!(shown.to_string().contains("Forced stop (non-responsive)"), "{shown}");
}
