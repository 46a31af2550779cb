//! The recorded traffic of the stock agent and the SDK with the real server, sent again to ours.
//!
//! `tests/contract/*.jsonl` has one call a line: method and path, body or lines, and what the real server answered.
//! Ids are minted anew here, so each recorded id is mapped to ours where it first appears in an answer. Then every
//! answer must have the same status, subcode, endpoint version, keys, types and values, but for what time, machine
//! and identity make different.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::client::{Site, answer};

/// The recorded server's own names.
const RECORDED_QUEUE: &str = "8c7e262de4f6457886a82eeb8dd37752";
const RECORDED_USER: &str = "__tests__";

/// Of these only the type is compared: time, identity and how fast the machine was decide their value.
const VOLATILE: [&str; 18] = [
    "token",
    "company",
    "added",
    "created",
    "started",
    "completed",
    "status_changed",
    "last_update",
    "last_change",
    "last_worker_report",
    "active_duration",
    "@timestamp",
    "mean_value",
    "register_time",
    "last_activity_time",
    "last_report_time",
    "timestamp",
    "id",
];

struct Replay {
    site: Site,
    ids: BTreeMap<String, String>,
}

impl Replay {
    async fn new() -> Self {
        let site = Site::new().await;
        let user = site.ok("users.get_current_user", json!({})).await["user"]["id"].as_str().expect("an id").to_owned();
        let queue = site.default_queue().await;
        let ids = BTreeMap::from([(RECORDED_QUEUE.to_owned(), queue), (RECORDED_USER.to_owned(), user)]);
        Self { site, ids }
    }

    /// A recorded value in our ids.
    fn ours(&self, recorded: &Value) -> Value {
        let text = self.ids.iter().fold(recorded.to_string(), |text, (theirs, ours)| text.replace(theirs, ours));
        serde_json::from_str(&text).expect("JSON stays JSON")
    }

