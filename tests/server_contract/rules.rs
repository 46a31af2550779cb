//! What clients count on and the transcripts do not show.

use std::time::{Duration, Instant};

use clearmld::server::Fault;
use serde_json::{Value, json};

use crate::client::{Site, answer};

#[tokio::test]
async fn one_of_two_workers_that_race_for_a_task_gets_it() {
    let site = Site::new().await;
    let (task, queue) = (site.task("raced").await, site.default_queue().await);
    site.ok("tasks.enqueue", json!({"task": task})).await;
    let pop = || site.ok("queues.get_next_task", json!({"queue": queue}));
    let (left, right) = tokio::join!(pop(), pop());
    let got = [left, right].into_iter().filter(|answer| answer["entry"]["task"] == *task).count();
    assert_eq!(got, 1);
    let state = site.ok("tasks.get_by_id", json!({"task": task})).await;
    assert_eq!(state["task"]["status"], "queued", "the pop leaves the status alone");
}

#[tokio::test]
async fn a_conditional_pop_takes_only_the_task_it_names() {
    let site = Site::new().await;
    let queue = site.default_queue().await;
    let (first, second) = (site.task("first").await, site.task("second").await);
    for task in [&first, &second] {
        site.ok("tasks.enqueue", json!({"task": task})).await;
    }
    let pop = |task: Value| site.ok("v2.21/queues.get_next_task", json!({"queue": queue, "task": task}));
    assert_eq!(pop(json!(second)).await, json!({}));
    assert_eq!(pop(json!(first)).await["entry"]["task"], *first);
    assert_eq!(pop(json!(second)).await["entry"]["task"], *second);
    assert_eq!(pop(Value::Null).await, json!({}));
}

#[tokio::test]
async fn runtime_properties_are_unknown_as_at_the_open_server_until_they_are_offered() {
    let site = Site::new().await;
    let worker = json!({"worker": "host:0"});
    let lacking = site.call("workers.get_runtime_properties", worker.clone()).await;
    assert_eq!((lacking.code(), &lacking.meta["endpoint"]["actual_version"]), ((404, 0), &Value::Null));
    site.server.offer_runtime_properties();
    let get = |path: &'static str| site.ok(path, json!({"worker": "host:0"}));
    assert_eq!(get("workers.get_runtime_properties").await, json!({"runtime_properties": []}));
    for (value, expiry) in [("off", Value::Null), ("on", json!(60))] {
        let force = json!([{"key": "force", "value": value, "expiry": expiry}, {"key": "x", "value": "1"}]);
        site.ok("workers.set_runtime_properties", json!({"worker": "host:0", "runtime_properties": force})).await;
    }
    let properties = get("v2.10/workers.get_runtime_properties").await["runtime_properties"].clone();
    let force =
        properties.as_array().and_then(|all| all.iter().find(|one| one["key"] == "force")).expect("it is there");
    assert_eq!((&force["value"], properties.as_array().map(Vec::len)), (&json!("on"), Some(2)));
    assert!(force["expiry"].as_i64().is_some_and(|left| (55..=60).contains(&left)), "{force}");
    assert_eq!(site.call("v2.9/workers.get_runtime_properties", worker).await.code(), (404, 0));
    let gone = json!([{"key": "force", "value": "on", "expiry": -1}]);
    site.ok("workers.set_runtime_properties", json!({"worker": "host:0", "runtime_properties": gone})).await;
    let left = get("workers.get_runtime_properties").await;
    assert_eq!(left["runtime_properties"].as_array().map(Vec::len), Some(1), "an expired one is none: {left}");
}

#[tokio::test]
async fn an_entry_moves_within_its_queue_and_is_clamped_at_the_ends() {
    let site = Site::new().await;
    let queue = site.default_queue().await;
    let mut tasks = Vec::new();
    for name in ["one", "two", "three"] {
        let task = site.task(name).await;
        site.ok("tasks.enqueue", json!({"task": task})).await;
        tasks.push(task);
    }
    let step = |action: &'static str, task: String, count: u32| {
        site.ok(action, json!({"queue": queue, "task": task, "count": count}))
    };
    assert_eq!(step("queues.move_task_forward", tasks[2].clone(), 9).await["position"], 0);
    assert_eq!(step("queues.move_task_backward", tasks[2].clone(), 1).await["position"], 1);
    assert_eq!(step("queues.move_task_to_back", tasks[2].clone(), 1).await["position"], 2);
    assert_eq!(site.ok("queues.peek_task", json!({"queue": queue})).await["task"], *tasks[0]);
    let nowhere = site.call("queues.move_task_to_front", json!({"queue": queue, "task": "nobody"})).await;
    assert_eq!(nowhere.code(), (400, 703));
}

