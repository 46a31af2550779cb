//! The real clearmlctl against a scripted daemon: what it prints, where, and its exit codes.

#[path = "api/scripted.rs"]
mod scripted;

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
async fn gpus_are_listed_with_who_has_them_and_whatever_else_computes_there() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["gpu", "list"]).await;
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines.len(), 4, "a header, two GPUs, a slice: {}", said.out);
    for part in ["GPU-aa", "10240/40960 MiB", "73%", "61°C", BUSY, LIVE_RUN, r"800 (jupy\u{1b}[31m)"] {
        assert!(lines[1].contains(part), "{part} in {}", said.out);
    }
    assert!(!lines[1].contains("700"), "a run's own process is no stranger: {}", said.out);
    assert!(lines[2].contains("UNUSABLE") && lines[3].starts_with("1:0"), "{}", said.out);
    assert!(said.err.contains("nvidia-uvm does not exist"), "{}", said.err);
    let json = ctl(&daemon, &["gpu", "list", "-o", "json"]).await.json();
    assert_eq!((&json["driver"]["state"], &json["driver"]["cuda_version"]), (&"up".into(), &"12.4".into()));
    assert_eq!(
        (&json["gpus"][0]["memory_used"], &json["gpus"][0]["run_ids"][0]),
        (&(10u64 << 30).into(), &LIVE_RUN.into())
    );
    assert_eq!(json["gpus"][0]["processes"][1]["foreign"], true);
    assert_eq!(json["gpus"][1]["slices"][0]["uuid"], "MIG-bb");
    assert_eq!(daemon.asked(), ["gpus 2", "gpus 2"]);
    ctl(&daemon, &["gpu", "rescan"]).await;
    assert_eq!(daemon.asked().last().map(String::as_str), Some("gpus 0"));
}

#[tokio::test]
async fn a_gpu_is_taken_out_of_use_with_a_reason_and_what_cannot_be_is_refused() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["gpu", "quarantine", "0", "--reason", "a fan is loud"]).await;
    for part in ["GPU 0: quarantined since 2023-", "a fan is loud", "clearmlctl gpu verify 0"] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    assert_eq!(daemon.asked().last().map(String::as_str), Some("Quarantine 0 a fan is loud"));
    let json = ctl(&daemon, &["gpu", "quarantine", "0", "--reason", "x", "-o", "json"]).await.json();
    assert_eq!((&json["state"], &json["reason"]), (&"quarantined".into(), &"x".into()));
    ctl(&daemon, &["gpu", "quarantine", "0", "--reason", " "]).await.fails(2, "reason: ");
    ctl(&daemon, &["gpu", "quarantine", "7", "--reason", "x"]).await.fails(3, "there is no gpu `7`");
    ctl(&daemon, &["gpu", "verify", "0"]).await.fails(7, "is healthy");
    ctl(&daemon, &["gpu", "readmit", "0", "--reason", "sure"]).await.fails(7, "is healthy");
    assert_eq!(daemon.asked().last().map(String::as_str), Some("Readmit 0 sure"));
}

#[tokio::test]
async fn a_gpu_is_reserved_for_a_time_with_a_reason_and_given_back() {
    let daemon = Daemon::open(outside);
    let reserve = ["gpu", "reserve", "0", "--for", "2h", "--reason", "a demo"];
    ctl(&daemon, &reserve).await.fails(7, "--when-free");
    let said = ctl(&daemon, &[&reserve[..], &["--when-free"]].concat()).await;
    assert!(said.out.contains("not lent") && said.out.contains("is held by run"), "{}", said.out);
    ctl(&daemon, &["gpu", "reserve", "0", "--for", "soon", "--reason", "x"]).await.fails(2, "duration: ");
    ctl(&daemon, &["gpu", "reserve", "0", "--for", "2h", "--reason", " "]).await.fails(2, "reason: ");
    ctl(&daemon, &["gpu", "release", "0"]).await;
    let asked = daemon.asked();
    assert!(asked.contains(&"reserve 0 for 7200000 ms when_free=true: a demo".to_owned()), "{asked:?}");
    assert_eq!(asked.last().map(String::as_str), Some("release 0"));
    let list = ctl(&daemon, &["gpu", "list"]).await.out;
    assert!(list.contains("RESERVED") && list.contains("alice, "), "{list}");
    let json = ctl(&daemon, &["gpu", "show", "1", "-o", "json"]).await.json();
    assert_eq!((&json["reservation"]["by"], &json["reservation"]["reason"]), (&"alice".into(), &"a demo".into()));
    assert_eq!(json["withheld"], "cannot be used: it fell off the bus");
}