    async fn play(&mut self, name: &str) {
        let path = format!("{}/tests/contract/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect(&path);
        for line in text.lines() {
            let recorded: Value = serde_json::from_str(line).expect("a recorded call");
            self.play_call(name, &recorded).await;
        }
    }

    async fn play_call(&mut self, file: &str, recorded: &Value) {
        let (method, path) = recorded["call"].as_str().and_then(|call| call.split_once(" /")).expect("a call");
        let place = format!("{file} call {} {path}", recorded["n"]);
        let url = format!("{}/{path}", self.site.server.api_url());
        let mut request = self.site.request(path).build().expect("a request");
        *request.method_mut() = method.parse().expect("a method");
        assert_eq!(request.url().as_str(), url);
        let mut request = reqwest::RequestBuilder::from_parts(self.site.http.clone(), request);
        if let Some(worker) = recorded["worker"].as_str() {
            request = request.header("X-ClearML-Worker", worker);
        }
        if let Some(lines) = self.ours(&recorded["lines"]).as_array() {
            let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
            request = request.header("Content-type", "application/json-lines").body(lines.join("\n"));
        } else if recorded.get("body").is_some() {
            request = request.json(&self.ours(&recorded["body"]));
        }
        let got = answer(request).await.expect("an answer");
        assert_eq!(json!(got.status), recorded["status"], "{place}: {}", got.meta);
        assert_eq!(got.meta["result_subcode"], recorded["subcode"], "{place}");
        assert_eq!(got.meta["endpoint"]["actual_version"], recorded["actual"], "{place}");
        if let Some(message) = recorded.get("message") {
            assert_eq!(&got.meta["result_msg"], message, "{place}");
        }
        self.learn(&recorded["data"], &got.data);
        let differences = differences(&self.ours(&recorded["data"]), &got.data);
        assert!(differences.is_empty(), "{place}:\n{}", differences.join("\n"));
    }

    /// What was made in this call has a new id.
    fn learn(&mut self, recorded: &Value, ours: &Value) {
        if let (Some(theirs), Some(ours)) = (recorded["id"].as_str(), ours["id"].as_str()) {
            self.ids.insert(theirs.to_owned(), ours.to_owned());
        }
    }

    /// The end of a task must be what it was at the real server, and so must its log.
    async fn check_state(&self, name: &str) {
        let path = format!("{}/tests/contract/{name}.state.json", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).expect(&path);
        let recorded = self.ours(&serde_json::from_str(&text).expect("a recorded state"));
        let task = recorded["task"]["id"].clone();
        let ours = self.site.ok("tasks.get_by_id", json!({"task": task})).await;
        let mut found = differences(&recorded["task"], &ours["task"]);
        let log = self.site.ok("events.get_task_log", json!({"task": task, "order": "asc"})).await;
        found.extend(differences(&recorded["log"], &log["events"]));
        assert!(found.is_empty(), "{name}:\n{}", found.join("\n"));
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "flag",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

/// Where two values differ in shape, or in value where that is not volatile.
fn differences(recorded: &Value, ours: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(recorded, ours, "", &mut found);
    found
}

fn compare(recorded: &Value, ours: &Value, place: &str, found: &mut Vec<String>) {
    let name = place.rsplit('.').next().unwrap_or_default();
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => {
            for (key, value) in recorded {
                match ours.get(key) {
                    Some(ours) => compare(value, ours, &format!("{place}.{key}"), found),
                    None => found.push(format!("{place}.{key} is missing, recorded {value}")),
                }
            }
            let more = ours.iter().filter(|(key, _)| !recorded.contains_key(*key));
            found.extend(more.map(|(key, value)| format!("{place}.{key} is new: {value}")));
        }
        (Value::Array(recorded), Value::Array(ours)) => {
            if recorded.len() != ours.len() {
                found.push(format!("{place} has {} items, recorded {}", ours.len(), recorded.len()));
            }
            for (index, (recorded, ours)) in recorded.iter().zip(ours).enumerate() {
                compare(recorded, ours, &format!("{place}.{index}"), found);
            }
        }
        _ if kind(recorded) != kind(ours) => found.push(format!("{place} is {ours}, recorded {recorded}")),
        // `added` is a time in a queue's entry and a count in the answer of add_batch.
        _ if VOLATILE.contains(&name) && !(name == "added" && recorded.is_number()) => {}
        (Value::Number(recorded), Value::Number(ours)) if recorded.as_f64() == ours.as_f64() => {}
        _ if recorded == ours => {}
        _ => found.push(format!("{place} is {ours}, recorded {recorded}")),
    }
}

#[tokio::test]
async fn an_idle_daemon_is_answered_as_recorded() {
    let mut replay = Replay::new().await;
    replay.play("s1_daemon_idle").await;
    let alive = replay.site.ok("workers.get_all", json!({})).await;
    assert_eq!(alive["workers"][0]["id"], "testhost:0");
    replay.play("s7_daemon_stop").await;
    assert_eq!(replay.site.ok("workers.get_all", json!({})).await["workers"], json!([]));
}

#[tokio::test]
async fn a_task_that_completes_is_answered_as_recorded() {
    let mut replay = Replay::new().await;
    replay.play("s2_standalone_ok").await;
    replay.check_state("s2_standalone_ok").await;
}

#[tokio::test]
async fn a_task_that_fails_is_answered_as_recorded() {
    let mut replay = Replay::new().await;
    replay.play("s3_exit_3").await;
    replay.check_state("s3_exit_3").await;
}

#[tokio::test]
async fn an_aborted_task_is_answered_as_recorded() {
    let mut replay = Replay::new().await;
    replay.play("s4_abort").await;
    replay.check_state("s4_abort").await;
}

#[tokio::test]
async fn a_task_from_git_is_answered_as_recorded() {
    let mut replay = Replay::new().await;
    replay.play("s5_git_diff").await;
    replay.check_state("s5_git_diff").await;
}

#[tokio::test]
async fn a_task_that_uses_the_sdk_is_answered_as_recorded() {
    let mut replay = Replay::new().await;
    replay.play("s6_sdk_scalar").await;
    replay.check_state("s6_sdk_scalar").await;
}

#[tokio::test]
async fn a_daemon_in_services_mode_is_answered_as_recorded() {
    let mut replay = Replay::new().await;
    replay.play("s8_services_mode").await;
    replay.check_state("s8_services_mode_0").await;
    replay.check_state("s8_services_mode_1").await;
    replay.play("s7b_daemon_sigterm").await;
}
