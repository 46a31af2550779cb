//! One Run from its queue to its end, with daemons that die under it, and what must hold of it then.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use clearmld::domain::ids::TaskId;
use serde_json::{Value, json};

use crate::world::{World, processes_with};

pub(crate) const WORKER: &str = "testhost:gpu1";
const LINES: usize = 30;

/// A world with one task in its queue, and no daemon.
pub(crate) struct Life {
    pub(crate) world: World,
    pub(crate) task: TaskId,
    marker: String,
}

impl Life {
    pub(crate) async fn new() -> Self {
        let mut world = World::with_gpus().await;
        world.start_daemon();
        world.ok(&["worker", "add", "--gpus", "1", "--queue", "default"]);
        world.kill_daemon();
        static LIVES: AtomicU32 = AtomicU32::new(0);
        let number = LIVES.fetch_add(1, Ordering::SeqCst);
        let marker = format!("restart-marker-{}-{number}-", std::process::id());
        let task = world.submit(&program(&marker), "").await;
        Self { world, task, marker }
    }

    /// Starts a daemon that is to die at `place`, and waits until it has.
    pub(crate) async fn die_at(&mut self, place: &str) {
        self.world.spawn_daemon(&[("CLEARMLD_FAILPOINT", place.to_owned())]);
        let began = Instant::now();
        while !is_zombie(self.world.daemon_pid()) {
            let log = self.world.daemon_log();
            assert!(began.elapsed() < Duration::from_secs(60), "{place} is never passed\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let status = self.world.kill_daemon();
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(9), "{place}: {status}\n{}", self.world.daemon_log());
    }

    /// Waits until the Run that a shim was started for has its record, if there is one.
    pub(crate) async fn ends_alone(&self) {
        let began = Instant::now();
        while self.runs().iter().any(|run| run.join("started.json").exists() && !run.join("exit.json").exists()) {
            assert!(began.elapsed() < Duration::from_secs(60), "it does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The next daemon; what lives is lent what it was lent, and is the same process.
    pub(crate) async fn restart(&mut self) {
        let before = self.program_pid();
        self.world.start_daemon();
        let Some(pid) = before.filter(|pid| Path::new(&format!("/proc/{pid}")).exists()) else { return };
        let shown = self.world.json(&["worker", "show", WORKER]);
        let gpus = self.world.json(&["gpu", "list"]);
        if self.program_pid() != Some(pid) || !Path::new(&format!("/proc/{pid}")).exists() {
            // It ended meanwhile.
            return;
        }
        assert_eq!(shown["activity"], "busy", "{shown}\n{}", self.world.daemon_log());
        let units: Vec<Value> = self.records().iter().map(|record| record["units"].clone()).collect();
        assert!(units.iter().all(|units| units.to_string().contains("GPU-bb")), "{units:?}");
        if let Some(gpu) = gpus["gpus"].get(1) {
            assert_eq!(gpu["run_ids"].as_array().map(Vec::len), Some(1), "{gpus}");
        }
    }

    /// What must hold at the end, whatever happened on the way.
    pub(crate) async fn is_whole(&self, place: &str) {
        let world = &self.world;
        let reason = world.fails(&self.task).await;
        assert!(reason.contains("exit code 7"), "{place}: {reason}");
        let settled = |world: &World| world.json(&["run", "show", self.task.as_str()])["phase"] == "settled";
        world.until("that it is settled", settled).await;
        world.idle().await;
        self.output_is_whole(place).await;
        self.nothing_is_left(place).await;
    }

    /// Spool and server have the same bytes; the program's are all there, once, and so are our own closing lines.
    async fn output_is_whole(&self, place: &str) {
        let log = self.world.log(&self.task).await;
        let runs = self.runs();
        assert_eq!(runs.len(), 1, "{place}: one Run: {runs:?}\n{}", self.world.daemon_log());
        let spool = std::fs::read_to_string(runs[0].join("spool")).expect("a spool");
        let closing = log.strip_prefix(&spool).unwrap_or_else(|| panic!("{place}: {spool}\n--- at the server:\n{log}"));
        let closing: Vec<&str> = closing.lines().collect();
        assert!(
            matches!(closing[..], [used, failed] if used.starts_with("[clearmld] used ")
                && failed == "[clearmld] process failed: worker execution exit code 7; last output: line 29"),
            "{place}: {closing:#?}"
        );
        let printed: Vec<&str> = spool.lines().filter(|line| !line.starts_with("[clearmld]")).collect();
        let expected = std::iter::once("born".to_owned()).chain((0..LINES).map(|line| format!("line {line}")));
        assert_eq!(printed, expected.collect::<Vec<_>>(), "{place}");
    }

    async fn nothing_is_left(&self, place: &str) {
        let (world, run) = (&self.world, &self.runs()[0]);
        for marker in [&self.marker, &run.display().to_string()] {
            assert_eq!(processes_with(marker), Vec::<u32>::new(), "{place}: {marker}");
        }
        // Where its own root was mounted.
        assert_eq!(names(&run.join("root")), Vec::<String>::new(), "{place}");
        let left: BTreeSet<String> = names(run).into_iter().filter(|name| !KEPT.contains(&name.as_str())).collect();
        assert!(left.is_empty(), "{place}: {left:?} in the run directory");
        let litter: Vec<PathBuf> = ["", "ledger", "workers"]
            .iter()
            .flat_map(|directory| {
                let directory = world.state.join(directory);
                names(&directory).into_iter().map(move |name| directory.join(name))
            })
            .filter(|path| path.extension().is_some_and(|extension| extension == "tmp"))
            .collect();
        assert!(litter.is_empty(), "{place}: {litter:?}");
        assert_eq!(names(&world.state.join("set-aside")), Vec::<String>::new(), "{place}");
        let cgroups = cgroups_of(&world.state);
        assert!(cgroups.is_empty(), "{place}: {cgroups:?}");
        let gpus = world.json(&["gpu", "list"]);
        for gpu in gpus["gpus"].as_array().expect("a list") {
            assert_eq!(gpu["run_ids"], json!([]), "{place}: {gpus}");
        }
        let workers = world.json(&["worker", "list"]);
        let names: Vec<&Value> = workers.as_array().expect("a list").iter().map(|worker| &worker["name"]).collect();
        assert_eq!(names, [WORKER], "{place}");
        assert_eq!(workers[0]["activity"], "idle", "{place}: {workers}");
    }

    fn runs(&self) -> Vec<PathBuf> {
        let runs = self.world.state.join("runs");
        names(&runs).into_iter().map(|name| runs.join(name)).collect()
    }

    fn records(&self) -> Vec<Value> {
        let ledger = self.world.state.join("ledger");
        let read = |name: String| serde_json::from_slice(&std::fs::read(ledger.join(name)).ok()?).ok();
        names(&ledger).into_iter().filter(|name| name.ends_with(".json")).filter_map(read).collect()
    }

    /// The program's pid on the host, as its shim has written it.
    fn program_pid(&self) -> Option<u64> {
        let progress = std::fs::read(self.runs().first()?.join("progress.json")).ok()?;
        let progress: Value = serde_json::from_slice(&progress).ok()?;
        progress["pid"].as_u64().filter(|_| progress["stage"] == "program")
    }
}

/// What of a Run stays, for `run list` and `run logs`.
const KEPT: [&str; 9] = [
    "root",
    "spec.json",
    "spool",
    "started.json",
    "progress.json",
    "exit.json",
    "shim.lock",
    "shim.log",
    "delivery.json",
];

/// Leaves a process behind, prints, and fails.
fn program(marker: &str) -> String {
    format!(
        "import subprocess, sys, time\n\
         subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3000)', '{marker}'], start_new_session=True)\n\
         print('born', flush=True)\n\
         for line in range({LINES}):\n    print('line', line, flush=True)\n    time.sleep(0.05)\n\
         raise SystemExit(7)\n"
    )
}

pub(crate) fn is_zombie(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Cgroups of Runs of this state directory, wherever the daemon was allowed to make them.
fn cgroups_of(state: &Path) -> Vec<PathBuf> {
    let header = std::fs::read(state.join("state.json")).expect("a header");
    let header: Value = serde_json::from_slice(&header).expect("JSON");
    let ours = format!("clearmld-{}", header["id"].as_str().expect("an id"));
    let (mut found, mut waiting) = (Vec::new(), vec![PathBuf::from("/sys/fs/cgroup")]);
    while let Some(directory) = waiting.pop() {
        for name in names(&directory) {
            let path = directory.join(name);
            // The one for all Runs is there as long as the daemon.
            if directory.ends_with(&ours) && path.is_dir() {
                found.push(path);
            } else if path.is_dir() && !path.is_symlink() {
                waiting.push(path);
            }
        }
    }
    found
}
