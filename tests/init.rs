//! `clearmlctl init --root DIR` with the real programs and a real server: what is tried, what is stored, what is said.
//! What systemd makes of it is in tests/systemd.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use clearmld::config::{self, Environment, Flags};
use clearmld::server::{LocalServer, ServerConfig};
use secrecy::ExposeSecret as _;

struct Site {
    server: LocalServer,
    directory: tempfile::TempDir,
}

impl Site {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let any = "127.0.0.1:0".parse().expect("an address");
        let config = ServerConfig { api: any, files: any, directory: directory.path().join("server") };
        Self { server: clearmld::server::start(config).await.expect("the local server"), directory }
    }

    fn root(&self) -> PathBuf {
        self.directory.path().join("root")
    }

    fn stored(&self) -> PathBuf {
        self.root().join("etc/clearmld/credentials.conf")
    }

    fn secret(&self) -> String {
        self.server.credentials().secret_key.expose_secret().to_owned()
    }

    /// As the web UI shows it.
    fn block(&self, api: &str, secret: &str) -> String {
        format!(
            "api {{\n  # a user's workspace\n  web_server: {}\n  api_server: {api}\n  files_server: {}\n  credentials {{\n    \
             \"access_key\" = \"{}\"\n    \"secret_key\" = \"{secret}\"\n  }}\n}}\n",
            self.server.web_url(),
            self.server.files_url(),
            self.server.credentials().access_key
        )
    }

    fn good_block(&self) -> String {
        self.block(&self.server.api_url(), &self.secret())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clearmlctl"));
        command.arg("init").arg("--root").arg(self.root()).args(arguments);
        // What is in the caller's environment is not what is stored.
        command.env("CLEARML_API_HOST", "http://127.0.0.1:1").env("CLEARML_API_SECRET_KEY", "other");
        command
    }

    /// Runs `init` with the block on stdin, on a thread that the server does not need.
    async fn init(&self, block: &str, arguments: &[&str]) -> Said {
        let mut command = self.command(&[&["--credentials", "-"], arguments].concat());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let block = block.to_owned();
        let run = move || {
            let mut child = command.spawn().expect("it starts");
            match child.stdin.take().expect("stdin").write_all(block.as_bytes()) {
                // It may have refused before it had read anything.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                written => written.expect("written"),
            }
            Said::of(child.wait_with_output().expect("it ends"))
        };
        let said = tokio::task::spawn_blocking(run).await.expect("no panic");
        assert!(!(said.out.clone() + &said.err).contains(&self.secret()), "the secret is nowhere to be seen: {said:?}");
        said
    }
}

