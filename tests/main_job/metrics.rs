//! Metrics of a real daemon, as a scraper reads them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use super::world::World;

fn asked(mut stream: impl Read + Write, accept: &str) -> String {
    let request = format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

fn value(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
}

/// A world whose clearmld.toml says so.
async fn world_with(metrics: &str) -> World {
    let mut world = World::without_daemon().await;
    world.bring_uv();
    world.configure("");
    std::fs::write(world.path().join("clearmld.toml"), format!("metrics = \"{metrics}\"\n")).expect("written");
    world.started()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_unix_socket_operators_read_how_runs_ended() {
    let mut world = world_with("unix").await;
    let socket = world.path().join("metrics.sock");
    let mode = std::fs::metadata(&socket).expect("there").permissions().mode() & 0o777;
    assert!(mode == 0o660 || mode == 0o600, "{mode:o}");
    let read = || asked(UnixStream::connect(&socket).expect("connected"), "application/openmetrics-text;version=1.0.0");
    let before = read();
    assert!(before.contains("content-type: application/openmetrics-text") && before.contains("# EOF"), "{before}");
    assert!(!before.contains("clearmld_runs_ended_total{"), "{before}");
    assert_eq!(value(&before, "clearmld_server_up"), 1.0);
    assert!(value(&before, "clearmld_state_free_bytes") > 0.0);
    let task = world.submit("raise SystemExit(3)\n", "").await;
    world.fails(&task).await;
    world.idle().await;
    let after = read();
    assert_eq!(value(&after, "clearmld_runs_ended_total{cause=\"exit_code\"}"), 1.0);
    assert_eq!(value(&after, "clearmld_run_duration_seconds_count"), 1.0);
    assert_eq!(value(&after, "clearmld_workers{state=\"idle\"}"), 1.0);
    world.stop_server().await;
    world.until("server_up 0", |_| value(&read(), "clearmld_server_up") == 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_loopback_any_scraper_gets_the_format_that_it_asks_for() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address");
    let _world = world_with(&free.to_string()).await;
    let text = asked(TcpStream::connect(free).expect("connected"), "*/*");
    assert!(text.contains("text/plain; version=0.0.4") && text.contains("# TYPE clearmld_build_info gauge"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_served_unless_it_is_asked_for() {
    let world = World::new().await;
    assert!(!world.path().join("metrics.sock").exists());
    assert!(!world.daemon_log().contains("metrics are served"));
}
