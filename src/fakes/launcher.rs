//! Programs that end when they are told. They live in the fake, not in the engine: like real shims they go on when the
//! engine is gone, and write the same files.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::domain::handover::{
    self, End, EnvironmentReport, ExitRecord, ProcessIdentity, Progress, SourceReport, Stage, Started, StopRequest,
    Usage, file,
};
use crate::domain::ids::{RunId, UnixMillis};
use crate::domain::limits::Controllers;
use crate::domain::stop::StopReason;
use crate::engine::ports::{LaunchError, Launcher, LauncherDescription};
use crate::sys::durable;

#[derive(Debug)]
struct Program {
    directory: PathBuf,
    started: Started,
    living: watch::Sender<bool>,
}

#[derive(Debug, Default)]
pub(crate) struct FakeLauncher {
    programs: Mutex<BTreeMap<RunId, Program>>,
    launches: Mutex<BTreeMap<RunId, u32>>,
    going_down: AtomicBool,
    /// Whether programs hang in a driver, so that no signal ends them.
    pub(crate) hanging: AtomicBool,
    /// What the kernel can limit; nothing, unless told.
    pub(crate) controllers: Mutex<Controllers>,
    boots: AtomicU32,
}

impl FakeLauncher {
    /// Every Run that was ever launched, and how often a new shim was made for it.
    pub(crate) fn launches(&self) -> BTreeMap<RunId, u32> {
        self.launches.lock().expect("unpoisoned").clone()
    }

    pub(crate) fn live(&self) -> Vec<RunId> {
        let programs = self.programs.lock().expect("unpoisoned");
        programs.iter().filter(|(_, program)| *program.living.borrow()).map(|(run, _)| run.clone()).collect()
    }

    pub(crate) fn print(&self, run: &RunId, text: &str) {
        let programs = self.programs.lock().expect("unpoisoned");
        let spool = programs[run].directory.join(file::SPOOL);
        let mut spool = OpenOptions::new().append(true).create(true).open(spool).expect("a spool");
        spool.write_all(text.as_bytes()).expect("written");
    }

    pub(crate) fn exit(&self, run: &RunId, end: End) {
        let programs = self.programs.lock().expect("unpoisoned");
        let program = &programs[run];
        let stop = durable::read_json::<StopRequest>(&program.directory.join(file::STOP)).ok();
        let progress = Progress {
            version: handover::VERSION,
            stage: Stage::Program,
            since: UnixMillis(0),
            pid: Some(1),
            source: Some(SourceReport { commit: None }),
            environment: Some(EnvironmentReport {
                key: "k".into(),
                cached: true,
                python_version: "3.11.2".into(),
                frozen: vec!["six==1.16.0".into()],
            }),
        };
        durable::write_json(&program.directory.join(file::PROGRESS), &progress).expect("written");
        let record = ExitRecord {
            version: handover::VERSION,
            run: run.clone(),
            at: UnixMillis(1),
            stage: Stage::Program,
            end,
            stop,
            killed: false,
            last_line: None,
            dropped: 0,
            disk_full: false,
            usage: Usage::default(),
        };
        durable::write_json(&program.directory.join(file::EXIT), &record).expect("written");
        program.living.send_replace(false);
    }

    /// Whether the host is on its way down.
    pub(crate) fn set_going_down(&self, going_down: bool) {
        self.going_down.store(going_down, Ordering::SeqCst);
    }

    /// The power is cut: every shim is gone without a record, and the host comes back.
    pub(crate) fn reboot(&self) {
        self.boots.fetch_add(1, Ordering::SeqCst);
        for program in self.programs.lock().expect("unpoisoned").values() {
            program.living.send_replace(false);
        }
    }

    /// PID 1 stops the Run's unit.
    pub(crate) fn stop_unit(&self, run: &RunId) {
        let stop = StopRequest { version: handover::VERSION, reason: StopReason::HostShutdown, grace_ms: 10 };
        let directory = self.programs.lock().expect("unpoisoned")[run].directory.clone();
        durable::write_json(&directory.join(file::STOP), &stop).expect("written");
        self.exit(run, End::Signaled { signal: 15 });
    }

    fn boot(&self) -> String {
        format!("boot-{}", self.boots.load(Ordering::SeqCst))
    }

    /// The shim is killed: no record.
    pub(crate) fn kill(&self, run: &RunId) {
        self.programs.lock().expect("unpoisoned")[run].living.send_replace(false);
    }
}

#[async_trait]
impl Launcher for FakeLauncher {
    fn describe(&self) -> LauncherDescription {
        let controllers = self.controllers.lock().expect("unpoisoned").clone();
        LauncherDescription { name: "fake", missing: Vec::new(), controllers }
    }

    async fn going_down(&self) -> bool {
        self.going_down.load(Ordering::SeqCst)
    }

    fn rebooted_since(&self, shim: &ProcessIdentity) -> bool {
        shim.boot_id != self.boot()
    }

    async fn launch(&self, run: &RunId, directory: &Path) -> Result<Started, LaunchError> {
        let mut programs = self.programs.lock().expect("unpoisoned");
        if let Some(program) = programs.get(run) {
            return Ok(program.started.clone());
        }
        let number = u32::try_from(programs.len() + 1).expect("few");
        let shim = ProcessIdentity { pid: number, start_ticks: 1, boot_id: self.boot() };
        let started =
            Started { version: handover::VERSION, run: run.clone(), shim, at: UnixMillis(1), missing: Vec::new() };
        *self.launches.lock().expect("unpoisoned").entry(run.clone()).or_default() += 1;
        let program =
            Program { directory: directory.to_owned(), started: started.clone(), living: watch::Sender::new(true) };
        programs.insert(run.clone(), program);
        Ok(started)
    }

    async fn cgroup(&self, _run: &RunId) -> Option<PathBuf> {
        None
    }

    fn alive(&self, shim: &ProcessIdentity) -> bool {
        let programs = self.programs.lock().expect("unpoisoned");
        programs.values().any(|program| program.started.shim == *shim && *program.living.borrow())
    }

    async fn wait(&self, shim: &ProcessIdentity) {
        let living = {
            let programs = self.programs.lock().expect("unpoisoned");
            programs.values().find(|program| program.started.shim == *shim).map(|program| program.living.subscribe())
        };
        if let Some(mut living) = living {
            let _ = living.wait_for(|living| !living).await;
        }
    }

    fn nudge(&self, shim: &ProcessIdentity) -> Result<(), LaunchError> {
        let run = {
            let programs = self.programs.lock().expect("unpoisoned");
            programs.iter().find(|(_, program)| program.started.shim == *shim).map(|(run, _)| run.clone())
        };
        if let Some(run) = run.filter(|_| !self.hanging.load(Ordering::SeqCst)) {
            self.exit(&run, End::Signaled { signal: 15 });
        }
        Ok(())
    }

    async fn sweep(&self, _run: &RunId) -> Result<(), LaunchError> {
        Ok(())
    }
}
