//! A state directory, a Run in it, and a stage program of the test's own: a shell script in the place of
//! `clearmld-shim stage`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

pub(crate) use super::processes::with_argument;
use clearmld::domain::handover::{
    Caches, Entry, EnvironmentSpec, ExitRecord, Identity, Installer, Isolation, Overlay, ProgramSpec, Progress,
    Requirements, RunSpec, Secrets, SourceSpec, Started, StopRequest, VERSION, file,
};
use clearmld::domain::ids::{RunId, TaskId};
use clearmld::domain::limits::Limits;
use clearmld::domain::sandbox::Sandbox;
use clearmld::domain::stop::StopReason;
use clearmld::sys::durable;

/// A uid that no host gives to anybody.
pub(crate) const UID: u32 = 64_321;

/// Where it was built, unless whoever runs these tests on another machine says where it is there.
pub(crate) fn the_shim() -> &'static str {
    static SHIM: LazyLock<String> = LazyLock::new(|| {
        std::env::var("CARGO_BIN_EXE_clearmld-shim").unwrap_or_else(|_| env!("CARGO_BIN_EXE_clearmld-shim").to_owned())
    });
    &SHIM
}

pub(crate) struct Stand {
    pub(crate) state: tempfile::TempDir,
    /// A disk of its own is mounted there.
    mounted: bool,
}

impl Drop for Stand {
    fn drop(&mut self) {
        if self.mounted {
            let _ = Command::new("umount").arg("-l").arg(self.state.path()).status();
        }
    }
}

pub(crate) struct Run {
    pub(crate) directory: PathBuf,
    pub(crate) spec: RunSpec,
    pub(crate) stage: PathBuf,
    /// Whom the shim itself runs as.
    pub(crate) user: u32,
}

pub(crate) struct Shim {
    pub(crate) process: Child,
    pub(crate) directory: PathBuf,
}

/// What the script does in each act.
#[derive(Default)]
pub(crate) struct Script<'a> {
    pub(crate) source: &'a str,
    pub(crate) plan: Option<&'a str>,
    pub(crate) build: &'a str,
    pub(crate) program: &'a str,
}

impl Stand {
    pub(crate) fn new() -> Self {
        Self::on(None)
    }

    /// On a disk of its own, in memory.
    pub(crate) fn on_small_disk(mib: u64) -> Self {
        Self::on(Some(mib))
    }

    fn on(disk: Option<u64>) -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests build sandboxes, which needs root: run `sudo -E make test`, or leave them out with \
             `cargo test --lib`"
        );
        let state =
            tempfile::Builder::new().prefix("clearmld-test-").tempdir_in("/var/lib").expect("a state directory");
        if let Some(mib) = disk {
            let size = format!("size={mib}m,nr_inodes=100k,mode=0700");
            let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "small"]).arg(state.path()).status();
            assert!(mount.expect("started").success(), "a small disk cannot be mounted here");
        }
        for name in ["mirrors", "packages", "environments", "runs", "tools"] {
            fs::create_dir_all(state.path().join(name)).expect("made");
        }
        for name in ["mirrors", "packages"] {
            chown(state.path().join(name), Some(UID), Some(UID)).expect("given");
        }
        Self { state, mounted: disk.is_some() }
    }

    pub(crate) fn program(&self, program: &str) -> Run {
        self.run("r1", &Script { program, ..Script::default() })
    }

    pub(crate) fn run(&self, name: &str, script: &Script<'_>) -> Run {
        let state = self.state.path();
        let directory = state.join("runs").join(name);
        fs::create_dir_all(&directory).expect("made");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("set");
        let stage = state.join(format!("stage-{name}"));
        let plan = script.plan.map_or("null".to_owned(), |key| {
            format!(r#"{{"key":"{key}","python":"/usr/bin/python3","python_version":"3.11","requirements":""}}"#)
        });
        let text = format!(
            "#!/bin/sh\norder=$(cat <&3)\ncase \"$order\" in\n\
             '{{\"act\":{{\"act\":\"source\"'*) {}\n echo '{{\"report\":\"source\",\"commit\":null}}' >&4;;\n\
             '{{\"act\":{{\"act\":\"plan\"'*) echo '{{\"report\":\"plan\",\"plan\":{plan}}}' >&4;;\n\
             '{{\"act\":{{\"act\":\"build\"'*) {}\n echo '{{\"report\":\"built\",\"frozen\":[\"x==1\"]}}' >&4;;\n\
             *) exec 3<&- 4>&-\n{}\n;;\nesac\n",
            script.source, script.build, script.program
        );
        executable(&stage, &text);
        Run { spec: self.spec(name), directory, stage, user: 0 }
    }

    fn spec(&self, name: &str) -> RunSpec {
        let state = self.state.path();
        RunSpec {
            version: VERSION,
            run: RunId::new(name).expect("an id"),
            task: TaskId::new("t1").expect("an id"),
            identity: Identity { uid: UID, gid: UID, user: "clearml-run".into(), known_to_host: false },
            isolation: Isolation::Namespaces,
            cgroup: None,
            hidden: vec![state.to_owned()],
            caches: Caches {
                mirrors: state.join("mirrors"),
                packages: state.join("packages"),
                environments: state.join("environments"),
            },
            tools: vec![state.join("tools")],
            devices: Vec::new(),
            limits: Limits::default(),
            sandbox: Sandbox::default(),
            // These tests run side by side on whatever disk there is.
            disk_reserve: Some(0),
            stop_grace_ms: 10_000,
            spool_budget: 1 << 30,
            journal: None,
            source: SourceSpec { repository: None, overlay: Overlay::None },
            environment: EnvironmentSpec {
                python: None,
                requirements: Requirements::Nothing,
                installer: Installer::Pip,
                extra_index_urls: Vec::new(),
                extra_arguments: Vec::new(),
                system_site_packages: false,
                python_search: Vec::new(),
            },
            program: ProgramSpec {
                entry: Entry::PythonFile { file: "x.py".into() },
                arguments: Vec::new(),
                working_dir: PathBuf::new(),
                variables: BTreeMap::new(),
            },
        }
    }
}

