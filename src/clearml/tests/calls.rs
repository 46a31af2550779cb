use serde_json::{Value, json};

use super::scripted::{Reply, Scripted, ok, refuse};
use super::*;
use crate::domain::ids::{QueueId, TaskId, UnixMillis, WorkerName};
use crate::domain::task::{AbortCallback, TaskStatus};
use crate::engine::handle::ServerLink;
use crate::engine::ports::{ClearMl, LogEvent, LogLevel, ServerError, StatusNote, WorkerReport};

fn task(text: &str) -> TaskId {
    TaskId::new(text).expect("an id")
}

fn queue(text: &str) -> QueueId {
    QueueId::new(text).expect("an id")
}

/// Answers every call with this.
async fn always(data: Value) -> (Scripted, Client) {
    let server = Scripted::with_login(1 << 20, move |_| ok(&data)).await;
    let client = client(&server);
    (server, client)
}

fn worker() -> WorkerName {
    WorkerName::new("testhost:0").expect("a name")
}

#[tokio::test]
async fn a_task_is_read_whatever_its_fields_look_like() {
    let raw = json!({
        "id": "t1", "name": "n", "status": "queued", "last_worker": null,
        "script": {
            "repository": " ", "entry_point": " train.py ", "diff": "\n x\n", "branch": 7, "version_num": null,
            "requirements": { "pip": ["a==1", 3, "b"], "org_pip": "a" },
        },
        "container": { "image": "", "arguments": null },
        "hyperparams": { "Environment": { "A": { "value": "1" }, "B": { "value": 2 }, "C": null } },
    });
    let (_server, client) = always(json!({ "task": raw })).await;
    let snapshot = client.task(&task("t1")).await.expect("an answer").expect("a task");
    assert_eq!(snapshot.status, TaskStatus::Queued);
    assert_eq!(snapshot.script.repository, None);
    assert_eq!(snapshot.script.entry_point.as_deref(), Some("train.py"));
    assert_eq!(snapshot.script.diff.as_deref(), Some("\n x\n"));
    assert_eq!(snapshot.script.branch.as_deref(), Some("7"));
    assert_eq!(snapshot.script.pip_requirements.as_deref(), Some("a==1\nb"));
    assert_eq!(snapshot.script.original_pip_requirements.as_deref(), Some("a"));
    assert_eq!(snapshot.container_image, None);
    let environment: Vec<_> = snapshot.environment.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(environment, [("A", "1"), ("B", "2"), ("C", "")]);
}

#[tokio::test]
async fn a_task_that_does_not_exist_is_none_and_one_of_another_id_is_not_understood() {
    let server = Scripted::with_login(1 << 20, |_| refuse(400, 101, "Invalid task id")).await;
    assert_eq!(client(&server).task(&task("t1")).await.expect("an answer"), None);
    for raw in [json!({"id": "t2"}), json!({"id": "../t1"}), json!({}), json!([]), json!(null)] {
        let (_server, client) = always(json!({ "task": raw })).await;
        let error = client.task(&task("t1")).await.expect_err("nonsense");
        assert!(matches!(error, ServerError::Incomprehensible { .. }), "{raw}: {error}");
    }
}

#[tokio::test]
async fn the_states_of_all_tasks_come_by_one_request_and_a_missing_list_is_not_an_empty_one() {
    let states = json!({ "tasks": [
        { "id": "t1", "status": "in_progress", "status_message": "stopping", "last_worker": "w",
          "runtime": { "_abort_callback_timeout": "29.5", "_abort_poll_freq": 5, "_abort_callback_completed": "1" } },
        { "id": "other", "status": "created" },
        { "id": "t2", "status": "thawed", "runtime": { "_abort_callback_timeout": -1 } },
    ]});
    let (server, client) = always(states).await;
    let states = client.task_states(&[task("t1"), task("t2"), task("t3")]).await.expect("an answer");
    assert_eq!(states.len(), 2, "t3 is gone, the other was not asked for");
    assert_eq!(states[0].status_message, "stopping");
    assert_eq!(states[0].abort_callback, Some(AbortCallback { timeout_s: 30, poll_s: 5, completed: true }));
    assert_eq!((states[1].status, states[1].abort_callback), (TaskStatus::Unknown, None));
    assert_eq!(server.count("/v2.13/tasks.get_all"), 1);
    assert_eq!(server.seen()[1].json()["id"], json!(["t1", "t2", "t3"]));

    assert!(client.task_states(&[]).await.expect("nothing to ask").is_empty());
    assert_eq!(server.count("/v2.13/tasks.get_all"), 1, "no ids would have meant all tasks");

    for odd in [json!({}), json!({"tasks": null}), json!({"tasks": {}}), json!({"tasks": [{"id": "a/b"}]})] {
        let (_server, client) = always(odd.clone()).await;
        client.task_states(&[task("t1")]).await.expect_err(&odd.to_string());
    }
}

