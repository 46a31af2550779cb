//! A server, a daemon on it, and what tests ask of both.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clearmld::clearml::{Client, ClientConfig, ClientCredentials, Verify};
use clearmld::domain::ids::{TaskId, UnixMillis};
use clearmld::engine::ports::{Desk, DeskTaskDetail, ServerError, Submission};
use clearmld::server::{LocalServer, ServerConfig};
use secrecy::ExposeSecret;
use serde_json::Value;

pub(crate) mod gpus;
mod ordinary;
mod server;
mod written;

pub(crate) const TERMINAL: [&str; 4] = ["completed", "failed", "stopped", "closed"];

/// `nobody`, who is on every host.
const NOBODY: u32 = 65_534;

/// A throw-away world.
pub(crate) struct World {
    /// None while it is away.
    server: Option<LocalServer>,
    server_config: ServerConfig,
    server_environment: Vec<(&'static str, String)>,
    pub(crate) desk: Client,
    dir: tempfile::TempDir,
    daemon: Option<Child>,
    /// The daemon's state directory.
    pub(crate) state: PathBuf,
    /// `--config`, and further variables for the daemon.
    config: Option<PathBuf>,
    pub(crate) variables: Vec<(&'static str, String)>,
    /// Further ones for the daemon.
    pub(crate) arguments: Vec<&'static str>,
    /// Whom our programs run as, and where he can execute them; none means whoever tests.
    user: Option<(u32, PathBuf)>,
    /// Whether the daemon has a /dev of its own, with GPUs.
    private_dev: bool,
    /// Directories elsewhere, removed at the end.
    kept: Mutex<Vec<tempfile::TempDir>>,
}

impl World {
    /// A server, and a daemon with one CPU worker on queue `default` and a uv that it need not fetch.
    pub(crate) async fn new() -> Self {
        let world = Self::without_daemon().await;
        world.bring_uv();
        world.started()
    }

    pub(crate) async fn without_daemon() -> Self {
        // The environments of all tests are shared below target/, as they are on a host.
        let dir = tempfile::Builder::new().prefix("clearmld-test.").tempdir().expect("a directory");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let mut server_config = ServerConfig { api: any, files: any, directory: dir.path().join("server") };
        let server = clearmld::server::start(server_config.clone()).await.expect("the local server");
        // The same place after a restart.
        server_config.api = address(&server.api_url());
        server_config.files = address(&server.files_url());
        let credentials = server.credentials();
        let desk = Client::new(ClientConfig {
            api_url: server.api_url(),
            web_url: server.web_url(),
            files_url: server.files_url(),
            credentials: ClientCredentials::KeyPair {
                access_key: credentials.access_key.clone(),
                secret_key: credentials.secret_key.clone(),
            },
            verify: Verify::Yes,
            host: "tests".into(),
            request_token_expiration_s: None,
        })
        .expect("a client");
        let server_environment = vec![
            ("CLEARML_API_HOST", server.api_url()),
            ("CLEARML_WEB_HOST", server.web_url()),
            ("CLEARML_FILES_HOST", server.files_url()),
            ("CLEARML_API_ACCESS_KEY", credentials.access_key.clone()),
            ("CLEARML_API_SECRET_KEY", credentials.secret_key.expose_secret().to_owned()),
        ];
        let state = dir.path().join("state");
        Self {
            server: Some(server),
            server_config,
            server_environment,
            desk,
            dir,
            daemon: None,
            state,
            config: None,
            variables: Vec::new(),
            arguments: Vec::new(),
            user: None,
            private_dev: false,
            kept: Mutex::default(),
        }
    }

    /// With a daemon, and one CPU worker on queue `default`.
    pub(crate) fn started(mut self) -> Self {
        self.start_daemon();
        self.ok(&["worker", "add", "--cpu-only", "--queue", "default"]);
        self
    }

    /// Gives the state directory a uv.
    pub(crate) fn bring_uv(&self) {
        let place = self.state.join("bin");
        std::fs::create_dir_all(&place).expect("made");
        let (uv, target) = (super::uv::fetched(), place.join("uv"));
        // A link where that is possible: it is a file of some 60 MiB.
        std::fs::hard_link(uv, &target).or_else(|_| std::fs::copy(uv, &target).map(drop)).expect("placed");
    }

    pub(crate) fn keep(&self, directory: tempfile::TempDir) -> PathBuf {
        let path = directory.path().to_owned();
        self.kept.lock().expect("unpoisoned").push(directory);
        path
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("clearmld.sock")
    }

    pub(crate) fn daemon_pid(&self) -> u32 {
        self.daemon.as_ref().expect("a daemon").id()
    }

    /// The environment that points a ClearML client at this server.
    pub(crate) fn server_environment(&self) -> Vec<(&'static str, String)> {
        self.server_environment.clone()
    }

    pub(crate) fn start_daemon(&mut self) {
        self.spawn_daemon(&[]);
        let began = Instant::now();
        while !self.ctl(&["status"]).status.success() {
            let gone = self.daemon.as_mut().expect("a daemon").try_wait().expect("asked");
            assert!(gone.is_none(), "clearmld ended: {gone:?}\n{}", self.daemon_log());
            assert!(began.elapsed() < Duration::from_secs(30), "clearmld does not answer\n{}", self.daemon_log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Starts it, with these variables too, and does not wait for it.
    pub(crate) fn spawn_daemon(&mut self, variables: &[(&str, String)]) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join("clearmld.log"))
            .expect("a log file");
        let mut command = self.program("clearmld");
        if self.private_dev {
            command = self.behind_a_private_dev(&command);
        }
        if let Some(config) = &self.config {
            command.args(["--config".as_ref(), config.as_os_str()]);
        }
        command
            .args(["--state-dir".as_ref(), self.state.as_os_str()])
            .args(["--socket".as_ref(), self.socket().as_os_str()])
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path())
            .env("CLEARML_WORKER_NAME", "testhost")
            .envs(self.server_environment())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.daemon = Some(command.spawn().expect("clearmld starts"));
    }

    /// kill -9; how it ended, which it may have done before.
    pub(crate) fn kill_daemon(&mut self) -> ExitStatus {
        let mut daemon = self.daemon.take().expect("a daemon");
        daemon.kill().expect("killed");
        daemon.wait().expect("reaped")
    }

    pub(crate) fn daemon_log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("clearmld.log")).unwrap_or_default()
    }

