//! `clearmlctl doctor` through the daemon, on hosts that are well and on hosts that are not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::full_disk::{Disk, world_on};
use super::world::{World, is_root};

/// What was found, and the exit code.
fn doctor(world: &World) -> (Vec<Value>, i32) {
    let output = world.ctl(&["doctor", "--output", "json"]);
    let findings: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}\n{}", String::from_utf8_lossy(&output.stderr), world.daemon_log()));
    (findings.as_array().expect("a list").clone(), output.status.code().expect("an exit code"))
}

fn one<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("no {check} in {findings:#?}"))
}

fn failed(findings: &[Value]) -> Vec<&str> {
    let failed = findings.iter().filter(|finding| finding["verdict"] == "failed");
    failed.map(|finding| finding["check"].as_str().expect("a word")).collect()
}

/// Everything that is not well says what to do.
fn each_fault_has_a_fix(findings: &[Value]) {
    for finding in findings.iter().filter(|finding| finding["verdict"] == "failed" || finding["verdict"] == "warning") {
        assert!(finding["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{finding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_well_has_no_failure_and_keeps_nothing_of_the_check() {
    let world = World::new().await;
    let (findings, code) = doctor(&world);
    assert_eq!((failed(&findings), code), (vec![], 0), "{findings:#?}\n{}", world.daemon_log());
    each_fault_has_a_fix(&findings);
    for check in ["daemon", "server", "clock", "sandbox_dns", "sandbox_server", "kernel", "tools"] {
        assert_eq!(one(&findings, check)["verdict"], "ok", "{findings:#?}");
    }
    for check in ["sandbox", "gpu", "cgroup", "systemd", "containers", "disk", "permissions"] {
        one(&findings, check);
    }
    let seen = one(&findings, "sandbox")["detail"].as_str().expect("a text");
    assert!(seen.contains("NoNewPrivs: 1"), "{seen}");
    assert!(!is_root() || !seen.contains("uid 0 "), "{seen}");
    let left: Vec<_> = fs::read_dir(world.state.join("runs")).expect("runs").flatten().map(|e| e.file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(world.json(&["run", "list"]), serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_found_from_outside_and_from_inside_the_sandbox() {
    let mut world = World::new().await;
    world.stop_server().await;
    let (findings, code) = doctor(&world);
    assert_eq!((failed(&findings), code), (vec!["server", "sandbox_server"], 1), "{findings:#?}");
    each_fault_has_a_fix(&findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_found_by_asking_now() {
    let mut world = World::without_daemon().await;
    world.bring_uv();
    world.variables.push(("CLEARML_API_SECRET_KEY", "a-wrong-secret-of-sufficient-length".to_owned()));
    world.start_daemon();
    let (findings, code) = doctor(&world);
    assert_eq!((failed(&findings), code), (vec!["server"], 1), "{findings:#?}");
    let server = one(&findings, "server");
    assert!(server["detail"].as_str().expect("a text").contains("refuses the credentials"), "{server}");
    assert!(!findings.iter().any(|finding| finding.to_string().contains("a-wrong-secret")), "{findings:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_others_can_read_is_found() {
    let world = World::new().await;
    fs::set_permissions(&world.state, fs::Permissions::from_mode(0o755)).expect("opened");
    let (findings, code) = doctor(&world);
    assert_eq!((failed(&findings), code), (vec!["permissions"], 1), "{findings:#?}");
    let fix = one(&findings, "permissions")["fix"].as_str().expect("a fix").to_owned();
    assert!(fix.contains("chmod 0700"), "{fix}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_found_and_the_checks_beside_it_still_answer() {
    let disk = Disk::mount();
    let world = world_on(&disk).await;
    disk.fill();
    let (findings, code) = doctor(&world);
    assert!(failed(&findings).contains(&"disk"), "{findings:#?}");
    assert_eq!((one(&findings, "server")["verdict"].as_str(), code), (Some("ok"), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_it_says_so_and_what_it_could_not_look_at() {
    let mut world = World::new().await;
    world.kill_daemon();
    let (findings, code) = doctor(&world);
    assert_eq!((failed(&findings), code), (vec!["daemon"], 1), "{findings:#?}");
    assert!(one(&findings, "rest")["detail"].as_str().expect("a text").contains("by the daemon itself"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_user_is_told_what_separates_his_tasks() {
    let world = World::of_an_ordinary_user().await;
    let (findings, code) = doctor(&world);
    assert_eq!((failed(&findings), code), (vec![], 0), "{findings:#?}");
    let sandbox = one(&findings, "sandbox");
    assert!(sandbox["detail"].as_str().expect("a text").contains("without namespaces"), "{sandbox}");
}