#[tokio::test]
async fn illegal_transitions_and_unknown_things_have_the_codes_of_the_real_server() {
    let site = Site::new().await;
    let task = site.task("fails").await;
    let code = |path: &'static str, body: Value| async { site.call(path, body).await.code() };
    assert_eq!(code("tasks.failed", json!({"task": task})).await, (400, 110));
    site.ok("tasks.started", json!({"task": task})).await;
    site.ok("tasks.failed", json!({"task": task, "status_reason": "r"})).await;
    assert_eq!(code("tasks.started", json!({"task": task})).await, (400, 110));
    assert_eq!(code("tasks.edit", json!({"task": task, "comment": "c"})).await, (400, 110));
    site.ok("tasks.started", json!({"task": task, "force": true})).await;
    assert_eq!(code("tasks.started", json!({"task": "nobody"})).await, (400, 101));
    assert_eq!(code("tasks.started", json!({})).await, (400, 12));
    assert_eq!(code("tasks.ping", json!({"task": "nobody"})).await, (200, 0));
    assert_eq!(code("queues.get_next_task", json!({"queue": "nobody"})).await, (400, 701));
    assert_eq!(code("queues.create", json!({"name": "default"})).await, (400, 801));
    assert_eq!(code("queues.create", json!({"name": "ab"})).await, (400, 800));
    assert_eq!(code("tasks.create", json!({"name": "ab", "type": "training"})).await, (400, 800));
    assert_eq!(code("tasks.get_all", json!({"only_fields": ["nonsense"]})).await, (400, 14));
    assert_eq!(code("tasks.get_all", json!({"name": "("})).await, (400, 21));
    assert_eq!(code("events.add_batch", json!({})).await, (400, 17));
    assert_eq!(code("events.add", json!({"type": "log", "task": "nobody", "msg": "m"})).await, (400, 131));
    assert_eq!(code("projects.get_by_id", json!({"project": "nobody"})).await, (400, 401));
    assert_eq!(code("users.get_vaults", json!({})).await, (404, 0));
}

#[tokio::test]
async fn a_second_enqueue_into_the_same_queue_is_refused_and_changes_nothing() {
    let site = Site::new().await;
    let task = site.task("twice").await;
    site.ok("tasks.enqueue", json!({"task": task})).await;
    let before = site.ok("tasks.get_by_id", json!({"task": task})).await;
    assert_eq!(site.call("tasks.enqueue", json!({"task": task, "status_reason": "again"})).await.code(), (400, 706));
    assert_eq!(site.ok("tasks.get_by_id", json!({"task": task})).await, before);
    let dequeued = site.ok("tasks.dequeue", json!({"task": task})).await;
    assert_eq!(dequeued["fields"]["status"], "created");
}

#[tokio::test]
async fn a_stop_waits_for_a_live_worker_and_for_nobody_else() {
    let site = Site::new().await;
    let (alone, worked) = (site.task("alone").await, site.task("worked").await);
    for task in [&alone, &worked] {
        site.ok("tasks.started", json!({"task": task})).await;
    }
    site.ok("workers.status_report", json!({"worker": "w:0", "timestamp": 1, "task": worked})).await;
    let stop = |task: String| site.ok("tasks.stop", json!({"task": task, "status_message": "ignored"}));
    let at_once = stop(alone).await["fields"].clone();
    assert_eq!((&at_once["status"], &at_once["status_message"]), (&json!("stopped"), &json!("Stopped by local")));
    let asked = stop(worked.clone()).await["fields"].clone();
    assert_eq!((&asked["status"], &asked["status_message"]), (&json!("in_progress"), &json!("stopping")));
    site.ok("tasks.started", json!({"task": worked})).await;
    let wiped = site.ok("tasks.get_by_id", json!({"task": worked})).await;
    assert_eq!(wiped["task"]["status_message"], "", "the trap of the real server is kept");
}

#[tokio::test]
async fn a_report_for_an_unknown_task_is_refused_but_the_worker_is_known() {
    let site = Site::new().await;
    let report = site.call("workers.status_report", json!({"worker": "w:0", "timestamp": 1, "task": "nobody"})).await;
    assert_eq!(report.code(), (400, 101));
    let workers = site.ok("workers.get_all", json!({})).await;
    assert_eq!(workers["workers"][0]["id"], "w:0");
    assert!(workers["workers"][0].get("last_report_time").is_none());
}

