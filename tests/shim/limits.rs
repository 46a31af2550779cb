//! What a payload may use at most. What needs controllers of cgroup v2 is in `launch`, and runs in a VM.

use clearmld::domain::handover::{End, Isolation, Stage};
use clearmld::domain::limits::{Limits, Written, usual_pids};
use clearmld::domain::stop::StopReason;
use nix::sys::resource::{Resource, getrlimit};

use super::stand::{Script, Stand, with_argument};

fn limits(memory: Option<&str>, time: Option<&str>) -> Limits {
    Limits::parse(&Written { memory, time_limit: time, ..Written::default() }).expect("limits")
}

#[test]
fn a_limit_that_cannot_be_enforced_starts_nothing() {
    let stand = Stand::new();
    for isolation in [Isolation::Namespaces, Isolation::Subreaper] {
        let mut run =
            stand.run(&format!("{isolation:?}").to_lowercase(), &Script { program: "echo ran", ..Script::default() });
        run.spec.isolation = isolation;
        run.spec.limits = limits(Some("1G"), None);
        let (record, output) = run.carry_out();
        assert!(
            matches!(&record.end, End::LaunchFailed { reason } if reason.contains("memory 1 GiB") && reason.contains("no cgroup")),
            "{:?}",
            record.end
        );
        assert_eq!(output, "");
    }
}

#[test]
fn the_shim_alone_ends_a_run_whose_time_is_up() {
    let stand = Stand::new();
    let mut run = stand.program("trap 'echo told; exit 5' TERM; echo up; while :; do sleep 0.05; done");
    run.spec.limits = limits(None, Some("6s"));
    let began = std::time::Instant::now();
    let (record, output) = run.carry_out();
    assert_eq!(record.stop.map(|stop| stop.reason), Some(StopReason::TimeLimit), "{output}");
    assert_eq!((record.end, record.killed), (End::Exited { code: 5 }, false));
    assert!(output.ends_with("told\n") && began.elapsed().as_secs() >= 6, "{output}");
}

#[test]
fn the_time_counts_from_the_first_stage_on_and_who_ignores_sigterm_is_killed() {
    let stand = Stand::new();
    let script = Script { source: "trap '' TERM; sleep 98791; sleep 98791", program: "echo ran", ..Script::default() };
    let mut run = stand.run("r1", &script);
    (run.spec.limits, run.spec.stop_grace_ms) = (limits(None, Some("1s")), 200);
    let (record, output) = run.carry_out();
    assert_eq!((record.stage, record.killed, output.as_str()), (Stage::Source, true, ""));
    assert_eq!(record.stop.map(|stop| stop.reason), Some(StopReason::TimeLimit));
    assert!(with_argument("98791").is_empty());
}

#[test]
fn a_run_that_is_quicker_than_its_time_is_left_alone() {
    let stand = Stand::new();
    let mut run = stand.program("exit 3");
    run.spec.limits = limits(None, Some("1h"));
    let (record, _) = run.carry_out();
    assert_eq!((record.end, record.stop), (End::Exited { code: 3 }, None));
}

#[test]
fn there_are_no_core_files_many_descriptors_and_a_bound_for_processes() {
    let stand = Stand::new();
    let (record, output) = stand.program("ulimit -Sc; ulimit -Hc; ulimit -Sn; ulimit -p; ulimit -Hl").carry_out();
    assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(&lines[..2], ["0", "0"], "{output}");
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("asked");
    // Without CAP_SYS_RESOURCE (in a container) the host's hard limit cannot be passed.
    assert!(number(lines[2]) == 65_536 || number(lines[2]) == hard.min(65_536), "{output}");
    assert!(number(lines[3]) <= u64::from(usual_pids(u64::MAX)), "{output}");
    let (_, locked) = getrlimit(Resource::RLIMIT_MEMLOCK).expect("asked");
    assert!(lines[4] == "unlimited" || number(lines[4]) * 1024 == locked, "{output}");
}
