//! A daemon with the programs around it. It is one of the test's own, with the direct launcher; or, where
//! CLEARMLD_TEST_INSTALLED says so, the one that is installed and runs on this machine, with systemd as its launcher.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::gpus;

/// How long anything may take; machines behind an emulated processor are slow.
const PATIENCE: Duration = Duration::from_secs(240);

pub(crate) struct Host {
    /// Everybody may pass through it.
    pub(crate) place: tempfile::TempDir,
    pub(crate) state: PathBuf,
    pub(crate) socket: PathBuf,
    /// A name of this test's own, for whatever is visible to all of the machine.
    pub(crate) nonce: String,
    daemon: Option<Child>,
    workers: Vec<String>,
    outside: Option<(Child, Option<ChildStdin>)>,
}

/// What a daemon of the test's own is started with.
#[derive(Debug, Default)]
pub(crate) struct Setting {
    /// Changes to each spec, between the daemon, which writes it, and the shim, which reads it.
    pub(crate) relaxed: Option<Value>,
    /// Two GPUs.
    pub(crate) gpus: bool,
    /// Options of mount for a small disk with the state directory.
    pub(crate) disk: Option<&'static str>,
}

pub(crate) fn installed() -> bool {
    std::env::var_os("CLEARMLD_TEST_INSTALLED").is_some()
}

impl Host {
    /// The machine's own daemon where there is one, else one with two GPUs.
    pub(crate) fn new() -> Self {
        if installed() { Self::of_this_machine() } else { Self::with(&Setting { gpus: true, ..Setting::default() }) }
    }

    fn of_this_machine() -> Self {
        let host = Self::in_place("/var/lib/clearmld".into(), "/run/clearmld/clearmld.sock".into(), Self::place());
        assert_eq!(host.json(&["status"])["launcher"], "systemd", "{}", host.ok(&["status"]));
        host
    }

    pub(crate) fn with(setting: &Setting) -> Self {
        assert!(!installed(), "this test starts a daemon of its own");
        let place = Self::place();
        let (state, sockets) = (place.path().join("disk/state"), place.path().join("socket"));
        for directory in [&state, &sockets] {
            fs::create_dir_all(directory).expect("made");
        }
        let mut host = Self::in_place(state, sockets.join("clearmld.sock"), place);
        if let Some(options) = setting.disk {
            let disk = host.place.path().join("disk");
            let mounted =
                Command::new("mount").args(["-t", "tmpfs", "-o", options, "clearmld-test"]).arg(disk).status();
            assert!(mounted.expect("mount starts").success(), "a tmpfs cannot be mounted here");
            fs::create_dir(&host.state).expect("made");
        }
        host.start_daemon(setting);
        host
    }

    fn place() -> tempfile::TempDir {
        assert!(
            nix::unistd::geteuid().is_root(),
            "these tests try to get out of sandboxes of root's: run `sudo make test`, or as root in a container or VM"
        );
        // Not in /tmp: a sandbox has one of its own.
        let place = tempfile::Builder::new().prefix("clearmld-test.").tempdir_in("/var/lib").expect("a directory");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("opened");
        place
    }

    fn in_place(state: PathBuf, socket: PathBuf, place: tempfile::TempDir) -> Self {
        let nonce = place.path().file_name().expect("a name").to_string_lossy().replace('.', "-");
        Self { place, state, socket, nonce, daemon: None, workers: Vec::new(), outside: None }
    }