#[tokio::test]
async fn a_worker_that_is_not_renewed_vanishes() {
    let site = Site::new().await;
    site.ok("workers.register", json!({"worker": "brief:0", "timeout": 1})).await;
    assert_eq!(site.ok("workers.get_count", json!({})).await["count"], 1);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(site.ok("workers.get_count", json!({})).await["count"], 0);
    assert_eq!(site.call("workers.register", json!({"worker": "w", "timeout": 0})).await.code(), (400, 1002));
}

#[tokio::test]
async fn a_reset_task_is_as_if_it_had_never_run() {
    let site = Site::new().await;
    let task = site.task("reset me").await;
    site.ok("tasks.started", json!({"task": task})).await;
    site.ok("events.add", json!({"type": "log", "task": task, "msg": "m", "timestamp": 5})).await;
    let artifact = json!({"key": "k", "type": "t", "uri": "http://x/y"});
    site.ok("tasks.add_or_update_artifacts", json!({"task": task, "artifacts": [artifact]})).await;
    site.ok("tasks.edit", json!({"task": task, "force": true, "runtime": {"a": 1}})).await;
    site.ok("tasks.completed", json!({"task": task})).await;
    let reset = site.ok("tasks.reset", json!({"task": task, "return_file_urls": true})).await;
    assert_eq!(reset["urls"]["artifact_urls"], json!(["http://x/y"]));
    let after = site.ok("tasks.get_by_id", json!({"task": task})).await["task"].clone();
    assert_eq!((&after["status"], &after["runtime"]), (&json!("created"), &json!({})));
    assert_eq!((after.get("started"), after.get("completed")), (None, None));
    assert_eq!(after["execution"]["artifacts"], json!([]));
    assert_eq!(site.ok("events.get_task_log", json!({"task": task})).await["events"], json!([]));
}

#[tokio::test]
async fn an_edit_merges_the_script_but_replaces_the_runtime() {
    let site = Site::new().await;
    let task = site.task("edited").await;
    site.ok("tasks.edit", json!({"task": task, "script": {"diff": " d"}, "runtime": {"a": 1}})).await;
    site.ok("tasks.edit", json!({"task": task, "script": {"branch": " main "}, "runtime": {"b": 2}})).await;
    let after = site.ok("tasks.get_by_id", json!({"task": task})).await["task"].clone();
    assert_eq!((&after["script"]["diff"], &after["script"]["branch"]), (&json!(" d"), &json!("main")));
    assert_eq!((&after["script"]["entry_point"], &after["runtime"]), (&json!("a.py"), &json!({"b": 2})));
}

#[tokio::test]
async fn a_batch_counts_what_it_takes_and_what_it_refuses() {
    let site = Site::new().await;
    let task = site.task("reports").await;
    let lines = [
        json!({"type": "log", "task": task, "msg": "one", "timestamp": 1}),
        json!({"type": "log", "task": "nobody", "msg": "lost"}),
        json!({"type": "nonsense", "task": task}),
    ];
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    let request = site.request("events.add_batch").header("Content-Type", "application/json-lines");
    let got = answer(request.body(lines.join("\n"))).await.expect("an answer");
    assert_eq!((got.status, &got.data["added"], &got.data["errors"]), (200, &json!(1), &json!(2)));
    assert_eq!(got.data["errors_info"].as_object().map(serde_json::Map::len), Some(2));
}

#[tokio::test]
async fn a_log_is_read_in_either_direction_and_the_events_of_one_stamp_stay_together() {
    let site = Site::new().await;
    let task = site.task("talks").await;
    for (stamp, text) in [(1, "a"), (2, "b"), (2, "c"), (3, "d")] {
        site.ok("events.add", json!({"type": "log", "task": task, "msg": text, "timestamp": stamp})).await;
    }
    let read = |more: Value| {
        let mut body = json!({"task": task});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        let answer = site.ok("events.get_task_log", body);
        async {
            let answer = answer.await;
            let texts = answer["events"].as_array().expect("events").iter().map(|e| e["msg"].as_str().expect("text"));
            texts.collect::<String>()
        }
    };
    assert_eq!(read(json!({})).await, "dcba");
    assert_eq!(read(json!({"order": "asc"})).await, "abcd");
    assert_eq!(read(json!({"batch_size": 2, "navigate_earlier": false})).await, "abc");
    assert_eq!(read(json!({"from_timestamp": 2, "navigate_earlier": false})).await, "d");
    assert_eq!(read(json!({"from_timestamp": 2})).await, "a");
}

