//! Failures on demand: what clients meet then, and the door that takes the orders.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clearmld::server::WatchdogClock;
use serde_json::{Value, json};
use tokio::net::UnixListener;

use crate::client::{Site, answer};

/// A server that takes orders, and where.
async fn ordered() -> (Site, tempfile::TempDir, PathBuf) {
    let mut site = Site::new().await;
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("faults.sock");
    site.server.take_orders(UnixListener::bind(&socket).expect("bound"));
    (site, directory, socket)
}

/// The status and the body of an answer to an order.
async fn order(socket: &std::path::Path, method: &str, path: &str, body: &str) -> (u16, Value) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let socket = socket.to_owned();
    let text = tokio::task::spawn_blocking(move || {
        let mut stream = UnixStream::connect(socket).expect("somebody listens");
        stream.write_all(request.as_bytes()).expect("written");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    });
    let text = text.await.expect("asked");
    let (head, body) = text.split_once("\r\n\r\n").expect("head and body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).expect("JSON"))
}

/// The texts of a task's log.
async fn log(site: &Site, task: &str) -> (Vec<String>, Value) {
    let answer = site.ok("events.get_task_log", json!({"task": task, "order": "asc"})).await;
    let events = answer["events"].as_array().expect("events");
    let texts = events.iter().map(|event| event["msg"].as_str().expect("text").to_owned()).collect();
    (texts, answer["total"].clone())
}

#[tokio::test]
async fn orders_are_taken_listed_met_and_forgotten() {
    let (site, _directory, socket) = ordered().await;
    let twice = r#"{"fault": "status", "code": 502, "endpoint": "debug.ping", "times": 2}"#;
    let listed = json!({"fault": "status", "code": 502, "endpoint": "debug.ping", "times": 2});
    assert_eq!(order(&socket, "POST", "/faults", twice).await, (200, json!({"faults": [listed]})));
    assert_eq!(site.call("debug.ping", json!({})).await.status, 502);
    let (_, left) = order(&socket, "GET", "/faults", "").await;
    assert_eq!(left["faults"][0]["times"], 1);
    order(&socket, "POST", "/faults", r#"{"fault": "offline", "seconds": 3600}"#).await;
    assert!(answer(site.request("debug.ping")).await.is_err(), "it is offline");
    assert_eq!(order(&socket, "DELETE", "/faults", "").await, (200, json!({"faults": []})));
    assert_eq!(site.call("debug.ping", json!({})).await.status, 200);
}

#[tokio::test]
async fn a_bad_order_is_refused_in_words_and_changes_nothing() {
    let (site, _directory, socket) = ordered().await;
    let (status, said) = order(&socket, "POST", "/faults", r#"{"fault": "delay", "seconds": "long"}"#).await;
    assert_eq!(status, 400);
    assert_eq!(said["error"], "`seconds` cannot be \"long\"; give seconds, a number above 0 and at most 86400");
    let (status, said) = order(&socket, "GET", "/", "").await;
    assert!(status == 404 && said["error"].as_str().is_some_and(|said| said.contains("/faults")), "{said}");
    assert_eq!(order(&socket, "PUT", "/faults", "{}").await.0, 404);
    assert_eq!(order(&socket, "GET", "/faults", "").await, (200, json!({"faults": []})));
    assert_eq!(site.call("debug.ping", json!({})).await.status, 200);
}

#[tokio::test]
async fn a_reply_that_is_cut_has_done_its_work_and_breaks_in_the_body() {
    let (site, _directory, socket) = ordered().await;
    order(&socket, "POST", "/faults", r#"{"fault": "cut_reply", "endpoint": "queues.create"}"#).await;
    let response = site.request("queues.create").json(&json!({"name": "halved"})).send().await.expect("a head");
    assert_eq!(response.status().as_u16(), 200);
    assert!(response.bytes().await.is_err(), "half a body");
    let found = site.ok("queues.get_all", json!({"name": "halved"})).await;
    assert_eq!(found["queues"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn revoked_tokens_are_refused_and_the_key_pair_gets_new_ones() {
    let (site, _directory, socket) = ordered().await;
    let login = || async { site.ok("auth.login", json!({})).await["token"].as_str().expect("a token").to_owned() };
    let with =
        |token: String| answer(site.http.post(format!("{}/tasks.get_all", site.server.api_url())).bearer_auth(token));
    let old = login().await;
    assert_eq!(with(old.clone()).await.expect("an answer").code(), (200, 0));
    order(&socket, "POST", "/faults", r#"{"fault": "revoke_tokens"}"#).await;
    assert_eq!(with(old.clone()).await.expect("an answer").code(), (401, 30));
    assert_eq!(with(login().await).await.expect("an answer").code(), (200, 0));
    assert_eq!(with(old).await.expect("an answer").code(), (401, 30));
}

#[tokio::test]
async fn a_server_that_is_offline_closes_every_connection_of_both_ports_and_comes_back() {
    let (site, _directory, socket) = ordered().await;
    order(&socket, "POST", "/faults", r#"{"fault": "offline", "seconds": 1}"#).await;
    let began = Instant::now();
    assert!(answer(site.request("debug.ping")).await.is_err());
    assert!(site.http.get(site.server.files_url()).send().await.is_err());
    while answer(site.request("debug.ping")).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(site.http.get(site.server.files_url()).send().await.expect("an answer").status().as_u16(), 200);
}

#[tokio::test]
async fn log_events_are_shown_late_when_that_is_ordered_and_none_is_missing_then() {
    let (site, _directory, socket) = ordered().await;
    let task = site.task("late").await;
    let event = |text: &str| json!({"type": "log", "task": task, "msg": text, "timestamp": 1});
    site.ok("events.add", event("before")).await;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    order(&socket, "POST", "/faults", r#"{"fault": "late_log", "seconds": 1}"#).await;
    let began = Instant::now();
    site.ok("events.add", event("after")).await;
    assert_eq!(log(&site, &task).await, (vec!["before".to_owned()], json!(1)));
    while log(&site, &task).await.0.len() < 2 {
        assert!(began.elapsed() < Duration::from_secs(30), "it is never shown");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert_eq!(log(&site, &task).await.0, ["before", "after"]);
}

#[tokio::test]
async fn a_watchdog_whose_clock_is_ahead_stops_a_running_task_at_once() {
    let site = Site::new().await;
    let task = site.task("silent").await;
    site.ok("tasks.started", json!({"task": task})).await;
    let state = || async { site.ok("tasks.get_by_id", json!({"task": task})).await["task"].clone() };
    assert_eq!(state().await["status"], "in_progress");
    let clock = WatchdogClock { ahead: Duration::from_secs(7300), ..WatchdogClock::default() };
    site.server.faults().set_watchdog(clock);
    let began = Instant::now();
    while state().await["status"] == "in_progress" {
        assert!(began.elapsed() < Duration::from_secs(30), "nobody stops it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(state().await["status_reason"], "Forced stop (non-responsive)");
}
