use clearmld::domain::handover::{End, Stage, file};

use super::stand::{Script, Stand, until, with_argument};

#[test]
fn exit_codes_and_signals_are_exact() {
    let stand = Stand::new();
    for (name, program, wanted) in [
        ("c0", "exit 0", End::Exited { code: 0 }),
        ("c7", "echo last words; exit 7", End::Exited { code: 7 }),
        ("c255", "exit 255", End::Exited { code: 255 }),
        ("s9", "kill -9 $$", End::Signaled { signal: 9 }),
        ("s11", "kill -11 $$", End::Signaled { signal: 11 }),
        ("s15", "kill -15 $$", End::Signaled { signal: 15 }),
    ] {
        let (record, output) = stand.run(name, &Script { program, ..Script::default() }).carry_out();
        assert_eq!(record.end, wanted, "{name}: {output}");
        assert_eq!((record.stage, record.killed, record.dropped), (Stage::Program, false, 0), "{name}");
    }
}

#[test]
fn whoever_forks_twice_leaves_the_session_and_ignores_sigterm_is_gone_at_the_end() {
    let stand = Stand::new();
    let program = "trap '' TERM HUP\n( setsid sh -c 'trap \"\" TERM; sleep 98761 & setsid sleep 98761 & wait' & ) \n\
                   while ! pgrep -f 'sleep 98761' >/dev/null; do sleep 0.01; done; echo up; exit 3";
    let (record, output) = stand.program(program).carry_out();
    assert_eq!(record.end, End::Exited { code: 3 }, "{output}");
    assert!(output.contains("up"));
    assert!(with_argument("98761").is_empty());
}

#[test]
fn killing_the_shim_kills_everything_of_the_run() {
    let stand = Stand::new();
    let run = stand.program("trap '' TERM; setsid sleep 98762 & echo up; sleep 98762; sleep 98762");
    let mut shim = run.start();
    shim.until_printed("up");
    until("two sleepers", || with_argument("98762").len() == 2);
    shim.process.kill().expect("killed");
    shim.process.wait().expect("waited");
    until("the sleepers' end", || with_argument("98762").is_empty());
    assert!(!run.directory.join(file::EXIT).exists());
}

#[test]
fn a_run_is_never_started_twice() {
    let stand = Stand::new();
    let run = stand.program("echo once; sleep 0.3");
    let mut first = run.start();
    first.until_printed("once");
    let mut second = run.start_again();
    assert!(second.process.wait().expect("waited").success());
    let record = first.record();
    run.write_orders();
    assert!(run.start_again().process.wait().expect("waited").success());
    assert_eq!((record.end, first.output().as_str()), (End::Exited { code: 0 }, "once\n"));
}

#[test]
fn secrets_are_gone_from_the_disk_before_anything_of_the_payload_runs() {
    let stand = Stand::new();
    let run = stand.program("true");
    let mut shim = run.start();
    until("started.json", || run.directory.join(file::STARTED).exists());
    assert!(!run.directory.join(file::SECRETS).exists());
    shim.record();
}

#[test]
fn a_stage_that_fails_says_why_and_nothing_follows() {
    let stand = Stand::new();
    let source = r#"echo '{"report":"failed","reason":"no such commit","disk_full":false}' >&4; exit 1"#;
    let (record, output) = stand.run("r1", &Script { source, program: "echo ran", ..Script::default() }).carry_out();
    assert_eq!(record.end, End::StageFailed { reason: "no such commit".into() });
    assert_eq!((record.stage, output.as_str()), (Stage::Source, ""));
}

#[test]
fn root_is_refused_as_the_payloads_user() {
    let stand = Stand::new();
    let mut run = stand.program("echo ran");
    run.spec.identity.uid = 0;
    let (record, output) = run.carry_out();
    assert!(matches!(&record.end, End::LaunchFailed { reason } if reason.contains("root")), "{:?}", record.end);
    assert_eq!(output, "");
}

#[test]
fn progress_names_the_programs_own_pid_on_the_host() {
    let stand = Stand::new();
    let run = stand.program("echo up; exec sleep 98763");
    let mut shim = run.start();
    shim.until_printed("up");
    until("the pid", || {
        let pid = shim.progress().filter(|progress| progress.stage == Stage::Program).and_then(|p| p.pid);
        pid.is_some() && with_argument("98763") == pid.into_iter().collect::<Vec<_>>()
    });
    shim.stop(0);
    assert!(shim.record().killed);
}