#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code().expect("no signal"), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    fn fails(&self, code: i32, error: &str, hint: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains("error: ") && self.err.contains(error), "{error} in {}", self.err);
        assert!(
            self.err.lines().any(|line| line.starts_with("hint: ") && line.contains(hint)),
            "{hint} in {}",
            self.err
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_in_somebody_elses_image_is_not_followed() {
    let site = Site::new().await;
    let elsewhere = site.directory.path().join("elsewhere");
    fs::create_dir_all(site.root().join("etc")).expect("made");
    fs::create_dir(&elsewhere).expect("made");
    std::os::unix::fs::symlink(&elsewhere, site.root().join("etc/clearmld")).expect("linked");
    let said = site.init(&site.good_block(), &[]).await;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("etc/clearmld is a symbolic link"), "{}", said.err);
    assert_eq!(fs::read_dir(&elsewhere).expect("read").count(), 0, "nothing is written there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_logs_in_is_stored_for_root_alone_and_the_daemon_reads_it() {
    let site = Site::new().await;
    let said = site.init(&site.good_block(), &["--output", "json"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains(&format!("logged in at {} (ClearML ", site.server.api_url())), "{}", said.err);
    let json: serde_json::Value = serde_json::from_str(&said.out).expect("a document");
    assert_eq!((&json["changed"], json["api_url"].as_str()), (&true.into(), Some(site.server.api_url().as_str())));

    let mode = fs::metadata(site.stored()).expect("stored").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    // What the drop-in says, done by hand: the daemon's own reader finds the same server.
    let drop_in = site.root().join("etc/systemd/system/clearmld.service.d/50-credentials.conf");
    let drop_in = fs::read_to_string(drop_in).expect("written");
    let name = drop_in.lines().find_map(|line| line.strip_prefix("LoadCredential=")).expect("a credential");
    let (name, path) = name.split_once(':').expect("name and path");
    assert_eq!(path, "/etc/clearmld/credentials.conf");
    let handed = site.directory.path().join("handed");
    fs::create_dir(&handed).expect("made");
    fs::copy(site.stored(), handed.join(name)).expect("handed over");
    let config = loaded(&handed, site.directory.path());
    assert_eq!(config.server.expect("a server").api.value, site.server.api_url());
    // And what it is handed when the file is gone, it knows as that.
    let fallback = drop_in.lines().find_map(|line| line.strip_prefix(&format!("SetCredential={name}:"))).expect("one");
    fs::remove_file(handed.join(name)).expect("gone");
    fs::File::create(handed.join(name)).and_then(|mut file| file.write_all(fallback.as_bytes())).expect("written");
    let said = loaded(&handed, site.directory.path()).unconfigured.expect("a reason");
    assert!(said.contains("its file is not there"), "{said}");
}

fn loaded(credentials: &Path, home: &Path) -> config::Config {
    let environment: Environment = [("CREDENTIALS_DIRECTORY", credentials), ("HOME", home)].into_iter().collect();
    config::load(&Flags { state_dir: Some(home.join("state")), ..Flags::default() }, &environment).expect("well-formed")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_log_in_is_told_apart_and_nothing_is_written() {
    let site = Site::new().await;
    let (api, secret) = (site.server.api_url(), site.secret());
    let closed = "http://127.0.0.1:9";
    let cases = [
        (site.block(&api, "wrong"), &[][..], "refuses the key pair", "Create new credentials"),
        (site.block(closed, &secret), &[], "cannot be reached", "check the address"),
        (site.block(&site.server.files_url(), &secret), &[], "is no ClearML API server", "--api-server"),
        (site.block(&api.replace("http:", "https:"), &secret), &[], "cannot be reached", "--api-server http://127"),
        (site.block("ftp://host", &secret), &[], "its scheme is neither http nor https", "copy the block"),
        (site.good_block(), &["--ca-file", "/nowhere.pem"], "neither true, false nor a file", ""),
        ("hello".to_owned(), &[], "the credentials block", "copy the block"),
        (String::new(), &[], "it is not what the web UI shows", "copy the block"),
    ];
    for (block, more, error, hint) in cases {
        site.init(&block, more).await.fails(1, error, hint);
        assert!(!site.root().exists(), "after: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_beside_the_block_win_over_it() {
    let site = Site::new().await;
    let block = site.block("https://api.clear.ml", &site.secret());
    let said = site.init(&block, &["--api-server", &site.server.api_url(), "--web-server", "http://web:8080"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let text = fs::read_to_string(site.stored()).expect("stored");
    assert!(
        text.contains(&site.server.api_url()) && text.contains("http://web:8080"),
        "all but the secret: {}",
        text.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_init_changes_nothing_unless_it_is_told_to() {
    let site = Site::new().await;
    assert_eq!(site.init(&site.good_block(), &[]).await.code, 0);
    let before = fs::read(site.stored()).expect("stored");
    site.init(&site.good_block(), &[]).await.fails(7, "configured already", "--force");
    // Without anything to store it only looks.
    let looked = site.command(&["--output", "json"]).stdin(Stdio::null()).output().expect("it ends");
    let looked = Said::of(looked);
    assert_eq!(looked.code, 0, "{looked:?}");
    assert!(looked.out.contains("\"changed\": false"), "{}", looked.out);
    // One that fails leaves what there is, also with --force.
    site.init(&site.block(&site.server.api_url(), "wrong"), &["--force"]).await.fails(1, "refuses", "");
    assert_eq!(fs::read(site.stored()).expect("still there"), before);
    let said = site.init(&site.good_block(), &["--force", "--web-server", "http://other:8080"]).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_ne!(fs::read(site.stored()).expect("replaced"), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_and_a_terminal_it_says_how_to_give_them() {
    let site = Site::new().await;
    let said = Said::of(site.command(&[]).stdin(Stdio::null()).output().expect("it ends"));
    said.fails(2, "there are no credentials", "--credentials FILE");
    let said = Said::of(site.command(&["--credentials", "/nowhere"]).output().expect("it ends"));
    said.fails(2, "/nowhere", "");
}

#[test]
fn an_ordinary_user_is_told_what_he_can_do() {
    if !nix::unistd::geteuid().is_root() {
        let said = Command::new(env!("CARGO_BIN_EXE_clearmlctl")).arg("init").output().expect("it ends");
        Said::of(said).fails(4, "only root may do", "~/clearml.conf");
        return;
    }
    // target/ may be root's alone.
    let place = tempfile::tempdir().expect("a directory");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("opened");
    let program = place.path().join("clearmlctl");
    fs::copy(env!("CARGO_BIN_EXE_clearmlctl"), &program).expect("copied");
    let mut command = Command::new(program);
    std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    Said::of(command.arg("init").output().expect("it ends")).fails(4, "only root may do", "~/clearml.conf");
}

#[test]
fn a_host_without_systemd_is_left_as_it_is_and_told_another_way() {
    // Elsewhere it would configure this very host; tests/systemd does that in a container.
    if Path::new("/run/systemd/system").is_dir() || !nix::unistd::geteuid().is_root() {
        eprintln!("NOT RUN: this host runs systemd, or the test is not root");
        return;
    }
    let init = Command::new(env!("CARGO_BIN_EXE_clearmlctl")).args(["init", "--credentials", "/nowhere"]).output();
    Said::of(init.expect("it ends")).fails(1, "does not run systemd", "/etc/clearmld/clearml.conf");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_is_pasted_at_the_terminal_does_not_show() {
    let site = Site::new().await;
    let pty = nix::pty::openpty(None, None).expect("a terminal");
    let terminal = || Stdio::from(pty.slave.try_clone().expect("another"));
    let mut child =
        site.command(&[]).stdin(terminal()).stdout(terminal()).stderr(terminal()).spawn().expect("it starts");
    let shown = {
        let mut master = fs::File::from(pty.master.try_clone().expect("another"));
        let mut shown = String::new();
        let pasted = format!("{}\n", site.good_block());
        let mut waiting = Some(pasted);
        let reading = move || {
            let mut buffer = [0; 4096];
            // The other end is closed when this one fails.
            while let Ok(count @ 1..) = master.read(&mut buffer) {
                shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
                if shown.contains("paste it here")
                    && shown.contains("ends it):")
                    && let Some(block) = waiting.take()
                {
                    // The terminal is made quiet after the question; a person takes longer than that.
                    std::thread::sleep(Duration::from_millis(500));
                    master.write_all(block.as_bytes()).expect("pasted");
                }
                if shown.contains("is configured") || shown.contains("error: ") {
                    break;
                }
            }
            shown
        };
        tokio::time::timeout(Duration::from_secs(30), tokio::task::spawn_blocking(reading)).await
    };
    let shown = shown.expect("it ends in time").expect("no panic");
    assert!(child.wait().expect("it ends").success(), "{shown}");
    assert!(site.stored().exists());
    assert!(!shown.contains(&site.secret()) && !shown.contains("access_key"), "{shown}");
    let after = nix::sys::termios::tcgetattr(pty.slave.as_fd()).expect("a terminal");
    assert!(after.local_flags.contains(nix::sys::termios::LocalFlags::ECHO), "the terminal shows again");
}
