use std::fs;
use std::os::unix::fs::MetadataExt;

use clearmld::domain::handover::{End, Stage};

use super::stand::{Script, Stand, UID};

const KEY: &str = "0123456789abcdef";
const BUILD: &str = "echo building; mkdir -p /clearml/venv/bin /clearml/venv/lib/a; sleep 0.5\n\
                     echo 'echo tool' >/clearml/venv/bin/tool; chmod 4777 /clearml/venv/bin/tool; ln -s /etc /clearml/venv/etc";

#[test]
fn two_runs_that_want_the_same_environment_build_it_once() {
    let stand = Stand::new();
    let script = Script { plan: Some(KEY), build: BUILD, program: "sh /clearml/venv/bin/tool", ..Script::default() };
    let runs = ["a", "b", "c"].map(|name| stand.run(name, &script));
    let mut shims: Vec<_> = runs.iter().map(|run| run.start()).collect();
    let records: Vec<_> = shims.iter_mut().map(|shim| shim.record()).collect();
    let output: String = shims.iter().map(|shim| shim.output()).collect();
    assert!(records.iter().all(|record| record.end == End::Exited { code: 0 }), "{output}");
    assert_eq!((output.matches("building\n").count(), output.matches("tool\n").count()), (1, 3), "{output}");
    let reports: Vec<_> = shims.iter().filter_map(|shim| shim.progress()?.environment).collect();
    assert_eq!(reports.iter().filter(|report| !report.cached).count(), 1);
    assert!(reports.iter().all(|report| report.frozen == ["x==1"] && report.key == KEY));
}

#[test]
fn a_finished_environment_is_sealed_and_the_program_changes_only_its_own_layer() {
    let stand = Stand::new();
    let program = "cd /clearml/venv; echo x >new && echo x >lib/a/new && echo added; rm bin/tool && echo removed\n\
                   echo changed >bin/tool; cat bin/tool";
    let script = Script { plan: Some(KEY), build: BUILD, program, ..Script::default() };
    let mut shim = stand.run("r1", &script).start();
    let record = shim.record();
    let output = shim.output();
    assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
    let tool = stand.state.path().join("environments").join(KEY).join("venv/bin/tool");
    let metadata = fs::metadata(&tool).expect("there");
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (0, 0o555));
    assert_eq!(fs::read_to_string(&tool).expect("read"), "echo tool\n");
    // Without overlayfs it would be read-only and said so; where these tests run, it must be writable.
    assert!(output.contains("added\nremoved\nchanged\n"), "{output}\n{:?}", shim.started().missing);
}

#[test]
fn a_build_that_fails_leaves_nothing_and_the_next_run_builds() {
    let stand = Stand::new();
    let failing = "mkdir /clearml/venv/half; chmod 0 /clearml/venv/half; exit 9";
    let script = Script { plan: Some(KEY), build: failing, program: "true", ..Script::default() };
    let (record, _) = stand.run("r1", &script).carry_out();
    assert_eq!((record.stage, record.end), (Stage::Environment, End::Exited { code: 9 }));
    assert!(!stand.state.path().join("environments").join(KEY).exists());
    let script = Script { plan: Some(KEY), build: BUILD, program: "true", ..Script::default() };
    let (record, output) = stand.run("r2", &script).carry_out();
    assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
}

#[test]
fn a_build_too_deep_to_be_sealed_fails_and_does_not_block_the_next_one() {
    let stand = Stand::new();
    let deep = "cd /clearml/venv; i=0; while [ $i -lt 1500 ]; do mkdir d; cd ./d; i=$((i+1)); done";
    let script = Script { plan: Some(KEY), build: deep, program: "true", ..Script::default() };
    let (record, output) = stand.run("r1", &script).carry_out();
    assert_eq!((record.stage, record.end != End::Exited { code: 0 }), (Stage::Environment, true), "{output}");
    assert!(!stand.state.path().join("environments").join(KEY).exists());
    let script = Script { plan: Some(KEY), build: BUILD, program: "true", ..Script::default() };
    let (record, output) = stand.run("r2", &script).carry_out();
    assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
}

#[test]
fn waiting_for_anothers_build_can_be_stopped() {
    let stand = Stand::new();
    let script = Script { plan: Some(KEY), build: "echo building; sleep 98765", program: "true", ..Script::default() };
    let mut builder = stand.run("a", &script).start();
    builder.until_printed("building");
    let mut waiter = stand.run("b", &script).start();
    waiter.until_printed("waiting for it");
    waiter.stop(10_000);
    let record = waiter.record();
    assert_eq!((record.stage, record.stop.is_some()), (Stage::Environment, true));
    builder.stop(0);
    builder.record();
}

#[test]
fn a_key_that_is_a_path_is_refused() {
    let stand = Stand::new();
    let victim = stand.state.path().join("victim");
    fs::create_dir(&victim).expect("made");
    let script = Script { plan: Some("../victim"), build: BUILD, program: "true", ..Script::default() };
    let (record, _) = stand.run("r1", &script).carry_out();
    assert!(matches!(record.end, End::StageFailed { .. }), "{:?}", record.end);
    assert_eq!(fs::metadata(&victim).expect("there").uid(), 0);
    assert_ne!(UID, 0);
}
