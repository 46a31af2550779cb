//! Processes that are left behind, by each of the ways that a Run ends.

use serde_json::{Value, json};

use super::host::Host;
use super::hostile::{calls, shim_of, with_world};
use super::processes::with_argument;

const LEFTOVERS: &str = include_str!("leftovers.py");
/// The chain has 61 of them.
const MOST_OF_THEM: usize = 65;

pub(crate) struct Left {
    host: Host,
    marker: String,
    task: String,
}

impl Left {
    pub(crate) fn behind(mut host: Host, end: &str, namespaces: bool) -> Self {
        host.worker("leftovers", &["--cpu-only"]);
        let marker = format!("{}-leftover", host.nonce);
        let world = json!({ "calls": calls(), "seconds": 5, "namespaces": namespaces });
        let task = host.submit("leftovers", &with_world(&world, &[LEFTOVERS]), &[&marker, end]);
        host.log_shows(&task, "all are there");
        let count = with_argument(&marker).len();
        assert!(count > MOST_OF_THEM, "the test itself works: {count}");
        Self { host, marker, task }
    }

    /// The Run, which has left nobody.
    pub(crate) fn nobody(self) -> Value {
        let run = self.host.settled(&self.task);
        assert_eq!(with_argument(&self.marker), Vec::<u32>::new());
        run
    }
}

#[test]
fn a_program_that_ends_leaves_nobody() {
    let run = Left::behind(Host::new(), "exit", false).nobody();
    assert_eq!(run["end"]["exit_code"], 7, "{run}");
}

#[test]
fn an_aborted_program_leaves_nobody() {
    let left = Left::behind(Host::new(), "stay", false);
    left.host.ok(&["run", "stop", &left.task, "--grace", "1"]);
    left.nobody();
}

#[test]
fn a_killed_shim_leaves_nobody() {
    let left = Left::behind(Host::new(), "stay", false);
    let run = left.host.run(&left.task).expect("it runs");
    let shim =
        rustix::process::Pid::from_raw(shim_of(run["id"].as_str().expect("an id")).cast_signed()).expect("a pid");
    rustix::process::kill_process(shim, rustix::process::Signal::KILL).expect("killed");
    left.nobody();
}

#[test]
fn who_kills_everybody_kills_its_own_run_only() {
    let mut host = Host::new();
    host.worker("bystander", &["--cpu-only"]);
    host.worker("killer", &["--cpu-only"]);
    let bystander = host.submit("bystander", "import time\nprint('here', flush=True)\ntime.sleep(3000)\n", &[]);
    host.log_shows(&bystander, "here");
    let daemon = host.daemon_pid();
    let program = "import os, signal, subprocess, sys\nchild = subprocess.Popen(['sleep', '3000'])\n\
        os.kill(-1, signal.SIGKILL)\nprint('its own child ended with', child.wait())\nsys.exit(5)\n";
    let killer = host.submit("killer", program, &[]);
    let run = host.settled(&killer);
    assert_eq!(run["end"]["exit_code"], 5, "{run}");
    assert!(host.log(&killer).contains("its own child ended with -9"), "{}", host.log(&killer));
    assert_eq!((host.daemon_pid(), &host.run(&bystander).expect("a run")["phase"]), (daemon, &json!("running")));
}
