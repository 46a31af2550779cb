//! The real clearmlctl against a scripted daemon: what it prints, where, and its exit codes.

#[path = "ctl/exits.rs"]
mod exits;
#[path = "ctl/follows.rs"]
mod follows;
#[path = "ctl/gpus.rs"]
mod gpus;
#[path = "api/scripted.rs"]
mod scripted;
#[path = "ctl/submits.rs"]
mod submits;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clearmld::api::access;
use scripted::{BAD_TASK, BUSY, Daemon, FAILED_RUN, GONE_OUTPUT, GONE_RUN, LIVE_RUN, TASK, event, outside};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_secs(30);

struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("one document a line")).collect()
    }

    #[track_caller]
    fn fails(&self, code: i32, error: &str) {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert!(self.err.contains("error: ") && self.err.contains(error), "{error} in {}", self.err);
        assert!(self.err.contains("\nhint: "), "every error names the next step: {}", self.err);
        assert_eq!(self.out, "", "an error leaves stdout empty");
    }
}

fn command(socket: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clearmlctl"));
    command.args(arguments).env("CLEARMLD_SOCKET", socket).env_remove("NVIDIA_VISIBLE_DEVICES").stdin(Stdio::null());
    command.kill_on_drop(true);
    command
}

async fn finish(mut command: Command) -> Said {
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").expect("it starts");
    Said {
        code: output.status.code().expect("no signal"),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

async fn ctl(daemon: &Daemon, arguments: &[&str]) -> Said {
    finish(command(&daemon.socket, arguments)).await
}

// === What is printed ===

#[tokio::test]
async fn the_status_names_what_is_wrong_with_the_server_and_missing_on_the_host() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["status"]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    for part in ["down for", "connection refused", "no cgroup v2: no memory limits", "/var/lib/clearmld"] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    let json = ctl(&daemon, &["status", "--output", "json"]).await.json();
    assert_eq!(json["since_at"], "2023-11-14T22:13:20Z");
    assert_eq!((&json["server"]["link"], &json["draining"]), (&Value::from("down"), &Value::from(false)));
}

#[tokio::test]
async fn a_table_has_a_row_a_thing_and_no_colour_away_from_a_terminal() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["worker", "list"]).await;
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines.len(), 2, "{}", said.out);
    assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["WORKER", "QUEUES", "GPUS", "ACTIVITY", "TASK"]);
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), [BUSY, "default", "0", "busy", TASK]);
    assert!(!said.out.contains('\u{1b}'));
}

#[tokio::test]
async fn an_explanation_is_a_reason_a_line_with_what_to_do_and_a_task_that_was_never_here_is_no_failure() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["explain", "worker", BUSY]).await;
    let text = "! queue `a\\u{1b}[2J` was empty when it was last asked, 3 s ago\n  next: enqueue one\n- else none\n";
    assert_eq!((said.code, said.out.as_str()), (0, text), "{}", said.err);
    let json = ctl(&daemon, &["explain", "task", "beef", "-o", "json"]).await.json();
    assert_eq!((&json[0]["reason"], &json[0]["hinders"]), (&Value::from("never_seen"), &Value::from(true)));
    ctl(&daemon, &["explain", "worker", "nobody"]).await.fails(3, "no worker `nobody`");
    ctl(&daemon, &["explain", "gpu", "7"]).await.fails(3, "no gpu `7`");
    ctl(&daemon, &["explain", "gpu", "many"]).await.fails(2, "gpu: ");
    ctl(&daemon, &["explain", "task", "../x"]).await.fails(2, "key: ");
}

#[tokio::test]
async fn hours_go_to_the_daemon_as_they_were_written_and_nonsense_is_refused_with_what_to_write() {
    let daemon = Daemon::open(outside);
    let said =
        ctl(&daemon, &["worker", "add", "--cpu-only", "--uptime", "22-3 FRI", "9 SUN", "--queue", "default"]).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(
        said.out.contains("22-3 FRI; 9 SUN") && said.out.contains("outside its hours until Fri 22:00"),
        "{}",
        said.out
    );
    ctl(&daemon, &["worker", "add", "--uptime", "9-17"]).await.fails(2, "uptime: `9-17`: it is not hours and days");
    ctl(&daemon, &["worker", "add", "--uptime", "9 SUN", "--downtime", "9 MON"])
        .await
        .fails(2, "it contradicts `uptime`");
    assert_eq!(daemon.asked().len(), 1, "nothing of that reached the engine: {:?}", daemon.asked());
}

#[tokio::test]
async fn hours_that_the_host_says_for_all_its_workers_are_shown_with_their_place() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["worker", "show", BUSY]).await;
    assert!(said.out.contains("9-17 MON-FRI (agent.uptime, /etc/clearmld/clearml.conf:7)"), "{}", said.out);
    let json = ctl(&daemon, &["worker", "show", BUSY, "-o", "json"]).await.json();
    assert_eq!((&json["uptime"][0], &json["downtime"]), (&Value::from("9-17 MON-FRI"), &serde_json::json!([])));
    assert_eq!(json["hours_said_in"], "agent.uptime, /etc/clearmld/clearml.conf:7");
}