    fn start_daemon(&mut self, setting: &Setting) {
        let programs = self.programs(setting.relaxed.as_ref());
        let mut command = Command::new(programs.join("clearmld"));
        let mut variables =
            vec![("CANARY_OF_THE_DAEMON", "x".to_owned()), ("CLEARML_WORKER_NAME", "escape".to_owned())];
        if setting.gpus {
            command = gpus::behind_a_private_dev(self.place.path(), command.get_program());
            variables.push(("CLEARMLD_NVML_LIBRARY", gpus::library(self.place.path()).display().to_string()));
        }
        let log = fs::File::create(self.log_file()).expect("a log file");
        let daemon = command
            .arg("--local=127.0.0.1:0")
            .args(["--config".as_ref(), self.configuration().as_os_str()])
            .args(["--state-dir".as_ref(), self.state.as_os_str()])
            .args(["--socket".as_ref(), self.socket.as_os_str()])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.place.path())
            .envs(variables)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.daemon = Some(daemon.expect("clearmld starts"));
        self.until("the daemon answers", |host| host.ctl(&["status"]).status.success().then_some(()));
        assert_eq!(self.json(&["status"])["launcher"], "direct", "{}", self.ok(&["status"]));
    }

    /// Links to what has been built: the daemon takes the shim that lies beside it.
    fn programs(&self, relaxed: Option<&Value>) -> PathBuf {
        let programs = self.place.path().join("programs");
        fs::create_dir_all(programs.join("real")).expect("made");
        let built = Path::new(env!("CARGO_BIN_EXE_clearmld"));
        let shim = if relaxed.is_some() { "real/clearmld-shim" } else { "clearmld-shim" };
        for (name, target) in [("clearmld", "clearmld"), ("clearmlctl", "clearmlctl"), ("clearmld-shim", shim)] {
            let (from, to) = (built.with_file_name(name), programs.join(target));
            fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).expect("placed");
        }
        if let Some(changes) = relaxed {
            let script = format!(
                "#!/usr/bin/python3\nimport json, os, sys\nif sys.argv[1] == 'run':\n    path = sys.argv[2] + '/spec.json'\n    \
                 spec = json.load(open(path)) | json.loads({:?})\n    json.dump(spec, open(path, 'w'))\n\
                 real = os.path.dirname(os.path.abspath(sys.argv[0])) + '/real/clearmld-shim'\nos.execv(real, [real, *sys.argv[1:]])\n",
                changes.to_string()
            );
            fs::write(programs.join("clearmld-shim"), script).expect("written");
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(programs.join("clearmld-shim"), executable).expect("set");
        }
        programs
    }

    /// A clearml.conf that everybody may read, which no operator should have.
    pub(crate) fn configuration(&self) -> PathBuf {
        let directory = if installed() { Path::new("/etc/clearmld") } else { self.place.path() };
        let file = directory.join("clearml-test.conf");
        if !file.exists() {
            fs::write(&file, "sdk { canary: \"x\" }\n").expect("written");
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("set");
        }
        file
    }

    fn log_file(&self) -> PathBuf {
        self.place.path().join("clearmld.log")
    }

    pub(crate) fn daemon_log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    pub(crate) fn daemon_pid(&self) -> u32 {
        match &self.daemon {
            Some(daemon) => daemon.id(),
            None => {
                let shown = Command::new("systemctl").args(["show", "-P", "MainPID", "clearmld"]).output();
                String::from_utf8_lossy(&shown.expect("systemctl").stdout).trim().parse().expect("a pid")
            }
        }
    }

    /// Where `clearmlctl` is.
    pub(crate) fn tool(&self) -> PathBuf {
        if installed() { "/usr/bin/clearmlctl".into() } else { self.place.path().join("programs/clearmlctl") }
    }

    pub(crate) fn ctl(&self, args: &[&str]) -> Output {
        let mut command = Command::new(self.tool());
        command.args(args).env("CLEARMLD_SOCKET", &self.socket).env("NO_COLOR", "1").stdin(Stdio::null());
        command.output().expect("clearmlctl starts")
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.ctl(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {said}\n{}", self.daemon_log());
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.extend(["--output", "json"]);
        serde_json::from_str(&self.ok(&args)).expect("JSON")
    }

    /// A worker of that name with a queue of its own, also of that name.
    pub(crate) fn worker(&mut self, name: &str, options: &[&str]) {
        let add = ["worker", "add", "--name", name, "--queue", name, "--create-queue"];
        self.ok(&[&add[..], options].concat());
        self.workers.push(name.to_owned());
    }

    /// A task whose program is this text of Python.
    pub(crate) fn submit(&self, queue: &str, python: &str, arguments: &[&str]) -> String {
        let script = self.place.path().join(format!("{queue}.sh"));
        // The interpreter of the host: nothing is to be installed.
        let text = format!(
            "cat >program.py <<'END-OF-THE-PROGRAM'\n{python}\nEND-OF-THE-PROGRAM\n\
             exec /usr/bin/python3 -B -u program.py \"$@\"\n"
        );
        fs::write(&script, text).expect("written");
        let script = script.display().to_string();
        let mut words = vec!["submit", &script, "--queue", queue, "--output", "json"];
        if !arguments.is_empty() {
            words.push("--");
            words.extend(arguments);
        }
        let submitted: Value = serde_json::from_str(&self.ok(&words)).expect("JSON");
        submitted["task_id"].as_str().expect("an id").to_owned()
    }

    /// What the task has printed, as the server has it.
    pub(crate) fn log(&self, task: &str) -> String {
        let lines = self.ok(&["task", "log", task, "--output", "json"]);
        let text = |line: &str| serde_json::from_str::<Value>(line).ok()?["text"].as_str().map(str::to_owned);
        lines.lines().filter_map(text).collect()
    }

    pub(crate) fn log_shows(&self, task: &str, wanted: &str) -> String {
        self.until(&format!("`{wanted}` in the log of {task}"), |host| {
            let log = host.log(task);
            assert!(!host.has_settled(task) || log.contains(wanted), "it has ended without `{wanted}`:\n{log}");
            log.contains(wanted).then_some(log)
        })
    }

    /// The Run of a task; none before it has one.
    pub(crate) fn run(&self, task: &str) -> Option<Value> {
        let output = self.ctl(&["run", "show", task, "--output", "json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    fn has_settled(&self, task: &str) -> bool {
        self.run(task).is_some_and(|run| run["phase"] == "settled")
    }

    /// The Run, once the server knows its end.
    pub(crate) fn settled(&self, task: &str) -> Value {
        self.until(&format!("the end of task {task}"), |host| host.run(task).filter(|run| run["phase"] == "settled"))
    }

    /// The first answer.
    pub(crate) fn until<T>(&self, what: &str, mut ask: impl FnMut(&Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(answer) = ask(self) {
                return answer;
            }
            assert!(began.elapsed() < PATIENCE, "waited in vain: {what}\n{}", self.daemon_log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// See outside.py.
    pub(crate) fn outside(&mut self) -> Value {
        let place = self.place.path().join("outside");
        fs::create_dir(&place).expect("made");
        fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("opened");
        let mut command = Command::new("/usr/bin/python3");
        command.args(["-c", include_str!("outside.py")]).arg(place).arg(&self.socket).arg(&self.nonce);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("read");
        let input = child.stdin.take();
        self.outside = Some((child, input));
        serde_json::from_str(&line).expect("what there is outside")
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for name in &self.workers {
            let _ = self.ctl(&["worker", "stop", "--now", name]);
        }
        for name in &self.workers {
            let began = Instant::now();
            while !self.ctl(&["worker", "remove", name]).status.success() && began.elapsed() < Duration::from_secs(20) {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        if let Some((mut child, input)) = self.outside.take() {
            drop(input);
            let _ = child.wait();
        }
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
            let disk = self.place.path().join("disk");
            let _ = Command::new("umount").args(["-q", "-l"]).arg(&disk).output();
            // Some trees of a payload's are deeper than std's removal can stand.
            let _ = clearmld::sys::removal::remove_tree(&disk);
        } else {
            let _ = fs::remove_file(self.configuration());
        }
    }
}
