//! What goes on: output of runs, and events.

use super::*;

#[tokio::test]
async fn a_pipe_gets_the_output_of_a_run_byte_for_byte() {
    let daemon = Daemon::open(outside);
    let said = ctl(&daemon, &["run", "logs", FAILED_RUN, "--tail", "1"]).await;
    assert_eq!(said.out, "\u{1b}]0;owned\u{7}\u{1b}[31mKeyError\u{1b}[0m: 'x'\n");
    let said = ctl(&daemon, &["run", "logs", GONE_RUN]).await;
    assert_eq!(said.out, GONE_OUTPUT);
    assert!(said.err.contains("the server's copy"), "{}", said.err);
}

#[tokio::test]
async fn a_terminal_gets_the_colours_and_nothing_else_to_obey() {
    let daemon = Daemon::open(outside);
    // `script` of util-linux gives it a terminal.
    let line = format!("{} run logs {FAILED_RUN} --tail 1", env!("CARGO_BIN_EXE_clearmlctl"));
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).env("CLEARMLD_SOCKET", &daemon.socket).stdin(Stdio::null());
    let output = match tokio::time::timeout(PATIENCE, terminal.output()).await.expect("it ends") {
        Ok(output) => output,
        Err(error) => panic!("cannot run `script`: {error}; install it with `apt-get install bsdutils`"),
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\u{1b}[31mKeyError\u{1b}[0m: 'x'\r\n");
}

#[tokio::test]
async fn following_a_run_ends_with_it() {
    let daemon = Daemon::open(outside);
    let mut following =
        command(&daemon.socket, &["run", "logs", "-f", LIVE_RUN]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(following.stdout.take().expect("a pipe")).lines();
    daemon.print("one\n");
    assert_eq!(lines.next_line().await.expect("text").as_deref(), Some("one"));
    daemon.print("two\n");
    daemon.end_live_run();
    assert_eq!(lines.next_line().await.expect("text").as_deref(), Some("two"));
    let status = tokio::time::timeout(PATIENCE, following.wait()).await.expect("it ends").expect("it is waited for");
    assert!(status.success());
}

#[tokio::test]
async fn following_a_run_goes_on_after_the_daemon_was_restarted_with_no_line_lost_or_doubled() {
    let (old, new) = (Daemon::open(outside), Daemon::open(outside));
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("link.sock");
    std::os::unix::fs::symlink(&old.socket, &socket).expect("a link");
    let mut following =
        command(&socket, &["run", "logs", "-f", LIVE_RUN]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(following.stdout.take().expect("a pipe")).lines();
    old.print("one\n");
    assert_eq!(lines.next_line().await.expect("text").as_deref(), Some("one"));
    old.close().await.1.expect("a clean end");
    new.print("one\ntwo\n");
    let moved = directory.path().join("new.sock");
    std::os::unix::fs::symlink(&new.socket, &moved).and_then(|()| fs::rename(&moved, &socket)).expect("a link");
    assert_eq!(lines.next_line().await.expect("text").as_deref(), Some("two"));
    new.end_live_run();
    let status = tokio::time::timeout(PATIENCE, following.wait()).await.expect("it ends").expect("it is waited for");
    assert!(status.success());
}

#[tokio::test]
async fn events_are_one_document_a_line() {
    let daemon = Daemon::open(outside);
    let mut following =
        command(&daemon.socket, &["events", "-f", "-o", "json"]).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(following.stdout.take().expect("a pipe")).lines();
    // It listens once somebody receives.
    while daemon.events.send(event(5)).is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let line = lines.next_line().await.expect("text").expect("a line");
    let json: Value = serde_json::from_str(&line).expect("a document");
    assert_eq!((&json["sequence"], &json["kind"]), (&Value::from(5), &Value::from("run_started")));
    assert_eq!(json["worker"], BUSY);
}
