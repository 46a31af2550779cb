use super::*;
use crate::domain::handover::{self, Usage};
use crate::domain::ids::{RunId, UnixMillis};

fn record(stage: Stage, end: End) -> ExitRecord {
    ExitRecord {
        version: handover::VERSION,
        run: RunId::new("r").expect("an id"),
        at: UnixMillis(0),
        stage,
        end,
        stop: None,
        killed: false,
        last_line: Some("ValueError: no".into()),
        dropped: 0,
        disk_full: false,
        usage: Usage::default(),
    }
}

fn stop(reason: StopReason) -> StopRequest {
    StopRequest { version: handover::VERSION, reason, grace_ms: 10 }
}

#[test]
fn exit_0_of_the_program_is_the_only_success() {
    let success = Cause::of(&record(Stage::Program, End::Exited { code: 0 }), None);
    assert_eq!(success.verdict(), Verdict::Completed);
    for (stage, end) in [
        (Stage::Source, End::Exited { code: 0 }),
        (Stage::Environment, End::Exited { code: 0 }),
        (Stage::Program, End::Exited { code: 3 }),
        (Stage::Program, End::Signaled { signal: 9 }),
        (Stage::Program, End::LaunchFailed { reason: "no".into() }),
    ] {
        assert_eq!(Cause::of(&record(stage, end.clone()), None).verdict(), Verdict::Failed, "{stage:?} {end:?}");
    }
}

#[test]
fn a_program_that_ended_well_before_the_stop_reached_it_has_completed() {
    // The shim records `stop` only when it was carrying it out while the program lived.
    let cause = Cause::of(&record(Stage::Program, End::Exited { code: 0 }), Some(&stop(StopReason::UserAbort)));
    assert_eq!(cause.verdict(), Verdict::Completed);
}

#[test]
fn a_stopped_program_is_stopped_whatever_its_exit_code_was() {
    for code in [0, 1, 143] {
        let mut record = record(Stage::Program, End::Exited { code });
        record.stop = Some(stop(StopReason::UserAbort));
        assert_eq!(Cause::of(&record, None), Cause::Stopped { reason: StopReason::UserAbort });
    }
}

#[test]
fn a_task_that_went_its_own_way_is_left_alone() {
    for reason in [StopReason::TaskReset, StopReason::TaskDeleted, StopReason::TaskChanged] {
        assert_eq!(Cause::Stopped { reason }.verdict(), Verdict::LeaveAlone);
    }
}

#[test]
fn an_oom_kill_is_named_even_when_the_program_only_reports_a_code() {
    let mut record = record(Stage::Program, End::Exited { code: 1 });
    let usage = Usage { oom_kills: 1, peak_memory: 64 << 20, memory_limit: 64 << 20, ..Usage::default() };
    record.usage = Usage { limit_hits: 1, ..usage };
    assert_eq!(
        Cause::of(&record, None).reason(),
        "out of memory: the kernel killed the program at its limit of 64 MiB, it had used 64 MiB; let it need less, or \
         give the worker more (--memory)"
    );
    // Killed all the same, but not for its own limit.
    record.usage = usage;
    let reason = Cause::of(&record, None).reason();
    assert!(reason.contains("the host had none left") && reason.contains("64 MiB"), "{reason}");
}

#[test]
fn a_failure_tells_stage_code_and_the_last_line() {
    let program = Cause::of(&record(Stage::Program, End::Exited { code: 3 }), None);
    assert_eq!(program.reason(), "worker execution exit code 3; last output: ValueError: no");
    let source = Cause::of(&record(Stage::Source, End::StageFailed { reason: "no such commit `0f`".into() }), None);
    assert_eq!(source.reason(), "source stage failed: no such commit `0f`");
    let signal = Cause::of(&record(Stage::Program, End::Signaled { signal: 11 }), None);
    assert!(signal.reason().contains("SIGSEGV (11)"));
}

#[test]
fn a_failure_without_room_on_the_disk_is_the_disks_and_a_success_or_a_stop_is_not() {
    let full = |end| ExitRecord { disk_full: true, ..record(Stage::Program, end) };
    let cause = Cause::of(&full(End::Exited { code: 4 }), None);
    assert_eq!(cause.word(), "disk_full");
    assert!(cause.reason().contains("exit code 4; last output: ValueError: no"), "{}", cause.reason());
    assert_eq!(Cause::of(&full(End::Signaled { signal: 7 }), None).word(), "disk_full");
    assert_eq!(Cause::of(&full(End::Exited { code: 0 }), None).word(), "completed");
    let stopped = ExitRecord { stop: Some(stop(StopReason::Operator)), ..full(End::Exited { code: 1 }) };
    assert_eq!(Cause::of(&stopped, None).word(), "operator");
}

#[test]
fn a_run_that_all_runs_together_have_left_no_memory_is_told_so() {
    let usage = Usage { oom_kills: 1, shared_limit: 8 << 30, peak_memory: 2 << 30, ..Usage::default() };
    let killed = ExitRecord { usage, ..record(Stage::Program, End::Signaled { signal: 9 }) };
    let reason = Cause::of(&killed, None).reason();
    assert!(reason.contains("all tasks of the host together") && reason.contains("8192 MiB"), "{reason}");
    assert!(reason.contains("it had used 2048 MiB"), "{reason}");
    // Its own limit explains it better.
    let own = Usage { limit_hits: 1, memory_limit: 1 << 30, ..usage };
    let reason = Cause::of(&ExitRecord { usage: own, ..killed }, None).reason();
    assert!(reason.contains("at its limit of 1024 MiB"), "{reason}");
}