#[tokio::test]
async fn one_request_brings_the_heads_of_all_queues_also_from_a_server_that_cannot_slice() {
    let queues = json!({ "queues": [
        { "id": "q1", "name": "first", "tags": ["force_workers:off", 3], "entries": [{"task": "t1"}, {"task": "t2"}] },
        { "id": "q2", "name": "second", "tags": null },
        { "id": "q9", "name": "not asked for" },
    ]});
    let (server, client) = always(queues).await;
    let heads = client.queue_heads(&[queue("q1"), queue("q2")]).await.expect("an answer");
    assert_eq!(heads.len(), 2);
    assert_eq!((heads[0].head.clone(), heads[1].head.clone()), (Some(task("t1")), None));
    assert_eq!(heads[0].tags, ["force_workers:off"]);
    let asked = server.seen()[1].json();
    assert_eq!((asked["max_task_entries"].clone(), asked["id"].clone()), (json!(1), json!(["q1", "q2"])));
    assert!(client.queue_heads(&[]).await.expect("nothing to ask").is_empty());
    assert_eq!(server.count("/v2.13/queues.get_all"), 1);
}

#[tokio::test]
async fn a_queue_is_found_by_its_name_in_any_case_and_an_exact_one_wins() {
    let queues = json!({ "queues": [{ "id": "q1", "name": "GPU (a)" }, { "id": "q2", "name": "gpu (a)" }] });
    let (server, client) = always(queues).await;
    let found = client.resolve_queue("gpu (a)").await.expect("an answer").expect("a queue");
    assert_eq!(found.id, queue("q2"));
    assert_eq!(server.seen()[1].json()["name"], r"(?i)^gpu \(a\)$");
    assert_eq!(client.resolve_queue("GPU (A)").await.expect("an answer").expect("a queue").id, queue("q1"));
    assert_eq!(client.resolve_queue("q2").await.expect("an answer").expect("a queue").name, "gpu (a)");
    assert_eq!(client.resolve_queue("nowhere").await.expect("an answer"), None);
}

#[tokio::test]
async fn a_popped_task_goes_back_to_the_front_without_touching_its_status() {
    let server = Scripted::with_login(1 << 20, |seen| match seen.path.as_str() {
        "/v2.13/tasks.get_all" => ok(&json!({ "tasks": [{ "id": "t1", "status": "queued" }] })),
        "/v2.13/queues.add_task" => refuse(400, 706, "already queued"),
        _ => ok(&json!({})),
    })
    .await;
    client(&server).put_back(&queue("q1"), &task("t1"), "why").await.expect("it is back");
    let calls = ["/v2.13/tasks.get_all", "/v2.13/queues.add_task", "/v2.13/queues.move_task_to_front"];
    assert_eq!(server.paths()[1..], calls);
}

#[tokio::test]
async fn a_stopped_task_is_enqueued_without_force_and_lifted_and_what_is_done_already_is_no_error() {
    let server = Scripted::with_login(1 << 20, |seen| match seen.path.as_str() {
        "/v2.13/tasks.enqueue" => refuse(400, 706, "already queued"),
        "/v2.13/queues.move_task_to_front" => refuse(400, 703, "not there"),
        _ => ok(&json!({})),
    })
    .await;
    let client = client(&server);
    let note = StatusNote { reason: "why".into(), message: "ours".into(), force: false };
    client.enqueue(&queue("q1"), &task("t1"), &note).await.expect("it is queued");
    client.to_front(&queue("q1"), &task("t1")).await.expect("somebody has it");
    let asked = server.seen()[1].json();
    let wanted = json!({ "queue": "q1", "task": "t1", "status_reason": "why", "status_message": "ours" });
    assert_eq!(asked, wanted);
    assert_eq!(server.paths()[1..], ["/v2.13/tasks.enqueue", "/v2.13/queues.move_task_to_front"]);
}

