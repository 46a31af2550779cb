//! The direct launcher with a real shim. (The one for systemd needs a PID 1 that is systemd.)

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use clearmld::domain::handover::{End, ExitRecord, Isolation, file};
use clearmld::domain::ids::StateId;
use clearmld::engine::ports::{LaunchError, Launcher};
use clearmld::host::launch::{Direct, Systemd, choose, isolation};
use clearmld::sys::durable;

use super::stand::{Run, Stand, UID, executable, the_shim, until, with_argument};

/// A launcher whose shim uses the test's own stage.
pub(crate) fn launcher(stand: &Stand, run: &Run) -> Direct {
    let state = StateId::new(format!("test-{}-{:x}", std::process::id(), std::ptr::from_ref(stand).addr()));
    Direct::new(&state.expect("an id"), wrapper(stand, run), None)
}

pub(crate) fn wrapper(stand: &Stand, run: &Run) -> PathBuf {
    let shim = stand.state.path().join("shim.sh");
    executable(&shim, &format!("#!/bin/sh\nexec {} \"$@\" --stage-program {}\n", the_shim(), run.stage.display()));
    shim
}

#[tokio::test]
async fn a_run_is_launched_once_watched_to_its_end_and_swept() {
    let stand = Stand::new();
    let mut run = stand.program("echo up; cat /proc/self/cgroup | grep ^0; sleep 0.5; exit 3");
    let launcher = launcher(&stand, &run);
    run.spec.cgroup = launcher.cgroup(&run.spec.run).await;
    let cgroup = run.spec.cgroup.clone().expect("a cgroup v2 tree that root may write to");
    run.write_orders();
    let started = launcher.launch(&run.spec.run, &run.directory).await.expect("launched");
    assert_eq!(launcher.launch(&run.spec.run, &run.directory).await.expect("found"), started);
    assert!(launcher.alive(&started.shim));
    launcher.wait(&started.shim).await;
    assert!(!launcher.alive(&started.shim));
    let record: ExitRecord = durable::read_json(&run.directory.join(file::EXIT)).expect("a record");
    assert_eq!(record.end, End::Exited { code: 3 });
    let spool = fs::read_to_string(run.directory.join(file::SPOOL)).expect("read");
    assert!(spool.trim_end().ends_with("/r1/payload"), "{spool}");
    launcher.nudge(&started.shim).expect("no error, for it is gone");
    launcher.sweep(&run.spec.run).await.expect("swept");
    assert!(!cgroup.exists());
    assert!(!cgroup.parent().expect("a parent").exists(), "an empty cgroup is left on the host");
    // It has run; asking again starts nothing.
    assert_eq!(launcher.launch(&run.spec.run, &run.directory).await.expect("found"), started);
}

#[tokio::test]
async fn what_a_killed_shim_leaves_without_namespaces_is_swept_away() {
    let stand = Stand::new();
    let mut run = stand.program("trap '' TERM; setsid sleep 98781 & echo up; sleep 98781");
    run.spec.isolation = Isolation::Subreaper;
    for directory in ["", "runs"] {
        fs::set_permissions(stand.state.path().join(directory), fs::Permissions::from_mode(0o711)).expect("set");
    }
    let launcher = launcher(&stand, &run);
    run.spec.cgroup = launcher.cgroup(&run.spec.run).await;
    let cgroup = run.spec.cgroup.clone().expect("a cgroup v2 tree that root may write to");
    run.write_orders();
    let started = launcher.launch(&run.spec.run, &run.directory).await.expect("launched");
    until("both sleepers", || with_argument("98781").len() == 2);
    let pidfd = clearmld::sys::identity::open(&started.shim).expect("asked").expect("alive");
    rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL).expect("sent");
    launcher.wait(&started.shim).await;
    assert!(!with_argument("98781").is_empty(), "nothing was left to sweep");
    launcher.sweep(&run.spec.run).await.expect("swept");
    assert!(with_argument("98781").is_empty());
    assert!(!cgroup.parent().expect("a parent").exists(), "an empty cgroup is left on the host");
}

#[tokio::test]
async fn a_shim_that_cannot_start_is_told_with_its_own_words() {
    let stand = Stand::new();
    let run = stand.program("true");
    let launcher = launcher(&stand, &run);
    let error = launcher.launch(&run.spec.run, &run.directory).await.expect_err("there is no spec");
    assert!(matches!(&error, LaunchError::Failed { .. }) && error.to_string().contains("spec.json"), "{error}");
    launcher.sweep(&run.spec.run).await.expect("swept");
}

#[tokio::test]
async fn a_host_without_the_right_to_make_namespaces_is_recognised_by_trying() {
    let stand = Stand::new();
    assert_eq!(isolation(the_shim().as_ref()).await, (Isolation::Namespaces, None));
    let confined = stand.state.path().join("confined");
    executable(&confined, &format!("#!/bin/sh\nexec setpriv --bounding-set -sys_admin {} \"$@\"\n", the_shim()));
    let (isolation, reason) = isolation(&confined).await;
    assert_eq!(isolation, Isolation::Subreaper);
    assert!(reason.as_deref().is_some_and(|reason| reason.contains("not permitted")), "{reason:?}");
}

