//! What each exit code means.

use super::*;

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