impl Run {
    pub(crate) fn start(&self) -> Shim {
        self.write_orders();
        self.start_again()
    }

    pub(crate) fn write_orders(&self) {
        durable::write_json(&self.directory.join(file::SPEC), &self.spec).expect("written");
        let variables = [("TOKEN".to_owned(), "geheim".to_owned().into())].into();
        let secrets =
            Secrets { version: VERSION, variables, git: Vec::new(), index_urls: Vec::new(), sdk_config: None };
        durable::write_json(&self.directory.join(file::SECRETS), &secrets).expect("written");
    }

    pub(crate) fn start_again(&self) -> Shim {
        self.start_with(Command::new(the_shim()))
    }

    /// By a copy that everybody can reach: the build directory may lie where only root may go.
    pub(crate) fn start_copy(&self, stand: &Stand) -> Shim {
        let copy = stand.state.path().join("clearmld-shim");
        copy_executable(Path::new(the_shim()), &copy);
        self.start_with(Command::new(copy))
    }

    pub(crate) fn start_with(&self, mut command: Command) -> Shim {
        let log =
            fs::File::options().create(true).append(true).open(self.directory.join(file::SHIM_LOG)).expect("a log");
        let process = command
            .arg("run")
            .arg(&self.directory)
            .arg("--stage-program")
            .arg(&self.stage)
            // What must not reach the payload.
            .env("CLEARML_API_SECRET_KEY", "geheim")
            .uid(self.user)
            .gid(self.user)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("started");
        Shim { process, directory: self.directory.clone() }
    }

    /// From start to end.
    pub(crate) fn carry_out(&self) -> (ExitRecord, String) {
        let mut shim = self.start();
        (shim.record(), shim.output())
    }
}

impl Shim {
    pub(crate) fn record(&mut self) -> ExitRecord {
        let status = self.process.wait().expect("waited");
        let log = fs::read_to_string(self.directory.join(file::SHIM_LOG)).unwrap_or_default();
        assert!(status.success(), "the shim itself failed: {status}\n{log}\n{}", self.output());
        durable::read_json(&self.directory.join(file::EXIT)).expect("a record")
    }

    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.directory.join(file::SPOOL)).unwrap_or_default()).into_owned()
    }

    pub(crate) fn started(&self) -> Started {
        durable::read_json(&self.directory.join(file::STARTED)).expect("started")
    }

    pub(crate) fn progress(&self) -> Option<Progress> {
        durable::read_json(&self.directory.join(file::PROGRESS)).ok()
    }

    /// Until the program has printed `text`.
    pub(crate) fn until_printed(&self, text: &str) {
        until(&format!("`{text}` in the spool"), || self.output().contains(text));
    }

    pub(crate) fn stop(&self, grace_ms: u64) {
        let request = StopRequest { version: VERSION, reason: StopReason::UserAbort, grace_ms };
        durable::write_json(&self.directory.join(file::STOP), &request).expect("written");
        self.signal(rustix::process::Signal::USR1);
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process);
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).expect("alive");
        rustix::process::pidfd_send_signal(pidfd, signal).expect("sent");
    }
}

/// Lets the payload pass through to its directories, where it has no view of the files of its own.
pub(crate) fn open_up(stand: &Stand) {
    for directory in ["", "runs", "environments", "tools"] {
        fs::set_permissions(stand.state.path().join(directory), fs::Permissions::from_mode(0o711)).expect("set");
    }
}

/// A program that can be started at once.
pub(crate) fn executable(path: &Path, text: &str) {
    let draft = path.with_extension("draft");
    durable::write(&draft, text.as_bytes(), 0o644).expect("written");
    copy_executable(&draft, path);
}

/// By a process of its own: what a test thread has open for writing, a child of another thread has too for a moment,
/// and then nobody can execute it.
fn copy_executable(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().expect("started").success());
    fs::set_permissions(to, fs::Permissions::from_mode(0o755)).expect("set");
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "waited 20 s in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
