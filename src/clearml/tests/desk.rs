use serde_json::{Value, json};

use super::scripted::{Scripted, ok};
use super::*;
use crate::domain::ids::{TaskId, UnixMillis};
use crate::engine::ports::{Desk, QueueMove, Submission, TaskFilter};

fn task(text: &str) -> TaskId {
    TaskId::new(text).expect("an id")
}

/// Answers by path; everything else with nothing.
async fn answers(answers: Vec<(&'static str, Value)>) -> (Scripted, Client) {
    let server = Scripted::with_login(1 << 20, move |seen| {
        let found = answers.iter().find(|(name, _)| seen.path.ends_with(name));
        ok(&found.map_or_else(|| json!({}), |(_, data)| data.clone()))
    })
    .await;
    let client = client(&server);
    (server, client)
}

fn sent(server: &Scripted, name: &str) -> Value {
    server.seen().iter().rev().find(|seen| seen.path.ends_with(name)).expect("it was called").json()
}

#[tokio::test]
async fn a_submission_becomes_a_task_in_its_project_and_queue() {
    let (server, client) = answers(vec![
        ("queues.get_all", json!({ "queues": [{ "id": "q1", "name": "gpu" }] })),
        ("projects.get_all", json!({ "projects": [{ "id": "p0", "name": "x/clearmld" }] })),
        ("projects.create", json!({ "id": "p1" })),
        ("tasks.create", json!({ "id": "t1" })),
    ])
    .await;
    let submission = Submission {
        name: "train".into(),
        kind: "training".into(),
        binary: "python3".into(),
        entry_point: "train.py".into(),
        working_dir: ".".into(),
        diff: Some("print(1)".into()),
        arguments: vec![("lr".into(), "0.1".into())],
        queue: Some("GPU".into()),
        ..Submission::default()
    };
    assert_eq!(client.submit(&submission).await.expect("it is made"), task("t1"));
    let created = sent(&server, "tasks.create");
    assert_eq!((created["project"].clone(), created["script"]["diff"].clone()), (json!("p1"), json!("print(1)")));
    assert_eq!(created["hyperparams"]["Args"]["lr"]["value"], "0.1");
    assert!(created["script"].get("requirements").is_none(), "none leaves them to the repository");
    assert_eq!(sent(&server, "tasks.enqueue")["queue"], "q1");
}

#[tokio::test]
async fn a_submission_to_an_unknown_queue_makes_no_task() {
    let (server, client) = answers(vec![("queues.get_all", json!({ "queues": [] }))]).await;
    let submission = Submission { queue: Some("nowhere".into()), ..Submission::default() };
    let error = client.submit(&submission).await.expect_err("there is no such queue");
    assert!(error.is(400, 701) && error.to_string().contains("nowhere"), "{error}");
    assert_eq!(server.count("/v2.13/tasks.create"), 0);
}

#[tokio::test]
async fn a_task_is_shown_with_its_project_parameters_scalars_and_artifacts() {
    let raw = json!({
        "id": "t1", "name": "n", "type": "training", "status": "completed", "project": "p1", "active_duration": 21,
        "script": { "repository": "https://r", "version_num": "abc", "requirements": { "pip": "x\ny" } },
        "hyperparams": { "Args": { "lr": { "value": "0.1" } }, "odd": 3 },
        "last_metrics": { "a": { "b": { "metric": "loss", "variant": "train", "value": 0.5 }, "c": 7 }, "d": [] },
        "execution": { "artifacts": [{ "key": "model", "type": "custom", "uri": "http://files/m" }] },
    });
    let answers = answers(vec![
        ("tasks.get_by_id", json!({ "task": raw })),
        ("projects.get_by_id", json!({ "project": { "id": "p1", "name": "Examples" } })),
    ]);
    let (_server, client) = answers.await;
    let detail = Desk::task(&client, &task("t1")).await.expect("an answer").expect("a task");
    assert_eq!((detail.project.as_deref(), detail.active_duration_s), (Some("Examples"), Some(21)));
    assert_eq!(detail.hyperparameters, [("Args".into(), "lr".into(), "0.1".into())]);
    assert_eq!(detail.last_scalars, [("loss".into(), "train".into(), 0.5)]);
    assert_eq!(detail.artifacts, [("model".into(), "custom".into(), "http://files/m".into())]);
    assert_eq!(detail.web_url.as_deref(), Some("http://web/projects/p1/experiments/t1/output/log"));
}

#[tokio::test]
async fn tasks_are_listed_newest_first_within_the_server_s_limit() {
    let (server, client) = answers(vec![("tasks.get_all", json!({ "tasks": [{ "id": "t1", "name": "n" }] }))]).await;
    let filter = TaskFilter { statuses: vec!["failed".into()], name: None, limit: 9000 };
    assert_eq!(client.tasks(&filter).await.expect("an answer")[0].id, task("t1"));
    let asked = sent(&server, "tasks.get_all");
    assert_eq!((asked["page_size"].clone(), asked["status"].clone()), (json!(500), json!(["failed"])));
    assert_eq!(asked["order_by"], json!(["-created"]));
}

#[tokio::test]
async fn a_task_moved_to_the_end_is_told_its_place_although_the_server_says_minus_one() {
    let entries = json!([{ "task": "t2" }, { "task": "t1" }]);
    let (server, client) = answers(vec![
        ("queues.get_all", json!({ "queues": [{ "id": "q1", "name": "gpu", "entries": entries }] })),
        ("queues.move_task_to_back", json!({ "position": -1 })),
        ("queues.move_task_forward", json!({ "position": 0 })),
    ])
    .await;
    assert_eq!(client.move_task("gpu", &task("t1"), QueueMove::Back).await.expect("a place"), 1);
    assert_eq!(client.move_task("gpu", &task("t1"), QueueMove::Forward { count: 3 }).await.expect("a place"), 0);
    assert_eq!(sent(&server, "queues.move_task_forward")["count"], 3);
}

#[tokio::test]
async fn the_log_comes_oldest_first() {
    let events =
        json!([{ "timestamp": 5, "msg": "b", "level": "INFO" }, { "timestamp": 3.0, "msg": "a" }, { "msg": 1 }]);
    let (server, client) = answers(vec![("events.get_task_log", json!({ "events": events }))]).await;
    let log = client.log(&task("t1"), Some(UnixMillis(2)), 10).await.expect("an answer");
    assert_eq!(log.iter().map(|event| event.text.as_str()).collect::<Vec<_>>(), ["1", "a", "b"]);
    assert_eq!(sent(&server, "events.get_task_log")["from_timestamp"], 2);
}
