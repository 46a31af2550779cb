//! Where there are no namespaces. Root stands for the ordinary user's daemon here: the same code, but for the change of
//! user.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

use clearmld::domain::handover::{End, Isolation};

use super::stand::{Run, Script, Stand, UID, until, with_argument};

fn run(stand: &Stand, script: &Script<'_>) -> Run {
    let mut run = stand.run("r1", script);
    // The payload has to pass through to its directories.
    for directory in ["", "runs", "environments"] {
        fs::set_permissions(stand.state.path().join(directory), fs::Permissions::from_mode(0o711)).expect("set");
    }
    run.spec.isolation = Isolation::Subreaper;
    run
}

#[test]
fn the_stages_follow_each_other_and_what_is_missing_is_named() {
    let stand = Stand::new();
    let environment = stand.state.path().join("environments/0123456789abcdef/venv");
    let (build, program) = (
        format!("echo x >{}/x", environment.display()),
        format!("cat {0}/x; echo y >{0}/y; exit 3", environment.display()),
    );
    let script = Script { plan: Some("0123456789abcdef"), build: &build, program: &program, ..Script::default() };
    let mut shim = run(&stand, &script).start();
    let record = shim.record();
    let output = shim.output();
    assert_eq!(record.end, End::Exited { code: 3 }, "{output}");
    assert!(output.starts_with("x\n") && output.contains("ermission denied"), "{output}");
    assert!(shim.started().missing.iter().any(|what| what.contains("no namespaces")));
}

#[test]
fn whoever_forks_twice_and_ignores_sigterm_is_gone_at_the_end() {
    let stand = Stand::new();
    let program = "( setsid sh -c 'trap \"\" TERM; sleep 98771 & setsid sleep 98771 & wait' & )\n\
                   while ! pgrep -f 'sleep 98771' >/dev/null; do sleep 0.01; done; exit 3";
    let mut shim = run(&stand, &Script { program, ..Script::default() }).start();
    assert_eq!(shim.record().end, End::Exited { code: 3 }, "{}", shim.output());
    assert!(with_argument("98771").is_empty());
}

#[test]
fn a_process_that_forks_as_fast_as_it_can_is_ended_too() {
    let stand = Stand::new();
    let program = "setsid sh -c 'trap \"\" TERM; while :; do sh -c \"trap : TERM; sleep 98772\" & sleep 0.001; done' &\n\
                   sleep 0.3; echo up; trap '' TERM; sleep 98772";
    let mut shim = run(&stand, &Script { program, ..Script::default() }).start();
    shim.until_printed("up");
    shim.stop(300);
    let record = shim.record();
    assert!(record.killed);
    assert!(with_argument("98772").is_empty());
}

#[test]
fn a_stop_reaches_every_process() {
    let stand = Stand::new();
    let program = "setsid sh -c 'trap \"echo child heard; exit\" TERM; echo up; while :; do sleep 0.05; done' &\n\
                   trap 'wait; exit 0' TERM; while :; do sleep 0.05; done";
    let mut shim = run(&stand, &Script { program, ..Script::default() }).start();
    shim.until_printed("up");
    shim.stop(10_000);
    assert!(!shim.record().killed);
    assert!(shim.output().contains("child heard"));
}

#[test]
fn the_first_process_does_not_outlive_a_killed_shim() {
    let stand = Stand::new();
    let mut shim = run(&stand, &Script { program: "echo up; exec sleep 98773", ..Script::default() }).start();
    shim.until_printed("up");
    shim.process.kill().expect("killed");
    shim.process.wait().expect("waited");
    until("its end", || with_argument("98773").is_empty());
}

#[test]
fn an_ordinary_users_shim_runs_all_stages_as_that_user() {
    let stand = Stand::new();
    let build = "echo building as $(id -u)";
    let program = "grep -E '^(CapEff|NoNewPrivs)' /proc/self/status | tr '\\t' ' '; id -u; exit 3";
    let script = Script { plan: Some("0123456789abcdef"), build, program, ..Script::default() };
    let mut run = run(&stand, &script);
    run.user = UID;
    run.write_orders();
    for path in ["runs/r1", "runs/r1/spec.json", "runs/r1/secrets.json", "environments"] {
        chown(stand.state.path().join(path), Some(UID), Some(UID)).expect("given");
    }
    // The shim program lies where only root may go.
    let mut shim = run.start_copy(&stand);
    let record = shim.record();
    assert_eq!(record.end, End::Exited { code: 3 }, "{}", shim.output());
    assert_eq!(shim.output(), format!("building as {UID}\nCapEff: 0000000000000000\nNoNewPrivs: 1\n{UID}\n"));
}

#[test]
fn an_ordinary_users_shim_refuses_another_user() {
    let stand = Stand::new();
    let mut run = run(&stand, &Script { program: "echo ran", ..Script::default() });
    run.user = UID + 1;
    run.write_orders();
    for path in ["runs/r1", "runs/r1/spec.json", "runs/r1/secrets.json"] {
        chown(stand.state.path().join(path), Some(UID + 1), Some(UID + 1)).expect("given");
    }
    let mut shim = run.start_copy(&stand);
    assert!(matches!(shim.record().end, End::LaunchFailed { .. }));
    assert_eq!(shim.output(), "");
}
