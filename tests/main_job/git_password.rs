//! A repository behind a password that stands in clearml.conf.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::source::repository;
use super::world::World;

const PASSWORD: &str = "pa55-0f-the-git-server";

struct GitServer {
    child: Child,
    url: String,
}

impl GitServer {
    fn start(root: &Path) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/main_job/git_http.py");
        let mut child = Command::new("/usr/bin/python3")
            .arg(program)
            .arg(root)
            .arg("reader")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        writeln!(child.stdin.take().expect("piped"), "{PASSWORD}").expect("told");
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut port).expect("read");
        Self { child, url: format!("http://127.0.0.1:{}/project.git", port.trim()) }
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn world(password: &str) -> World {
    let mut world = World::without_daemon().await;
    world.bring_uv();
    world.configure(&format!("agent {{\n  git_user: \"reader\"\n  git_pass: \"{password}\"\n}}\n"));
    world.start_daemon();
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default"]);
    world
}

/// Samples every process's command line; gives those that hold `secret`, and whether git was seen at all.
fn sample(secret: &'static str, over: Arc<AtomicBool>) -> std::thread::JoinHandle<(BTreeSet<String>, bool)> {
    std::thread::spawn(move || {
        let (mut found, mut git) = (BTreeSet::new(), false);
        while !over.load(Ordering::Relaxed) {
            for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
                let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                git |= line.contains("git") && line.contains("fetch");
                if line.contains(secret) {
                    found.insert(line);
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        (found, git)
    })
}

/// Files below `directory` that hold `secret`.
fn holding(directory: &Path, secret: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).expect("read").flatten() {
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            holding(&entry.path(), secret, found);
        } else if kind.is_file() && entry.metadata().is_ok_and(|file| file.len() < 10 << 20) {
            let content = std::fs::read(entry.path()).expect("read");
            if content.windows(secret.len()).any(|window| window == secret.as_bytes()) {
                found.push(entry.path().display().to_string());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_behind_a_password_is_cloned_and_the_password_is_seen_nowhere() {
    let world = world(PASSWORD).await;
    let (file, _, _) = repository(&world);
    let root = Path::new(file.trim_start_matches("file://")).parent().expect("its directory");
    let server = GitServer::start(root);
    let over = Arc::new(AtomicBool::new(false));
    let sampler = sample(PASSWORD, Arc::clone(&over));
    let task = world
        .submit_with(|task| {
            task.repository = Some(server.url.clone());
            task.branch = Some("main".into());
            task.entry_point = "-m pkg.train".into();
        })
        .await;
    let log = world.completes(&task).await;
    over.store(true, Ordering::Relaxed);
    let (lines, git) = sampler.join().expect("sampled");
    assert!(log.contains("version two"), "{log}");
    assert!(git, "the sampling itself works");
    assert_eq!(lines, BTreeSet::new());
    assert!(!log.contains(PASSWORD), "{log}");
    assert!(!world.ok(&["run", "logs", task.as_str()]).contains(PASSWORD));
    assert!(!world.daemon_log().contains(PASSWORD));
    world.until("settled", |world| world.json(&["run", "list"])[0]["phase"] == "settled").await;
    let mut found = Vec::new();
    holding(&world.state, PASSWORD, &mut found);
    assert_eq!(found, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_git_password_fails_the_task_with_a_reason_that_says_so() {
    let world = world("not-the-password").await;
    let (file, _, _) = repository(&world);
    let root = Path::new(file.trim_start_matches("file://")).parent().expect("its directory");
    let server = GitServer::start(root);
    let task = world
        .submit_with(|task| {
            task.repository = Some(server.url.clone());
            task.entry_point = "-m pkg.train".into();
        })
        .await;
    let reason = world.fails(&task).await;
    assert!(reason.contains("source stage failed") && reason.contains("uthentication failed"), "{reason}");
    assert!(reason.contains(&server.url), "{reason}");
    assert!(!reason.contains("not-the-password"), "{reason}");
}
