//! The unmodified clearml SDK and the unmodified clearml-agent, from PyPI.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clearmld::domain::ids::TaskId;

use super::world::World;

fn python() -> PathBuf {
    let path = std::env::var_os("CLEARMLD_TEST_PYTHON")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/test-venv/bin/python"), PathBuf::from);
    assert!(path.exists(), "{} is not there: run `make prepare-test` (or `make test`) first", path.display());
    path
}

const TRAINING: &str = r#"
import time
from clearml import Task
task = Task.init(project_name="sdk tests", task_name="sdk", output_uri=False)
parameters = task.connect({"epochs": 3, "rate": 0.5})
for epoch in range(int(parameters["epochs"])):
    task.get_logger().report_scalar("loss", "train", 1.0 / (epoch + 1), epoch)
    print("epoch", epoch, parameters["rate"], flush=True)
task.upload_artifact("answer", {"is": 42}, wait_on_upload=True)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_sdk_task_runs_with_its_parameters_scalars_and_artifacts() {
    let world = World::new().await;
    let task = world
        .submit_with(|task| {
            task.diff = Some(TRAINING.into());
            task.requirements = Some("clearml==2.1.12\n".into());
            task.arguments = Vec::new();
        })
        .await;
    let log = world.completes(&task).await;
    assert!(log.contains("epoch 2"), "{log}");
    let detail = world.task(&task).await;
    assert!(
        detail.last_scalars.iter().any(|(metric, variant, value)| metric == "loss"
            && variant == "train"
            && (*value - 1.0 / 3.0).abs() < 1e-6),
        "{detail:#?}"
    );
    assert!(detail.artifacts.iter().any(|(key, _, uri)| key == "answer" && uri.starts_with("http")), "{detail:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn execute_remotely_hands_a_local_script_to_our_queue() {
    let world = World::new().await;
    let script = world.path().join("remote.py");
    std::fs::write(
        &script,
        "from clearml import Task\n\
         task = Task.init(project_name='sdk tests', task_name='remote', output_uri=False)\n\
         task.execute_remotely(queue_name='default', exit_process=True)\n\
         print('ran remotely as', task.id, flush=True)\n",
    )
    .expect("written");
    let output = Command::new(python())
        .arg(&script)
        .current_dir(world.path())
        .env("HOME", world.path())
        .envs(world.server_environment())
        .stdin(Stdio::null())
        .output()
        .expect("python starts");
    assert!(output.status.success(), "{output:?}");
    let tasks = world.json(&["task", "list"]);
    let id = tasks
        .as_array()
        .and_then(|tasks| tasks.iter().find(|task| task["name"] == "remote"))
        .and_then(|task| task["id"].as_str());
    let task = TaskId::new(id.unwrap_or_else(|| panic!("no task in {tasks}"))).expect("an id");
    assert!(world.completes(&task).await.contains("ran remotely as"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_unmodified_clearml_agent_works_with_the_local_server() {
    let world = World::without_daemon().await;
    let home = world.path().join("home");
    std::fs::create_dir(&home).expect("made");
    let log = std::fs::File::create(world.path().join("agent.log")).expect("a log");
    let mut agent = Command::new(python())
        .args(["-m", "clearml_agent", "daemon", "--foreground", "--cpu-only", "--queue", "default"])
        .env("HOME", &home)
        .env("TMPDIR", world.path())
        .env("CLEARML_AGENT_QUEUE_POLL_FREQ_SEC", "1")
        .envs(world.server_environment())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("cloned"))
        .stderr(log)
        .spawn()
        .expect("the agent starts");
    let task = world.submit("print('hello from the agent')\n", "").await;
    let began = Instant::now();
    let mut status = String::new();
    while began.elapsed() < Duration::from_secs(180) && !["completed", "failed"].contains(&status.as_str()) {
        tokio::time::sleep(Duration::from_millis(500)).await;
        status = world.task(&task).await.task.status;
    }
    let _ = agent.kill();
    let _ = agent.wait();
    let said = std::fs::read_to_string(world.path().join("agent.log")).unwrap_or_default();
    assert_eq!(status, "completed", "{said}\n{}", world.log(&task).await);
    assert!(world.log(&task).await.contains("hello from the agent"));
}

const CALLBACK: &str = r#"
import os
import signal
import time
from clearml import Task
task = Task.init(project_name="sdk tests", task_name="abort", output_uri=False)
def signalled(*_):
    print("signalled", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, signalled)
def saved():
    print("callback began", flush=True)
    time.sleep(4)
    print("callback done", flush=True)
task.register_abort_callback(saved, callback_execution_timeout=60)
print("ready", flush=True)
time.sleep(600)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_callback_gets_its_time_before_anything_is_signalled_and_no_more() {
    let world = World::new().await;
    let task = world.submit(CALLBACK, "clearml==2.1.12\n").await;
    world.log_shows(&task, "ready\n").await;
    // The SDK's monitor looks at the task from time to time only.
    let began = Instant::now();
    world.ok(&["task", "abort", task.as_str()]);
    let detail = world.end(&task).await;
    let log = world.log(&task).await;
    assert_eq!(detail.task.status, "stopped", "{log}");
    let place = |text: &str| log.find(text).unwrap_or_else(|| panic!("no `{text}`: {log}"));
    assert!(place("callback began\n") < place("callback done\n"), "{log}");
    assert!(place("callback done\n") < place("signalled\n"), "{log}");
    assert!(began.elapsed() < Duration::from_secs(50), "it took {:?}", began.elapsed());
    assert_eq!(world.json(&["run", "show", task.as_str()])["end"]["cause"], "user_abort");
}
