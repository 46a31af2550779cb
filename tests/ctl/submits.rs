//! Tasks from this host.

use super::*;

fn script(directory: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
    let path = directory.path().join(name);
    fs::File::create(&path).and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes())).expect("a file");
    path
}

#[tokio::test]
async fn a_script_is_submitted_whole_and_followed_to_its_results() {
    let daemon = Daemon::open(outside);
    let directory = tempfile::tempdir().expect("a directory");
    let path = script(&directory, "train.py", "print('hello')\n");
    let path = path.to_str().expect("text");
    let said = ctl(
        &daemon,
        &[
            "submit", path, "--queue", "default", "--arg", "lr=0.1", "--python", "3.11", "--follow", "--", "--epochs",
            "it's 3",
        ],
    )
    .await;
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.starts_with(GONE_OUTPUT), "{}", said.out);
    for part in ["loss", "0.25", "model.pkl"] {
        assert!(said.out.contains(part), "{part} in {}", said.out);
    }
    assert!(said.err.contains("is queued") && said.err.contains("is completed"), "{}", said.err);
    let asked = daemon.asked().pop().expect("a submission");
    for part in [
        r#"name: "train""#,
        r#"binary: "python3.11""#,
        r#"entry_point: "train.py --epochs 'it'\\''s 3'""#,
        r#"diff: Some("print('hello')\n")"#,
        r#"requirements: Some("")"#,
        r#"arguments: [("lr", "0.1")]"#,
        r#"queue: Some("default")"#,
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
}

#[tokio::test]
async fn following_a_task_that_fails_fails() {
    let daemon = Daemon::open(outside);
    let directory = tempfile::tempdir().expect("a directory");
    let path = script(&directory, "x.py", "boom\n");
    let arguments = ["submit", path.to_str().expect("text"), "--name", "bad", "-q", "default", "-f", "-o", "json"];
    let said = ctl(&daemon, &arguments).await;
    assert_eq!(said.code, 1);
    assert!(said.err.contains("ended failed: worker execution exit code 1"), "{}", said.err);
    let lines = said.lines();
    assert_eq!(lines[0]["text"], "epoch 1");
    assert_eq!(lines.last().expect("the task")["task"]["status"], "failed");
}

#[tokio::test]
async fn a_repository_is_submitted_with_its_own_requirements() {
    let daemon = Daemon::open(outside);
    let said =
        ctl(&daemon, &["submit", "--repo", "https://h/r.git", "--commit", "abc", "--entry-point", "-m pkg.train"])
            .await;
    assert_eq!((said.code, said.out.trim()), (0, TASK), "{}", said.err);
    let asked = daemon.asked().pop().expect("a submission");
    for part in [
        r#"repository: Some("https://h/r.git")"#,
        "requirements: None",
        r#"entry_point: "-m pkg.train""#,
        "queue: None",
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
}