#[tokio::test]
async fn escapes_in_names_are_shown_and_never_obeyed() {
    let daemon = Daemon::open(outside);
    for arguments in [&["run", "list"][..], &["run", "show", LIVE_RUN], &["task", "list"], &["task", "show", TASK]] {
        let said = ctl(&daemon, arguments).await;
        assert_eq!(said.code, 0, "{}", said.err);
        assert!(!said.out.contains('\u{1b}'), "{arguments:?}: {:?}", said.out);
        assert!(said.out.contains(r"\u{1b}[31m"), "{arguments:?}: {}", said.out);
    }
}

#[tokio::test]
async fn runs_show_how_they_ended() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["run", "show", "run1"]).await;
    for part in ["exit code 3\n", "worker execution exit code 3; last output: KeyError: 'x'", "1m"] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    let json = ctl(&daemon, &["run", "list", "-o", "json"]).await.json();
    assert_eq!(json[0]["phase"], "running");
    assert_eq!(json[1]["end"]["exit_code"], 3);
    assert_eq!(json[1]["ended_at"], "2023-11-14T22:14:50Z");
    assert_eq!(json[3]["end"], Value::Null);
}

#[tokio::test]
async fn a_task_is_shown_with_its_parameters_scalars_and_artifacts() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["task", "show", TASK]).await;
    for part in ["lr", "0.1", "loss", "0.25", "model.pkl", "clearml"] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    let json = ctl(&daemon, &["task", "show", TASK, "--output=json"]).await.json();
    assert_eq!(json["last_scalars"][0]["value"], 0.25);
    assert_eq!(json["artifacts"][0]["key"], "model");
}

// === What is asked ===

#[tokio::test]
async fn worker_add_takes_the_callers_visible_devices_unless_told_otherwise() {
    let daemon = Daemon::open(outside);
    let add = ["worker", "add", "--queue", "a", "--queue", "b", "--name", "host:x"];
    let gpus = async |more: &[&str], visible: Option<&str>| {
        let mut command = command(&daemon.socket, &[&add[..], more].concat());
        if let Some(visible) = visible {
            command.env("NVIDIA_VISIBLE_DEVICES", visible);
        }
        let said = finish(command).await;
        assert_eq!(said.code, 0, "{}", said.err);
        daemon.asked().pop().expect("a worker was asked for")
    };
    assert!(gpus(&[], None).await.contains("gpus: None"));
    assert!(gpus(&[], Some("1")).await.contains("gpus: Some(Some({Index(1)}))"));
    assert!(gpus(&["--cpu-only"], Some("1")).await.contains("gpus: Some(None)"));
    assert!(gpus(&["--gpus", "all"], Some("1")).await.contains("gpus: Some(All)"));
    assert!(gpus(&["--create-queue"], None).await.contains(r#"queues: ["a", "b"]"#));
}

#[tokio::test]
async fn limits_are_asked_for_as_they_were_written_and_shown_as_they_are_held() {
    let daemon = Daemon::open(outside);
    let add =
        ["worker", "add", "--cpu-only", "--memory", "1.5G", "--cpus", "0.5", "--pids", "4096", "--time-limit", "90m"];
    let said = ctl(&daemon, &add).await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("memory 1536 MiB, 0.5 CPUs, 4096 processes, time 90 min"), "{}", said.out);
    let limits = ctl(&daemon, &[&add[..], &["--output", "json"]].concat()).await.json()["limits"].take();
    let wanted = serde_json::json!({"memory_bytes": 1_610_612_736, "cpus": 0.5, "pids": 4096, "time_limit_s": 5400, "disk_bytes": null});
    assert_eq!(limits, wanted);
    for (flag, text, said) in
        [("--memory", "lots", "512M"), ("--cpus", "0", "0.01"), ("--pids", "1", "32"), ("--time-limit", "soon", "30m")]
    {
        ctl(&daemon, &["worker", "add", flag, text]).await.fails(2, said);
    }
    let said = ctl(&daemon, &["worker", "show", BUSY]).await;
    assert!(
        said.out.lines().any(|line| line.split_whitespace().collect::<Vec<_>>() == ["limits", "none"]),
        "{}",
        said.out
    );
}

#[tokio::test]
async fn changing_commands_ask_for_just_that() {
    let daemon = Daemon::open(outside);
    let commands: [(&[&str], String); 9] = [
        (&["worker", "stop", BUSY, "--now"], format!("stop {BUSY} true")),
        (&["worker", "resume", BUSY], format!("resume {BUSY}")),
        (&["worker", "remove", BUSY, "--now"], format!("remove {BUSY} true")),
        (&["run", "stop", LIVE_RUN, "--grace", "1.5"], format!("stop {LIVE_RUN} Some(1500)")),
        (&["drain"], "drain".into()),
        (&["queue", "create", "new"], "create new".into()),
        (&["queue", "move", "default", TASK, "--front"], format!("move default {TASK} Front")),
        (&["task", "enqueue", TASK, "--queue", "default"], format!("enqueue {TASK} default")),
        (&["task", "abort", TASK], format!("abort {TASK} false")),
    ];
    for (arguments, asked) in commands {
        let said = ctl(&daemon, arguments).await;
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.err);
        assert_eq!(daemon.asked().last(), Some(&asked), "{arguments:?}");
    }
    let said = ctl(&daemon, &["task", "clone", TASK, "--name", "again", "-o", "json"]).await;
    assert_eq!(said.json()["task_id"], BAD_TASK);
}