#[tokio::test]
async fn a_popped_task_that_was_aborted_meanwhile_is_not_queued_again() {
    let (server, client) = always(json!({ "tasks": [{ "id": "t1", "status": "stopped" }] })).await;
    client.put_back(&queue("q1"), &task("t1"), "why").await.expect("nothing to do");
    assert_eq!(server.paths()[1..], ["/v2.13/tasks.get_all"]);
}

#[tokio::test]
async fn a_task_that_somebody_moved_is_found_in_another_queue() {
    let server = Scripted::with_login(1 << 20, |seen| match seen.path.as_str() {
        "/v2.13/tasks.get_all" => ok(&json!({ "tasks": [] })),
        _ if seen.json().get("id").is_some() => ok(&json!({ "queues": [{ "id": "q1", "entries": [] }] })),
        _ => ok(&json!({ "queues": [{ "id": "q1" }, { "id": "q2", "entries": [{ "task": "t1" }] }] })),
    })
    .await;
    let found = client(&server).whereabouts(&task("t1"), &queue("q1")).await.expect("an answer");
    assert_eq!((found.state, found.queued_in), (None, Some(queue("q2"))));
}

#[tokio::test]
async fn log_events_arrive_in_order_in_requests_of_a_mebibyte_and_pieces_of_64_kibibytes() {
    let server = Scripted::with_login(1 << 20, |seen| ok(&json!({ "added": seen.body.lines().count() }))).await;
    let long = "ä".repeat(50_000);
    let texts = (0..40).map(|n| if n == 7 { long.clone() } else { format!("{n} {}", "x".repeat(40_000)) });
    let events: Vec<_> = (1..)
        .zip(texts)
        .map(|(stamp, text)| LogEvent { stamp: UnixMillis(stamp), level: LogLevel::Debug, text })
        .collect();
    client(&server).send_log(&task("t1"), &worker(), &events).await.expect("it is sent");
    let requests = &server.seen()[1..];
    assert!(requests.len() > 1 && requests.iter().all(|seen| seen.body.len() <= 1024 * 1024));
    assert!(requests.iter().all(|seen| seen.content_type == "application/json-lines"));
    let lines = requests.iter().flat_map(|seen| seen.body.lines().collect::<Vec<_>>());
    let sent: Vec<Value> = lines.map(|line| serde_json::from_str(line).expect("an event")).collect();
    let text = |stamp: u64| -> String {
        let of_stamp = sent.iter().filter(|event| event["timestamp"] == stamp);
        of_stamp.map(|event| event["msg"].as_str().expect("a text")).collect()
    };
    assert!(sent.iter().all(|event| event["msg"].as_str().is_some_and(|text| text.len() <= 65536)));
    assert!(sent.is_sorted_by_key(|event| event["timestamp"].as_u64()));
    assert!(events.iter().all(|event| text(event.stamp.0) == event.text));
    assert_eq!((sent[0]["level"].clone(), sent[0]["worker"].clone()), (json!("DEBUG"), json!("testhost:0")));
}

#[tokio::test]
async fn events_that_the_server_did_not_store_are_told_and_not_sent_again() {
    let (server, client) = always(json!({ "added": 1, "errors": 1, "errors_info": { "task is published": 1 } })).await;
    let event = LogEvent { stamp: UnixMillis(1), level: LogLevel::Info, text: "x".into() };
    let error = client.send_log(&task("t1"), &worker(), &[event.clone(), event]).await.expect_err("one is lost");
    assert!(!error.retryable() && error.to_string().contains("task is published"), "{error}");
    assert_eq!(server.count("/events.add_batch"), 1);
}

