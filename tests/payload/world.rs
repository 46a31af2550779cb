//! Directories, orders and the program stage, as the shim would arrange them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clearmld::domain::handover::*;
use clearmld::domain::ids::{RunId, TaskId};
use clearmld::payload::run_stage;
use tempfile::TempDir;

/// The variable that tells the test binary which order to carry out.
pub(crate) const ORDER: &str = "PAYLOAD_TEST_ORDER";

pub(crate) struct World {
    pub(crate) root: TempDir,
    pub(crate) spec: RunSpec,
    pub(crate) secrets: Secrets,
}

impl World {
    pub(crate) fn new(source: SourceSpec, requirements: Requirements, entry: Entry) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        for name in ["code", "venv", "home", "tmp", "mirrors", "packages"] {
            std::fs::create_dir(root.path().join(name)).expect("made");
        }
        let path = |name: &str| root.path().join(name);
        let spec = RunSpec {
            version: VERSION,
            run: RunId::new("run1").expect("an id"),
            task: TaskId::new("task1").expect("an id"),
            identity: Identity { uid: 0, gid: 0, user: "tester".into(), known_to_host: false },
            isolation: Isolation::Subreaper,
            cgroup: None,
            hidden: Vec::new(),
            caches: Caches { mirrors: path("mirrors"), packages: path("packages"), environments: path("e") },
            tools: Vec::new(),
            devices: Vec::new(),
            limits: clearmld::domain::limits::Limits::default(),
            seccomp: clearmld::domain::handover::Seccomp::Default,
            stop_grace_ms: 10_000,
            disk_reserve: None,
            spool_budget: 1 << 30,
            journal: None,
            source,
            environment: EnvironmentSpec {
                python: None,
                requirements,
                installer: Installer::Pip,
                extra_index_urls: Vec::new(),
                extra_arguments: Vec::new(),
                system_site_packages: false,
                python_search: Vec::new(),
            },
            program: ProgramSpec {
                entry,
                arguments: Vec::new(),
                working_dir: PathBuf::new(),
                variables: BTreeMap::from([("CLEARML_TASK_ID".into(), "task1".into())]),
            },
        };
        let secrets = Secrets {
            version: VERSION,
            variables: BTreeMap::new(),
            git: Vec::new(),
            index_urls: Vec::new(),
            sdk_config: None,
        };
        Self { root, spec, secrets }
    }

    pub(crate) fn order(&self, act: Act) -> StageOrder {
        let path = |name: &str| self.root.path().join(name);
        let paths = StagePaths {
            code: path("code"),
            environment: path("venv"),
            home: path("home"),
            tmp: path("tmp"),
            mirrors: path("mirrors"),
            packages: path("packages"),
        };
        StageOrder { act, paths, spec: self.spec.clone(), secrets: self.secrets.clone() }
    }

    pub(crate) fn code(&self) -> PathBuf {
        self.root.path().join("code")
    }

    pub(crate) fn source(&self) -> Option<String> {
        match run_stage(&self.order(Act::Source)) {
            StageReport::Source(report) => report.commit,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn plan(&self) -> Option<EnvironmentPlan> {
        match run_stage(&self.order(Act::Plan)) {
            StageReport::Plan { plan } => plan,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn build(&self, plan: &EnvironmentPlan) -> Vec<String> {
        match run_stage(&self.order(Act::Build { plan: plan.clone() })) {
            StageReport::Built { frozen } => frozen,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn failure(&self, act: Act) -> String {
        match run_stage(&self.order(act)) {
            StageReport::Failed { reason, disk_full: false } => reason,
            other => panic!("{other:?}"),
        }
    }

    /// This test binary, started again, becomes the program.
    pub(crate) fn program(&self, plan: Option<EnvironmentPlan>) -> Output {
        let file = self.root.path().join("order.json");
        let order = serde_json::to_vec(&self.order(Act::Program { plan })).expect("written");
        clearmld::sys::durable::write(&file, &order, 0o600).expect("written");
        Command::new(std::env::current_exe().expect("a binary"))
            .args(["--ignored", "--exact", "becomes_the_program", "--nocapture"])
            .env(ORDER, file)
            .env("LEAK", "of the daemon")
            .output()
            .expect("started")
    }
}

pub(crate) fn script(text: &str) -> SourceSpec {
    SourceSpec { repository: None, overlay: Overlay::Script { file: "train.py".into(), text: text.into() } }
}

pub(crate) fn lines(text: &str) -> Requirements {
    Requirements::Lines { text: text.into() }
}

pub(crate) fn file(name: &str) -> Entry {
    Entry::PythonFile { file: name.into() }
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    clearmld::sys::durable::write(path, text.as_bytes(), 0o644).expect("written");
}