#[tokio::test]
async fn root_without_that_right_runs_tasks_all_the_same() {
    let stand = Stand::new();
    let mut run = stand.program("id -u; exit 3");
    run.spec.isolation = Isolation::Subreaper;
    for directory in ["", "runs"] {
        fs::set_permissions(stand.state.path().join(directory), fs::Permissions::from_mode(0o711)).expect("set");
    }
    run.write_orders();
    let mut confined = std::process::Command::new("setpriv");
    confined.args(["--bounding-set", "-sys_admin", the_shim()]);
    let mut shim = run.start_with(confined);
    assert_eq!(shim.record().end, End::Exited { code: 3 }, "{}", shim.output());
    assert_eq!(shim.output(), format!("{UID}\n"));
}

/// Run by `make test-systemd` in a booted container.
#[tokio::test]
#[ignore = "run by `make test-systemd`, where PID 1 is systemd"]
async fn under_systemd_a_run_is_a_unit_of_its_own_and_its_leftovers_are_swept() {
    let stand = Stand::new();
    let mut run =
        stand.program("trap '' TERM; cat /proc/self/cgroup | grep ^0; setsid sleep 98782 & sleep 98782; exit 3");
    let state = StateId::new("test").expect("an id");
    let launcher = choose(&state, wrapper(&stand, &run)).await;
    assert_eq!(launcher.describe().name, "systemd", "{:?}", launcher.describe());
    run.spec.isolation = Isolation::Subreaper;
    for directory in ["", "runs"] {
        fs::set_permissions(stand.state.path().join(directory), fs::Permissions::from_mode(0o711)).expect("set");
    }
    run.spec.cgroup = launcher.cgroup(&run.spec.run).await;
    let cgroup = run.spec.cgroup.clone().expect("a cgroup");
    run.write_orders();
    let started = launcher.launch(&run.spec.run, &run.directory).await.expect("launched");
    assert_eq!(launcher.launch(&run.spec.run, &run.directory).await.expect("found"), started);
    until("both sleepers", || with_argument("98782").len() == 2);
    let spool = fs::read_to_string(run.directory.join(file::SPOOL)).expect("read");
    assert!(spool.contains("/clearml.slice/clearml-run-r1.service/payload"), "{spool}");
    let show = std::process::Command::new("systemctl")
        .args([
            "show",
            "clearml-run-r1.service",
            "-p",
            "MainPID,Delegate,KillMode,OOMPolicy,Slice,After,TimeoutStopUSec",
        ])
        .output()
        .expect("systemctl");
    let show = String::from_utf8_lossy(&show.stdout).into_owned();
    for wanted in ["Delegate=yes", "KillMode=mixed", "OOMPolicy=continue", "Slice=clearml.slice", "TimeoutStopUSec=25s"]
    {
        assert!(show.contains(wanted), "{wanted}: {show}");
    }
    assert!(show.contains(&format!("MainPID={}\n", started.shim.pid)) && show.contains("clearmld.service"), "{show}");
    let pidfd = clearmld::sys::identity::open(&started.shim).expect("asked").expect("alive");
    rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL).expect("sent");
    launcher.wait(&started.shim).await;
    launcher.sweep(&run.spec.run).await.expect("swept");
    assert!(with_argument("98782").is_empty() && !cgroup.exists());
}

/// As above, with namespaces, and PID 1 that stops the unit.
#[tokio::test]
#[ignore = "run by `make test-systemd`, where PID 1 is systemd"]
async fn under_systemd_a_stopped_unit_ends_its_run_with_a_record() {
    let stand = Stand::new();
    let mut run = stand.program("trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.05; done");
    let launcher = choose(&StateId::new("test").expect("an id"), wrapper(&stand, &run)).await;
    run.spec.run = clearmld::domain::ids::RunId::new("r2").expect("an id");
    run.spec.cgroup = launcher.cgroup(&run.spec.run).await;
    run.write_orders();
    let started = launcher.launch(&run.spec.run, &run.directory).await.expect("launched");
    until("up", || fs::read_to_string(run.directory.join(file::SPOOL)).is_ok_and(|text| text.contains("up")));
    let stop = std::process::Command::new("systemctl").args(["stop", "clearml-run-r2.service"]).status();
    assert!(stop.expect("systemctl").success());
    launcher.wait(&started.shim).await;
    let record: ExitRecord = durable::read_json(&run.directory.join(file::EXIT)).expect("a record");
    assert_eq!((record.end, record.killed), (End::Exited { code: 5 }, false));
    launcher.sweep(&run.spec.run).await.expect("nothing is left, which is no error");
}

/// As above; an older systemd lacks a property.
#[tokio::test]
#[ignore = "run by `make test-systemd`, where PID 1 is systemd"]
async fn under_systemd_one_that_cannot_confine_a_unit_starts_it_all_the_same_and_the_status_says_so() {
    let stand = Stand::new();
    let mut run = stand.program("exit 6");
    let launcher = Systemd::connect(wrapper(&stand, &run)).await.expect("systemd").also("ProtectTheImpossible");
    assert!(!launcher.describe().missing.iter().any(|text| text.contains("confine")));
    run.spec.run = clearmld::domain::ids::RunId::new("r3").expect("an id");
    run.spec.cgroup = launcher.cgroup(&run.spec.run).await;
    run.write_orders();
    let started = launcher.launch(&run.spec.run, &run.directory).await.expect("launched");
    launcher.wait(&started.shim).await;
    let record: ExitRecord = durable::read_json(&run.directory.join(file::EXIT)).expect("a record");
    assert_eq!(record.end, End::Exited { code: 6 });
    assert!(launcher.describe().missing.iter().any(|text| text.contains("confine")), "{:?}", launcher.describe());
}