#[tokio::test]
async fn tokens_renew_themselves_expire_on_demand_and_die_by_logout() {
    let site = Site::new().await;
    let token = site.ok("auth.login?expiration_sec=90000", json!({})).await["token"].as_str().expect("one").to_owned();
    let with_token = |path: &str, token: &str| {
        answer(site.http.post(format!("{}/{path}", site.server.api_url())).bearer_auth(token))
    };
    let renewed = with_token("auth.login", &token).await.expect("an answer").data["token"].clone();
    assert_ne!(renewed, *token);
    site.server.faults().expire_token_once();
    assert_eq!(with_token("tasks.get_all", &token).await.expect("an answer").code(), (401, 30));
    assert_eq!(with_token("tasks.get_all", &token).await.expect("an answer").code(), (200, 0));
    assert_eq!(with_token("auth.logout", &token).await.expect("an answer").code(), (200, 0));
    assert_eq!(with_token("tasks.get_all", &token).await.expect("an answer").code(), (401, 30));
    let forged = format!("{}x", renewed.as_str().expect("text"));
    assert_eq!(with_token("tasks.get_all", &forged).await.expect("an answer").code(), (401, 30));
    let nobody = answer(site.http.post(format!("{}/tasks.get_all", site.server.api_url()))).await.expect("an answer");
    assert_eq!(nobody.code(), (401, 20));
    let wrong = site.http.post(format!("{}/auth.login", site.server.api_url())).basic_auth("K", Some("S"));
    assert_eq!(answer(wrong).await.expect("an answer").code(), (401, 22));
    assert_eq!(site.call("auth.login?expiration_sec=99999999", json!({})).await.code(), (400, 12));
}

#[tokio::test]
async fn planned_faults_come_once_each_and_a_dropped_reply_has_done_its_work() {
    let site = Site::new().await;
    let faults = site.server.faults();
    faults.next_of("debug.ping", 2, Fault::Status(503));
    faults.next_of("debug.ping", 1, Fault::Delay(Duration::from_millis(200)));
    for wanted in [503, 503] {
        assert_eq!(site.call("debug.ping", json!({})).await.status, wanted);
    }
    let start = Instant::now();
    assert_eq!(site.call("debug.ping", json!({})).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(200));
    let task = site.task("popped").await;
    site.ok("tasks.enqueue", json!({"task": task})).await;
    let queue = site.default_queue().await;
    faults.next_of("queues.get_next_task", 1, Fault::Drop);
    faults.next_of("queues.get_next_task", 1, Fault::DropReply);
    for left in [1, 0] {
        let pop = site.request("queues.get_next_task").json(&json!({"queue": queue}));
        assert!(answer(pop).await.is_err(), "the connection is closed");
        assert_eq!(site.ok("queues.get_num_entries", json!({"queue": queue})).await["num"], left);
    }
}

#[tokio::test]
async fn a_restart_keeps_tasks_queues_workers_and_the_key_pair() {
    let site = Site::new().await;
    let (task, queue) = (site.task("kept").await, site.default_queue().await);
    site.ok("tasks.enqueue", json!({"task": task})).await;
    site.ok("workers.register", json!({"worker": "w:0", "queues": [queue]})).await;
    let key = site.server.credentials().access_key.clone();
    let site = site.restart().await;
    assert_eq!(site.server.credentials().access_key, key);
    assert_eq!(site.ok("queues.get_next_task", json!({"queue": queue})).await["entry"]["task"], *task);
    assert_eq!(site.ok("workers.get_count", json!({})).await["count"], 1);
}

#[tokio::test]
async fn a_request_with_a_content_encoding_is_refused_without_an_envelope() {
    let site = Site::new().await;
    let request = site.request("debug.ping").header("Content-Encoding", "gzip").body("x");
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status().as_u16(), 415);
    assert!(response.json::<Value>().await.is_err());
}

#[tokio::test]
async fn a_document_that_no_client_could_read_is_refused_and_the_server_lives_on() {
    let site = Site::new().await;
    let task = site.task("hostile").await;
    for fields in [json!({"hyperparams": {"Args": 5}}), json!({"models": {"input": "x"}}), json!({"script": 3})] {
        let mut body = fields;
        body["task"] = json!(task);
        assert_eq!(site.call("tasks.edit", body.clone()).await.code(), (400, 12), "{body}");
    }
    // The clone's fields are not checked so closely: what then goes wrong is an error of its call alone.
    let clone = json!({"task": task, "new_task_name": "clone", "new_task_hyperparams": {"Args": 5}});
    let clone = site.ok("tasks.clone", clone).await["id"].clone();
    let item = json!({"section": "Args", "name": "n", "value": "v"});
    let edited = site.call("tasks.edit_hyper_params", json!({"task": clone, "hyperparams": [item]})).await;
    assert_eq!(edited.code(), (500, 1));
    assert_eq!(site.call("v2.5/tasks.get_by_id", json!({"task": clone})).await.status, 200);
}