#[tokio::test]
async fn one_gpu_is_shown_by_any_of_its_names() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["gpu", "show", "0"]).await;
    for part in ["/dev/nvidia1", "healthy", "0000:07:00.0", "250 of 400 W", "3 corrected, 0 not", "foreign", LIVE_RUN] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    assert_eq!(ctl(&daemon, &["gpu", "show", "MIG-bb", "-o", "json"]).await.json()["uuid"], "GPU-bb");
    ctl(&daemon, &["gpu", "show", "7"]).await.fails(3, "there is no gpu `7`");
    ctl(&daemon, &["gpu", "show", "x"]).await.fails(2, "names no GPU");
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

// === Output of runs and tasks ===

#[tokio::test]
async fn a_pipe_gets_the_output_of_a_run_byte_for_byte() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["run", "logs", FAILED_RUN, "--tail", "1"]).await;
    assert_eq!(said.out, "\u{1b}]0;owned\u{7}\u{1b}[31mKeyError\u{1b}[0m: 'x'\n");
    let said = ctl(&daemon, &["run", "logs", GONE_RUN]).await;
    assert_eq!(said.out, GONE_OUTPUT);
    assert!(said.err.contains("the server's copy"), "{}", said.err);
}

#[tokio::test]
async fn a_terminal_gets_the_colours_and_nothing_else_to_obey() {
    let daemon = Daemon::open(outside);
    // `script` of util-linux gives it a terminal.
    let line = format!("{} run logs {FAILED_RUN} --tail 1", env!("CARGO_BIN_EXE_clearmlctl"));
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).env("CLEARMLD_SOCKET", &daemon.socket).stdin(Stdio::null());
    let output = match tokio::time::timeout(PATIENCE, terminal.output()).await.expect("it ends") {
        Ok(output) => output,
        Err(error) => panic!("cannot run `script`: {error}; install it with `apt-get install bsdutils`"),
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\u{1b}[31mKeyError\u{1b}[0m: 'x'\r\n");
}

#[tokio::test]
async fn following_a_run_ends_with_it() {
    let daemon = Daemon::open(outside);
    let mut following =
        command(&daemon.socket, &["run", "logs", "-f", LIVE_RUN]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(following.stdout.take().expect("a pipe")).lines();
    daemon.print("one\n");
    assert_eq!(lines.next_line().await.expect("text").as_deref(), Some("one"));
    daemon.print("two\n");
    daemon.end_live_run();
    assert_eq!(lines.next_line().await.expect("text").as_deref(), Some("two"));
    let status = tokio::time::timeout(PATIENCE, following.wait()).await.expect("it ends").expect("it is waited for");
    assert!(status.success());
}

#[tokio::test]
async fn following_a_run_goes_on_after_the_daemon_was_restarted_with_no_line_lost_or_doubled() {
    let (old, new) = (Daemon::open(outside), Daemon::open(outside));
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("link.sock");
    std::os::unix::fs::symlink(&old.socket, &socket).expect("a link");
    let mut following =
        command(&socket, &["run", "logs", "-f", LIVE_RUN]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(following.stdout.take().expect("a pipe")).lines();
    old.print("one\n");
    assert_eq!(lines.next_line().await.expect("text").as_deref(), Some("one"));
    old.close().await.1.expect("a clean end");
    new.print("one\ntwo\n");
    let moved = directory.path().join("new.sock");
    std::os::unix::fs::symlink(&new.socket, &moved).and_then(|()| fs::rename(&moved, &socket)).expect("a link");
    assert_eq!(lines.next_line().await.expect("text").as_deref(), Some("two"));
    new.end_live_run();
    let status = tokio::time::timeout(PATIENCE, following.wait()).await.expect("it ends").expect("it is waited for");
    assert!(status.success());
}

#[tokio::test]
async fn events_are_one_document_a_line() {
    let daemon = Daemon::open(outside);
    let mut following =
        command(&daemon.socket, &["events", "-f", "-o", "json"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(following.stdout.take().expect("a pipe")).lines();
    // It listens once somebody receives.
    while daemon.events.send(event(5)).is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let line = lines.next_line().await.expect("text").expect("a line");
    let json: Value = serde_json::from_str(&line).expect("a document");
    assert_eq!((&json["sequence"], &json["kind"]), (&Value::from(5), &Value::from("run_started")));
    assert_eq!(json["worker"], BUSY);
}

// === submit ===

fn script(directory: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    fs::File::create(&path).and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes())).expect("a file");
    path
}

#[tokio::test]
async fn a_script_is_submitted_whole_and_followed_to_its_results() {
    let daemon = Daemon::open(outside);
    let directory = tempfile::tempdir().expect("a directory");
    let path = script(&directory, "train.py", "print('hello')\n");
    let path = path.to_str().expect("text");
    let said = ctl(
        &daemon,
        &[
            "submit", path, "--queue", "default", "--arg", "lr=0.1", "--python", "3.11", "--follow", "--", "--epochs",
            "it's 3",
        ],
    )
    .await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.starts_with(GONE_OUTPUT), "{}", said.out);
    for part in ["loss", "0.25", "model.pkl"] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    assert!(said.err.contains("is queued") && said.err.contains("is completed"), "{}", said.err);
    let asked = daemon.asked().pop().expect("a submission");
    for part in [
        r#"name: "train""#,
        r#"binary: "python3.11""#,
        r#"entry_point: "train.py --epochs 'it'\\''s 3'""#,
        r#"diff: Some("print('hello')\n")"#,
        r#"requirements: Some("")"#,
        r#"arguments: [("lr", "0.1")]"#,
        r#"queue: Some("default")"#,
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
}

#[tokio::test]
async fn following_a_task_that_fails_fails() {
    let daemon = Daemon::open(outside);
    let directory = tempfile::tempdir().expect("a directory");
    let path = script(&directory, "x.py", "boom\n");
    let arguments = ["submit", path.to_str().expect("text"), "--name", "bad", "-q", "default", "-f", "-o", "json"];
    let said = ctl(&daemon, &arguments).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("ended failed: worker execution exit code 1"), "{}", said.err);
    let lines = said.lines();
    assert_eq!(lines[0]["text"], "epoch 1");
    assert_eq!(lines.last().expect("the task")["task"]["status"], "failed");
}

#[tokio::test]
async fn a_repository_is_submitted_with_its_own_requirements() {
    let daemon = Daemon::open(outside);
    let said =
        ctl(&daemon, &["submit", "--repo", "https://h/r.git", "--commit", "abc", "--entry-point", "-m pkg.train"])
            .await;
    assert_eq!((said.code, said.out.trim()), (0, TASK), "{}", said.err);
    let asked = daemon.asked().pop().expect("a submission");
    for part in [
        r#"repository: Some("https://h/r.git")"#,
        "requirements: None",
        r#"entry_point: "-m pkg.train""#,
        "queue: None",
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
}

// === Exit codes ===

#[tokio::test]
async fn wrong_usage_and_senseless_requests_are_2() {
    let daemon = Daemon::open(outside);
    ctl(&daemon, &["worker", "add", "--gpus", "many"]).await.fails(2, "gpus: ");
    ctl(&daemon, &["submit", "/nonexistent.py"]).await.fails(2, "/nonexistent.py");
    for arguments in [&["worker", "add", "--gpus", "0", "--cpu-only"][..], &["submit"], &["--timeout", "x", "status"]] {
        let said = ctl(&daemon, arguments).await;
        assert_eq!(said.code, 2, "{arguments:?}");
        assert!(said.err.starts_with("error: "), "{}", said.err);
    }
}

#[tokio::test]
async fn what_is_not_there_is_3() {
    let daemon = Daemon::open(outside);
    ctl(&daemon, &["worker", "show", "nobody"]).await.fails(3, "there is no worker `nobody`");
    ctl(&daemon, &["run", "logs", "nothing"]).await.fails(3, "there is no run `nothing`");
    ctl(&daemon, &["task", "show", "cccc"]).await.fails(3, "cccc");
    ctl(&daemon, &["worker", "add", "--queue", "nowhere"]).await.fails(3, "nowhere");
    ctl(&daemon, &["task", "enqueue", TASK, "-q", "nowhere"]).await.fails(3, "Invalid queue id");
}

#[tokio::test]
async fn a_process_below_a_shim_is_denied_which_is_4() {
    let daemon = Daemon::open(access::inside_a_run);
    let said = ctl(&daemon, &["status"]).await;
    assert_eq!(said.code, 0, "outside of all runs it is answered: {}", said.err);
    // A shell of that name stands for the shim; it must not replace itself by its last command.
    let directory = tempfile::tempdir().expect("a directory");
    let shim = directory.path().join("clearmld-shim");
    fs::copy("/bin/sh", &shim).expect("a shell");
    fs::set_permissions(&shim, fs::Permissions::from_mode(0o755)).expect("it is executable");
    let mut below = Command::new(&shim);
    below
        .args(["-c", "\"$0\" status; exit $?", env!("CARGO_BIN_EXE_clearmlctl")])
        .env("CLEARMLD_SOCKET", &daemon.socket);
    finish(below).await.fails(4, "clearmld-shim is its ancestor");
}

#[tokio::test]
async fn a_daemon_that_is_not_there_is_5() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("none.sock");
    finish(command(&path, &["status"])).await.fails(5, "does not answer");
}

#[tokio::test]
async fn a_daemon_that_is_starting_is_waited_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket that refuses"));
    let asking = command(&path, &["status"]).stdout(Stdio::piped()).spawn().expect("it starts");
    tokio::time::sleep(Duration::from_millis(500)).await;
    let daemon = Daemon::open(outside);
    fs::rename(&daemon.socket, &path).expect("the daemon is up");
    let output = tokio::time::timeout(PATIENCE, asking.wait_with_output()).await.expect("it ends").expect("it runs");
    assert!(output.status.success());
}

#[tokio::test]
async fn waiting_too_long_is_6() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("x.sock");
    let _mute = std::os::unix::net::UnixListener::bind(&path).expect("a socket that never answers");
    finish(command(&path, &["status", "--timeout", "0.3"])).await.fails(6, "0.3 s");
}

#[tokio::test]
async fn a_contradiction_is_7() {
    let daemon = Daemon::open(outside);
    ctl(&daemon, &["worker", "add", "--name", BUSY]).await.fails(7, "already");
    ctl(&daemon, &["worker", "remove", BUSY]).await.fails(7, LIVE_RUN);
    ctl(&daemon, &["run", "stop", FAILED_RUN]).await.fails(7, "has ended already");
    ctl(&daemon, &["task", "reset", TASK]).await.fails(7, "Invalid task status");
}

#[tokio::test]
async fn anything_else_is_1() {
    let daemon = Daemon::open(outside);
    ctl(&daemon, &["worker", "add", "--queue", "away"]).await.fails(1, "not reachable");
    ctl(&daemon, &["resume"]).await.fails(1, "disk full");
}

#[tokio::test]
async fn a_clean_shutdown_ends_what_follows_with_5() {
    let daemon = Daemon::open(outside);
    let following = command(&daemon.socket, &["events"]).stderr(Stdio::piped()).spawn().expect("it starts");
    while daemon.events.receiver_count() == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    daemon.close().await.1.expect("a clean end");
    let output = tokio::time::timeout(PATIENCE, following.wait_with_output()).await.expect("it ends").expect("it runs");
    assert_eq!(output.status.code(), Some(5));
}