    pub(crate) fn ctl(&self, args: &[&str]) -> Output {
        self.program("clearmlctl")
            .args(args)
            .env("CLEARMLD_SOCKET", self.socket())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .expect("clearmlctl starts")
    }

    /// One of ours, as whoever this world is of.
    fn program(&self, name: &str) -> Command {
        let Some((uid, programs)) = &self.user else {
            return Command::new(Path::new(env!("CARGO_BIN_EXE_clearmld")).with_file_name(name));
        };
        let mut command = Command::new(programs.join(name));
        // std gives up the supplementary groups with it.
        command.uid(*uid).gid(*uid).current_dir("/");
        command
    }

    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.ctl(args);
        assert!(
            output.status.success(),
            "{args:?}: {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            self.daemon_log()
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let mut args = args.to_vec();
        args.extend(["--output", "json"]);
        serde_json::from_str(&self.ok(&args)).expect("JSON")
    }

    /// A literal Python script, queued.
    pub(crate) async fn submit(&self, script: &str, requirements: &str) -> TaskId {
        self.submit_with(|submission| {
            submission.diff = Some(script.to_owned());
            submission.requirements = Some(requirements.to_owned());
        })
        .await
    }

    pub(crate) async fn submit_with(&self, change: impl FnOnce(&mut Submission)) -> TaskId {
        let mut submission = Submission {
            name: "a test".into(),
            project: Some("tests".into()),
            kind: "training".into(),
            binary: "python".into(),
            working_dir: ".".into(),
            entry_point: "program.py".into(),
            queue: Some("default".into()),
            requirements: Some(String::new()),
            ..Submission::default()
        };
        change(&mut submission);
        self.desk.submit(&submission).await.expect("submitted")
    }

