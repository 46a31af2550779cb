//! `clearmlctl top` on a real pseudo-terminal, over a real daemon.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use rustix::process::{Pid, Signal, kill_process};

use super::world::World;

/// A terminal with `top` on it.
struct Terminal {
    top: Child,
    keys: File,
    /// Ours too, so that its settings can be looked at.
    line: OwnedFd,
    /// As it was before.
    before: Termios,
    screen: Arc<Mutex<Screen>>,
}

/// What came, and what a terminal shows of it.
struct Screen {
    bytes: Vec<u8>,
    shown: vt100::Parser,
}

impl Terminal {
    fn open(world: &World) -> Self {
        let size = Winsize { ws_row: 30, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).expect("a pseudo-terminal");
        let before = tcgetattr(&pty.slave).expect("a terminal");
        let end = || Stdio::from(pty.slave.try_clone().expect("cloned"));
        let top = Command::new(env!("CARGO_BIN_EXE_clearmlctl"))
            .arg("top")
            .env("CLEARMLD_SOCKET", world.socket())
            .env("TERM", "xterm-256color")
            .env("NO_COLOR", "1")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            // As a shell with job control has it: what nobody could wake is not stopped.
            .process_group(0)
            .spawn()
            .expect("clearmlctl starts");
        let mut output = File::from(pty.master.try_clone().expect("cloned"));
        let screen = Screen { bytes: Vec::new(), shown: vt100::Parser::new(size.ws_row, size.ws_col, 0) };
        let screen = Arc::new(Mutex::new(screen));
        let seen = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut piece) {
                let mut screen = seen.lock().expect("unpoisoned");
                screen.bytes.extend_from_slice(&piece[..length]);
                screen.shown.process(&piece[..length]);
            }
        });
        Self { top, keys: File::from(pty.master), line: pty.slave, before, screen }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("pressed");
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().expect("unpoisoned").bytes).into_owned()
    }

    fn shown(&self) -> String {
        self.screen.lock().expect("unpoisoned").shown.screen().contents()
    }

    fn until(&self, what: &str) {
        self.while_not(what, |shown| shown.contains(what));
    }

    fn while_not(&self, what: &str, seen: impl Fn(&str) -> bool) {
        let began = Instant::now();
        while !seen(&self.shown()) {
            assert!(began.elapsed() < Duration::from_secs(30), "not `{what}`:\n{}", self.shown());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.line).expect("a terminal").local_flags.contains(LocalFlags::ICANON)
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.top), signal).expect("signalled");
    }

    /// Waits until the kernel says that it is stopped, or goes on.
    fn until_stopped(&self, stopped: bool) {
        let stat = format!("/proc/{}/stat", self.top.id());
        let is = || std::fs::read_to_string(&stat).expect("it lives").contains(") T ");
        self.while_not(if stopped { "stopped" } else { "woken" }, |_| is() == stopped);
    }

    /// Waits until it has taken the terminal so many times.
    fn until_taken(&self, times: usize) {
        self.while_not("taken", |_| self.said().matches("\u{1b}[?1049h").count() >= times && self.is_raw());
    }

    /// Waits for its end, after which the terminal must be as it was.
    fn end(mut self) -> ExitStatus {
        let began = Instant::now();
        let status = loop {
            match self.top.try_wait().expect("asked") {
                Some(status) => break status,
                None => assert!(began.elapsed() < Duration::from_secs(10), "top does not end: {:?}", self.said()),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(!self.is_raw(), "the terminal is left raw");
        let began = Instant::now();
        while !self.said().contains("\u{1b}[?1049l") {
            assert!(began.elapsed() < Duration::from_secs(5), "the shell's screen is not back: {:?}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
        status
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.top.kill();
        let _ = self.top.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_shows_the_workers_and_q_gives_the_terminal_back() {
    let world = World::new().await;
    let mut terminal = Terminal::open(&world);
    terminal.until("testhost:cpu:0");
    terminal.until("idle");
    assert!(terminal.is_raw() && terminal.said().contains("\u{1b}[?1049h"));
    assert!(!terminal.said().contains("\u{1b}[32m"), "NO_COLOR is obeyed: {:?}", terminal.said());
    terminal.press("q");
    assert!(terminal.end().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_carried_out_and_stopping_asks_first() {
    let world = World::new().await;
    let mut terminal = Terminal::open(&world);
    terminal.until("testhost:cpu:0");
    terminal.press("sn");
    terminal.until("nothing was changed");
    assert_eq!(world.json(&["worker", "list"])[0]["activity"], "idle");
    terminal.press("sy");
    world.until("a stopped worker", |world| world.json(&["worker", "list"])[0]["activity"] == "stopped").await;
    terminal.press("d");
    world.until("draining", |world| world.json(&["status"])["draining"] == true).await;
    terminal.press("\u{3}");
    assert!(terminal.end().success(), "Ctrl-C ends it, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_goes_and_comes_back_is_found_again() {
    let mut world = World::new().await;
    let mut terminal = Terminal::open(&world);
    terminal.until("testhost:cpu:0");
    world.kill_daemon();
    terminal.until("clearmld does not answer");
    world.start_daemon();
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default", "--name", "came-back"]);
    terminal.until("came-back");
    terminal.while_not("an answer", |shown| !shown.contains("does not answer"));
    terminal.press("q");
    assert!(terminal.end().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_and_left_again() {
    let world = World::new().await;
    let task = world.submit("import time\nprint('hello from the program', flush=True)\ntime.sleep(60)\n", "").await;
    world.log_shows(&task, "hello from the program").await;
    let mut terminal = Terminal::open(&world);
    terminal.until("busy");
    terminal.press("\r");
    terminal.until("hello from the program");
    terminal.press("\u{1b}");
    terminal.until("Enter log");
    terminal.press("q");
    assert!(terminal.end().success());
    world.ok(&["run", "stop", "--grace", "0", task.as_str()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_that_ends_it_leaves_the_terminal_as_it_was() {
    let world = World::new().await;
    let terminal = Terminal::open(&world);
    terminal.until("testhost:cpu:0");
    terminal.signal(Signal::TERM);
    assert!(terminal.end().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_z_gives_the_shell_its_terminal_and_whoever_wakes_it_gets_the_view_again() {
    let world = World::new().await;
    let mut terminal = Terminal::open(&world);
    terminal.until("testhost:cpu:0");
    for times in 1..=2 {
        terminal.press("\u{1a}");
        terminal.until_stopped(true);
        assert!(!terminal.is_raw(), "the shell has a raw terminal");
        terminal.while_not("the shell's screen", |shown| !shown.contains("testhost:cpu:0"));
        terminal.signal(Signal::CONT);
        terminal.until_taken(times + 1);
        terminal.until("testhost:cpu:0");
    }
    terminal.press("q");
    assert!(terminal.end().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_by_somebody_else_it_takes_the_terminal_again_when_it_is_woken() {
    let world = World::new().await;
    let mut terminal = Terminal::open(&world);
    terminal.until("testhost:cpu:0");
    terminal.signal(Signal::STOP);
    terminal.until_stopped(true);
    // A shell takes what it needs.
    tcsetattr(&terminal.line, SetArg::TCSANOW, &terminal.before).expect("set");
    terminal.signal(Signal::CONT);
    terminal.until_taken(2);
    terminal.until("testhost:cpu:0");
    terminal.press("q");
    assert!(terminal.end().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn away_from_a_terminal_it_names_what_to_use_instead() {
    let world = World::without_daemon().await;
    let output = world.ctl(&["top"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("top needs a terminal") && said.contains("clearmlctl status"), "{said}");
}
