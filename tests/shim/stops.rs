use std::time::Instant;

use clearmld::domain::handover::{End, Stage};
use clearmld::domain::stop::StopReason;

use super::stand::{Script, Stand, with_argument};

#[test]
fn a_program_that_heeds_sigterm_ends_in_its_own_way() {
    let stand = Stand::new();
    let mut shim = stand.program("trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done").start();
    shim.until_printed("up");
    shim.stop(10_000);
    let record = shim.record();
    assert_eq!((record.end, record.killed), (End::Exited { code: 5 }, false));
    assert_eq!(record.stop.map(|stop| stop.reason), Some(StopReason::UserAbort));
    assert!(shim.output().ends_with("bye\n"));
}

#[test]
fn sigterm_reaches_every_process_however_it_detached() {
    let stand = Stand::new();
    let program = "setsid sh -c 'trap \"echo child heard; exit\" TERM; echo up; while :; do sleep 0.05; done' &\n\
                   trap 'wait; exit 0' TERM; while :; do sleep 0.05; done";
    let mut shim = stand.program(program).start();
    shim.until_printed("up");
    shim.stop(10_000);
    assert!(!shim.record().killed);
    assert!(shim.output().contains("child heard"));
}

#[test]
fn a_program_that_ignores_sigterm_is_killed_after_the_grace() {
    let stand = Stand::new();
    let mut shim = stand.program("trap '' TERM; echo up; while :; do sleep 0.05; done").start();
    shim.until_printed("up");
    let asked = Instant::now();
    shim.stop(600);
    let record = shim.record();
    let took = asked.elapsed().as_millis();
    assert_eq!((record.end, record.killed), (End::Signaled { signal: 9 }, true));
    assert!((600..3000).contains(&took), "{took} ms");
}

#[test]
fn a_stop_that_was_asked_for_before_the_start_lets_nothing_run() {
    let stand = Stand::new();
    let run = stand.program("echo ran");
    run.write_orders();
    let request = clearmld::domain::handover::StopRequest { version: 1, reason: StopReason::Operator, grace_ms: 5 };
    clearmld::sys::durable::write_json(&run.directory.join("stop.json"), &request).expect("written");
    let mut shim = run.start_again();
    let record = shim.record();
    assert_eq!(record.stop.map(|stop| stop.reason), Some(StopReason::Operator));
    assert_eq!(shim.output(), "");
}

#[test]
fn a_stop_during_an_early_stage_ends_the_run_there() {
    let stand = Stand::new();
    let script = Script { source: "echo up; sleep 98764", program: "echo ran", ..Script::default() };
    let mut shim = stand.run("r1", &script).start();
    shim.until_printed("up");
    shim.stop(5_000);
    let record = shim.record();
    assert_eq!((record.stage, record.end, record.killed), (Stage::Source, End::Signaled { signal: 15 }, false));
    assert!(!shim.output().contains("ran"));
    assert!(with_argument("98764").is_empty());
}

#[test]
fn sigterm_to_the_shim_means_that_the_host_goes_down() {
    let stand = Stand::new();
    let mut run = stand.program("trap '' TERM; echo up; while :; do sleep 0.05; done");
    run.spec.stop_grace_ms = 100;
    let mut shim = run.start();
    shim.until_printed("up");
    shim.signal(rustix::process::Signal::TERM);
    let record = shim.record();
    assert_eq!((record.stop.map(|stop| stop.reason), record.killed), (Some(StopReason::HostShutdown), true));
}
