use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::domain::cause::Cause;
use crate::domain::gpu::GpuClaim;
use crate::domain::ids::{QueueId, RunId, StateId, TaskId, WorkerName};
use crate::domain::inventory::{Figures, Gpu};
use crate::domain::limits::Controllers;
use crate::domain::run::{Exited, Phase, RunRecord};
use crate::domain::worker::{Origin, QueueRef, Worker, WorkerDraft};
use crate::engine::handle::RunView;
use crate::engine::ports::{LauncherDescription, ServerIdentity};
use crate::metrics::exposition::{Format, write};

fn worker(problem: Option<&str>) -> WorkerView {
    let name = WorkerName::new("host:gpu0").expect("a name");
    let draft = WorkerDraft::default();
    let worker = Worker::of(draft, name, GpuClaim::None, Vec::new(), Origin::Operator, UnixMillis(0));
    WorkerView {
        worker,
        hours: Default::default(),
        activity: WorkerActivity::Idle,
        runs: Vec::new(),
        problem: problem.map(str::to_owned),
        paused: None,
        pending: None,
    }
}

fn snapshot() -> Snapshot {
    let figures =
        Figures { memory_total: Some(80 << 30), memory_used: Some(1 << 30), usage: Some(37), temperature: Some(61) };
    let power = Power { draw: Some(250_500), limit: None };
    let gpu = Gpu { uuid: "GPU-a".into(), name: "A100".into(), figures, power, ..Gpu::default() };
    let no = Vec::new();
    Snapshot {
        status: HostStatus {
            version: "1.2.3".into(),
            host: "host".into(),
            state_dir: "/s".into(),
            state_id: StateId::new("s").expect("an id"),
            since: UnixMillis(1_700_000_000_500),
            draining: false,
            server: ServerIdentity::default(),
            link: ServerLink::Down { since: UnixMillis(0), reason: "away".into(), refused: false },
            launcher: LauncherDescription { name: "direct", missing: Vec::new(), controllers: Controllers::default() },
            remarks: Vec::new(),
            workers: 1,
            live_runs: 2,
            unsettled_runs: 3,
            all_runs: String::new(),
        },
        workers: vec![worker(Some("its queue is gone"))],
        gpus: vec![GpuView {
            gpu,
            workers: Vec::new(),
            runs: Vec::new(),
            processes: Vec::new(),
            slices: no,
            health: None,
            withheld: None,
            reservation: None,
        }],
        host: HostFigures {
            disk_size: Some(1 << 40),
            disk_free: Some(1 << 30),
            disk_free_inodes: Some(7),
            ..HostFigures::default()
        },
        pending: 4096,
    }
}

fn ended(id: &str, minutes: u64) -> RunView {
    let id = RunId::new(id).expect("an id");
    let queue = QueueRef { id: QueueId::new("q").expect("an id"), name: "q".into() };
    let task = TaskId::new("t").expect("an id");
    let worker = WorkerName::new("w").expect("a name");
    let mut record = RunRecord::claim(id, worker, queue, task, GpuClaim::None, UnixMillis(0));
    let at = UnixMillis(minutes * 60_000);
    let cause = Cause::ExitCode { code: 3, last_line: None };
    record.phase =
        Phase::Exited(Exited { cause, record: None, at, started: Some(UnixMillis(0)), requeue: None, remark: None });
    RunView { record, progress: None, spool: "/s".into(), live: false }
}

fn tally() -> Tally {
    let mut tally = Tally::default();
    tally.observe(&[ended("of-an-earlier-daemon", 1)]);
    for _ in 0..2 {
        tally.observe(&[ended("of-an-earlier-daemon", 1), ended("short", 2), ended("long", 100)]);
    }
    tally
}

fn text(format: Format) -> String {
    write(&families(&snapshot(), &tally()), format)
}

#[test]
fn a_run_is_counted_once_and_one_of_an_earlier_daemon_never() {
    let text = text(Format::OpenMetrics);
    for line in [
        "clearmld_runs_ended_total{cause=\"exit_code\"} 2",
        "clearmld_run_duration_seconds_bucket{le=\"60.0\"} 0",
        "clearmld_run_duration_seconds_bucket{le=\"300.0\"} 1",
        "clearmld_run_duration_seconds_bucket{le=\"14400.0\"} 2",
        "clearmld_run_duration_seconds_bucket{le=\"+Inf\"} 2",
        "clearmld_run_duration_seconds_sum 6120",
        "clearmld_run_duration_seconds_count 2",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
}

#[test]
fn figures_are_in_base_units() {
    let text = text(Format::OpenMetrics);
    for line in [
        "clearmld_build_info{version=\"1.2.3\"} 1",
        "clearmld_start_time_seconds 1700000000.5",
        "clearmld_server_up 0",
        "clearmld_workers{state=\"idle\"} 1",
        "clearmld_worker_problem{worker=\"host:gpu0\"} 1",
        "clearmld_gpu_utilization_ratio{uuid=\"GPU-a\"} 0.37",
        "clearmld_gpu_power_watts{uuid=\"GPU-a\"} 250.5",
        "clearmld_gpu_usable{uuid=\"GPU-a\"} 1",
        "clearmld_gpu_health{uuid=\"GPU-a\",state=\"healthy\"} 1",
        "clearmld_gpu_health{uuid=\"GPU-a\",state=\"quarantined\"} 0",
        "clearmld_spool_pending_bytes 4096",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
}

/// Every name that starts like one of ours.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("clearmld_")).map(str::to_owned).collect()
}

#[test]
fn dashboard_and_alerts_name_only_what_there_is() {
    let exposed = text(Format::OpenMetrics);
    let there: BTreeSet<String> = exposed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next().map(str::to_owned))
        .collect();
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    for file in ["grafana/clearmld.json", "prometheus/clearmld.rules.yml"] {
        let text = std::fs::read_to_string(packaging.join(file)).expect(file);
        let named = names(&text);
        assert!(named.len() > 5, "{file} names {named:?}");
        let unknown: Vec<_> = named.difference(&there).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, which nothing exposes");
    }
    let dashboard = std::fs::read_to_string(packaging.join("grafana/clearmld.json")).expect("a dashboard");
    serde_json::from_str::<serde_json::Value>(&dashboard).expect("JSON");
}

fn promtool(arguments: &[&str], input: &str) {
    // Where `make prepare-test` puts it; else wherever the host has it.
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/promtool");
    let program = if ours.exists() { ours } else { "promtool".into() };
    let mut promtool = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is not there: `make prepare-test` fetches it, or install it");
    std::io::Write::write_all(&mut promtool.stdin.take().expect("piped"), input.as_bytes()).expect("written");
    let output = promtool.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}\n{input}", String::from_utf8_lossy(&said));
}

#[test]
fn promtool_has_nothing_to_say_about_the_names() {
    promtool(&["check", "metrics"], &text(Format::Prometheus));
}

#[test]
fn promtool_accepts_the_alerts_and_they_fire_as_they_should() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/prometheus");
    let path = |name: &str| directory.join(name).to_str().expect("UTF-8").to_owned();
    promtool(&["check", "rules", &path("clearmld.rules.yml")], "");
    promtool(&["test", "rules", &path("clearmld.rules.test.yml")], "");
}