#[tokio::test]
async fn stamps_of_this_worker_are_read_page_by_page() {
    let server = Scripted::with_login(1 << 20, |seen| {
        let from = seen.json()["from_timestamp"].as_u64().unwrap_or(0);
        let event = |stamp: u64| {
            json!({ "timestamp": stamp, "worker": if stamp.is_multiple_of(2) { "testhost:0" } else { "other" } })
        };
        let events: Vec<_> = (from + 1..=6000).take(5000).map(event).collect();
        ok(&json!({ "events": events }))
    })
    .await;
    let stamps = client(&server).log_stamps(&task("t1"), &worker(), UnixMillis(10)).await.expect("an answer");
    assert_eq!((stamps.len(), stamps.first(), stamps.last()), (2995, Some(&UnixMillis(12)), Some(&UnixMillis(6000))));
    assert_eq!(server.count("/v2.13/events.get_task_log"), 2);
}

#[tokio::test]
async fn what_other_hands_wrote_into_runtime_stays_when_the_host_is_added() {
    let (server, client) = always(json!({ "tasks": [{ "id": "t1", "runtime": { "progress": "0" } }] })).await;
    client.set_host(&task("t1"), "h").await.expect("it is written");
    let sent = server.seen().pop().expect("a request");
    assert_eq!(sent.path, "/v2.13/tasks.edit");
    assert_eq!(sent.json()["runtime"], json!({ "progress": "0", "_exec_agent_hostname": "h" }));
}

#[tokio::test]
async fn a_report_without_a_task_says_that_the_worker_is_idle() {
    let (server, client) = always(json!({})).await;
    let idle = WorkerReport { worker: worker(), queues: vec![queue("q1")], task: None, stats: None, at: UnixMillis(7) };
    client.report(&idle).await.expect("it is told");
    let wanted = json!({ "worker": "testhost:0", "queues": ["q1"], "timestamp": 7 });
    assert_eq!(server.seen()[1].json(), wanted);
    client.report(&WorkerReport { task: Some((task("t1"), queue("q1"))), ..idle }).await.expect("it is told");
    let sent = server.seen()[2].json();
    assert_eq!((sent["task"].clone(), sent["queue"].clone()), (json!("t1"), json!("q1")));
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_an_error_with_a_hint() {
    let deep = "[".repeat(100_000);
    for (status, headers, body, hint) in [
        (200, "", "<html>", "web UI"),
        (200, "", "{}", "api.api_server"),
        (200, "", r#"{"data": []}"#, "api.api_server"),
        (200, "", deep.as_str(), "no JSON"),
        (302, "Location: https://elsewhere/\r\n", "", "https://elsewhere/"),
        (404, "", "{\"meta\": 7}", "404/0"),
        (500, "", "\u{7}bell", "500/0"),
    ] {
        let (headers, body) = (headers.to_owned(), body.to_owned());
        let reply = move |_: &_| Some(Reply(status, headers.clone(), body.clone().into()));
        let server = Scripted::with_login(1 << 20, reply).await;
        let error = client(&server).ping(&task("t1")).await.expect_err("nonsense").to_string();
        assert!(error.contains(hint) && error.len() < 1000 && !error.contains('\u{7}'), "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_unpacks_to_more_than_is_sane_is_cut_off() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..65 {
        std::io::Write::write_all(&mut packed, &vec![b' '; 1 << 20]).expect("it is packed");
    }
    let packed = packed.finish().expect("it is packed");
    let headers = "Content-Encoding: gzip\r\n";
    let server = Scripted::with_login(1 << 20, move |_| Some(Reply(200, headers.to_owned(), packed.clone()))).await;
    let error = client(&server).ping(&task("t1")).await.expect_err("a bomb").to_string();
    assert!(error.contains("larger than 64 MiB"), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_say_a_workers_properties_is_asked_once_and_is_no_less_up_for_it() {
    let server = Scripted::with_login(1 << 20, |seen| match seen.path.contains("get_runtime_properties") {
        true => refuse(503, 0, "not here"),
        false => ok(&json!({ "queues": [] })),
    })
    .await;
    let client = client(&server);
    client.queue_heads(&[queue("q1")]).await.expect("an answer");
    assert!(matches!(*client.link().borrow(), ServerLink::Up { .. }));
    client.forced(&worker()).await.expect_err("503");
    assert_eq!(server.count("/workers.get_runtime_properties"), 1);
    assert!(matches!(*client.link().borrow(), ServerLink::Up { .. }), "{:?}", client.link().borrow());
}