    pub(crate) async fn task(&self, task: &TaskId) -> DeskTaskDetail {
        // The server may have been told to fail for a while; the tests' own questions are then asked again.
        for _ in 0..20 {
            match Desk::task(&self.desk, task).await {
                Ok(detail) => return detail.expect("there"),
                Err(ServerError::Unreachable { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        panic!("the server stays away")
    }

    /// Waits until `found` says so.
    pub(crate) async fn until(&self, what: &str, mut found: impl FnMut(&Self) -> bool) {
        let began = Instant::now();
        while !found(self) {
            assert!(began.elapsed() < Duration::from_secs(100), "not seen: {what}\n{}", self.daemon_log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until no worker has a task.
    pub(crate) async fn idle(&self) {
        self.until("idle workers", |world| {
            let workers = world.json(&["worker", "list"]);
            workers.as_array().expect("a list").iter().all(|worker| worker["run_id"].is_null())
        })
        .await;
    }

    /// Waits for a terminal status.
    pub(crate) async fn end(&self, task: &TaskId) -> DeskTaskDetail {
        let began = Instant::now();
        loop {
            let detail = self.task(task).await;
            if TERMINAL.contains(&detail.task.status.as_str()) {
                return detail;
            }
            assert!(
                began.elapsed() < Duration::from_secs(240),
                "the task does not end: {detail:#?}\n{}\n{}",
                self.log(task).await,
                self.daemon_log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn log(&self, task: &TaskId) -> String {
        let mut text = String::new();
        let mut after: Option<UnixMillis> = None;
        loop {
            let events = match self.desk.log(task, after, 5000).await {
                Err(ServerError::Unreachable { .. }) => continue,
                answer => answer.expect("asked"),
            };
            let Some(last) = events.last() else { return text };
            after = Some(last.stamp);
            text.extend(events.iter().map(|event| event.text.as_str()));
        }
    }

    /// Waits until the task's log at the server shows `wanted`.
    pub(crate) async fn log_shows(&self, task: &TaskId, wanted: &str) -> String {
        let began = Instant::now();
        loop {
            let log = self.log(task).await;
            if log.contains(wanted) {
                return log;
            }
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "no `{wanted}` in the log: {log}\n{:#?}\n{}",
                self.task(task).await,
                self.daemon_log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) async fn completes(&self, task: &TaskId) -> String {
        let detail = self.end(task).await;
        let log = self.log(task).await;
        assert_eq!(detail.task.status, "completed", "{}\n{log}\n{}", detail.task.status_reason, self.daemon_log());
        log
    }

    /// Fails; its reason.
    pub(crate) async fn fails(&self, task: &TaskId) -> String {
        let detail = self.end(task).await;
        assert_eq!(detail.task.status, "failed", "{}\n{}", self.log(task).await, self.daemon_log());
        detail.task.status_reason
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            for worker in ["testhost:cpu:0", "testhost:cpu:1"] {
                let _ = Command::new(env!("CARGO_BIN_EXE_clearmlctl"))
                    .args(["worker", "stop", "--now", worker])
                    .env("CLEARMLD_SOCKET", self.dir.path().join("clearmld.sock"))
                    .output();
            }
            std::thread::sleep(Duration::from_millis(200));
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

fn address(url: &str) -> SocketAddr {
    url.trim_start_matches("http://").parse().expect("an address")
}

/// Whether a process of the host still has this marker in its command line.
pub(crate) fn processes_with(marker: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc") {
        let name = entry.expect("an entry").file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(marker) {
            found.push(pid);
        }
    }
    found
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}
