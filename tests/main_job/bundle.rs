//! `clearmlctl debug bundle`: everything that is needed, and no secret, wherever one was planted.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::world::World;

/// Each of them stands somewhere below; the last is known by its value alone.
const PLANTED: [&str; 7] = [
    "git-password-hunter2x",
    "index-password-s3cr3t",
    "storage-secret-AbCdEf012345",
    "variable-secret-99bottles",
    "ghp_0123456789abcdefghijABCDEFGHIJ",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJlLXg",
    "plain-value-with-no-name-12",
];

/// Stands in addresses only: nobody can know it by its value.
const IN_AN_ADDRESS: &str = "task-url-password-77";

const CONFIGURATION: &str = r#"
agent {
  git_user: "me"
  git_pass: "git-password-hunter2x"
  package_manager.extra_index_url: ["https://user:index-password-s3cr3t@pypi.invalid/simple"]
}
sdk.aws.s3 { key: "AKIAABCDEFGHIJKLMNOP", secret: "storage-secret-AbCdEf012345" }
environment { DB_SECRET: "variable-secret-99bottles", SOMETHING: "plain-value-with-no-name-12" }
"#;

/// A journal that has seen them all: one with a name, one in a header, the others bare.
fn bad_journal(world: &World) -> PathBuf {
    let bin = world.path().join("bad-journal");
    fs::create_dir_all(&bin).expect("made");
    let key = api_secret(world);
    let all = PLANTED.iter().copied().chain([key.as_str()]);
    let lines: String = all.map(|secret| format!("echo 'seen {secret} in passing'\n")).collect();
    let script = format!(
        "#!/bin/sh\n{lines}echo 'Authorization: Bearer {key}'\necho 'secret_key={key} x'\n\
         echo 'cloning https://u:{IN_AN_ADDRESS}@host/x'\necho 'the journal was read'\n"
    );
    fs::write(bin.join("journalctl"), script).expect("written");
    fs::set_permissions(bin.join("journalctl"), fs::Permissions::from_mode(0o755)).expect("set");
    bin
}

fn api_secret(world: &World) -> String {
    let variables = world.server_environment();
    let found = variables.into_iter().find(|(name, _)| *name == "CLEARML_API_SECRET_KEY");
    found.expect("the world has one").1
}

fn bundle(world: &World, file: &Path) -> Output {
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new(env!("CARGO_BIN_EXE_clearmlctl"))
        .args(["debug", "bundle", "--file"])
        .arg(file)
        .env("CLEARMLD_SOCKET", world.socket())
        .env("PATH", format!("{}:{path}", bad_journal(world).display()))
        .output()
        .expect("clearmlctl starts")
}

/// The texts of its files, by name.
fn unpacked(file: &Path) -> Vec<(String, String)> {
    let to = tempfile::tempdir().expect("a directory");
    let status = Command::new("tar").arg("-xzf").arg(file).arg("-C").arg(to.path()).status().expect("tar starts");
    assert!(status.success());
    let top = fs::read_dir(to.path()).expect("listed").next().expect("a directory").expect("an entry").path();
    let files = fs::read_dir(top).expect("listed").map(|entry| entry.expect("an entry").path());
    files
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, String::from_utf8_lossy(&fs::read(&path).expect("read")).into_owned())
        })
        .collect()
}

fn text<'a>(files: &'a [(String, String)], name: &str) -> &'a str {
    let found = files.iter().find(|(found, _)| found == name);
    &found.unwrap_or_else(|| panic!("no {name} in {:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>())).1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_has_what_is_needed_and_no_planted_secret() {
    let mut world = World::without_daemon().await;
    world.bring_uv();
    world.configure(CONFIGURATION);
    let world = world.started();
    let script = format!(
        "print('clone https://u:{}@host/x', flush=True)\nraise SystemExit('token={} and {}')",
        IN_AN_ADDRESS, PLANTED[4], PLANTED[5]
    );
    let task = world
        .submit_with(|submission| {
            submission.name = format!("train https://u:{IN_AN_ADDRESS}@git.invalid/x");
            submission.diff = Some(script);
        })
        .await;
    world.fails(&task).await;
    let file = world.path().join("bundle.tar.gz");
    let output = bundle(&world, &file);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    let files = unpacked(&file);
    let key = api_secret(&world);
    for (name, content) in &files {
        for secret in PLANTED.iter().copied().chain(["AKIAABCDEFGHIJKLMNOP", IN_AN_ADDRESS, key.as_str()]) {
            assert!(!content.contains(secret), "{secret} is in {name}:\n{content}");
        }
    }
    assert!(text(&files, "journal-daemon.txt").contains("the journal was read"), "{files:#?}");
    assert!(text(&files, "runs.json").contains(task.as_str()));
    for name in ["status.json", "workers.json", "runs.json", "configuration.json", "doctor.json"] {
        serde_json::from_str::<serde_json::Value>(text(&files, name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let configuration = text(&files, "configuration.json");
    assert!(configuration.contains("agent.git_pass") && configuration.contains("clearml.conf"), "{configuration}");
    assert!(text(&files, "os-release.txt").contains("NAME=") && text(&files, "mounts.txt").contains(" / "));
    assert!(text(&files, "README.txt").contains("by what the daemon knows"));
    let again = bundle(&world, &file);
    assert_eq!(again.status.code(), Some(1), "what is there is not overwritten");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_there_is_a_bundle_that_says_what_it_could_not_know() {
    let mut world = World::new().await;
    world.kill_daemon();
    let file = world.path().join("bundle.tar.gz");
    let output = bundle(&world, &file);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("read the bundle before you send it"), "{said}");
    let files = unpacked(&file);
    assert!(text(&files, "README.txt").contains("by how they look only"));
    assert!(text(&files, "doctor.txt").contains("does not answer"));
    // What looks like a secret goes all the same.
    let journal = text(&files, "journal-daemon.txt");
    assert!(journal.contains("secret_key=**** x") && !journal.contains(PLANTED[4]), "{journal}");
}
