use std::path::Path;
use std::process::Command;

use super::world::World;

fn git(directory: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always"])
        .args(args)
        .current_dir(directory)
        .output()
        .expect("git starts");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A bare repository that anybody may read, with two commits; its URL and both.
pub(crate) fn repository(world: &World) -> (String, String, String) {
    use std::os::unix::fs::PermissionsExt;
    // A sandbox has a /tmp of its own, so as root the repository stands where a host would have it.
    let place = if super::world::is_root() { "/srv" } else { "/tmp" };
    let base = tempfile::Builder::new().prefix("clearmld-git.").tempdir_in(place).expect("a directory");
    let base = world.keep(base);
    std::fs::set_permissions(&base, std::fs::Permissions::from_mode(0o755)).expect("opened");
    let work = base.join("work");
    std::fs::create_dir(&work).expect("made");
    git(&work, &["init", "-q", "-b", "main"]);
    std::fs::create_dir(work.join("pkg")).expect("made");
    std::fs::write(work.join("pkg/__init__.py"), "").expect("written");
    std::fs::write(work.join("pkg/train.py"), "print('version one')\n").expect("written");
    git(&work, &["add", "."]);
    git(&work, &["commit", "-q", "-m", "one"]);
    let one = git(&work, &["rev-parse", "HEAD"]);
    std::fs::write(work.join("pkg/train.py"), "import sys\nprint('version two', sys.argv[1:])\n").expect("written");
    git(&work, &["commit", "-q", "-am", "two"]);
    let two = git(&work, &["rev-parse", "HEAD"]);
    git(&base, &["clone", "-q", "--bare", "work", "project.git"]);
    (format!("file://{}/project.git", base.display()), one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn code_comes_from_git_by_branch_and_commit_with_the_diff_applied() {
    let world = World::new().await;
    let (url, one, two) = repository(&world);
    let task = world
        .submit_with(|task| {
            task.repository = Some(url.clone());
            task.branch = Some("main".into());
            task.entry_point = "-m pkg.train --epochs 3".into();
        })
        .await;
    let log = world.completes(&task).await;
    assert!(log.contains("version two ['--epochs', '3']"), "{log}");
    assert_eq!(world.task(&task).await.commit.as_deref(), Some(two.as_str()), "the commit is sent back");

    let task = world
        .submit_with(|task| {
            task.repository = Some(url.clone());
            task.commit = Some(one.clone());
            task.entry_point = "train.py".into();
            task.working_dir = "pkg".into();
            task.diff = Some(
                "diff --git a/pkg/train.py b/pkg/train.py\n--- a/pkg/train.py\n+++ b/pkg/train.py\n@@ -1 +1 @@\n-print('version one')\n+print('version one, changed')\n"
                    .into(),
            );
        })
        .await;
    assert!(world.completes(&task).await.contains("version one, changed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_repository_commit_or_a_diff_that_does_not_apply_fails_with_the_reason() {
    let world = World::new().await;
    let (url, one, _) = repository(&world);
    let task = world
        .submit_with(|task| {
            task.repository = Some("file:///nowhere/project.git".into());
            task.entry_point = "x.py".into();
        })
        .await;
    let reason = world.fails(&task).await;
    assert!(reason.contains("source stage failed") && reason.contains("/nowhere/project.git"), "{reason}");
    let task = world
        .submit_with(|task| {
            task.repository = Some(url.clone());
            task.commit = Some("0123456789012345678901234567890123456789".into());
            task.entry_point = "pkg/train.py".into();
        })
        .await;
    let reason = world.fails(&task).await;
    assert!(reason.contains("0123456789"), "{reason}");
    let task = world
        .submit_with(|task| {
            task.repository = Some(url.clone());
            task.commit = Some(one);
            task.entry_point = "pkg/train.py".into();
            task.diff = Some("diff --git a/pkg/train.py b/pkg/train.py\n--- a/pkg/train.py\n+++ b/pkg/train.py\n@@ -1 +1 @@\n-nothing like it\n+x\n".into());
        })
        .await;
    let reason = world.fails(&task).await;
    assert!(reason.contains("source stage failed") && reason.contains("apply"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn uv_is_fetched_where_there_is_none_and_packages_are_installed_once() {
    let world = World::without_daemon().await.started();
    let script = "import six\nprint('six', six.__version__)\n";
    let first = world.submit(script, "six==1.16.0\n").await;
    assert!(world.completes(&first).await.contains("six 1.16.0"));
    let second = world.submit(script, "six==1.16.0\n").await;
    let log = world.completes(&second).await;
    assert!(log.contains("six 1.16.0"), "{log}");
    let show = world.json(&["run", "show", second.as_str()]).to_string();
    assert!(show.contains("\"environment_cached\":true"), "{show}");
    assert!(world.task(&first).await.requirements.unwrap_or_default().contains("six==1.16.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_that_want_the_same_environment_at_once_build_it_once() {
    let world = World::new().await;
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default"]);
    let script = "import iniconfig\nprint('found')\n";
    let first = world.submit(script, "iniconfig==2.0.0\n").await;
    let second = world.submit(script, "iniconfig==2.0.0\n").await;
    world.completes(&first).await;
    world.completes(&second).await;
    let cached: Vec<bool> = [first, second]
        .iter()
        .map(|task| world.json(&["run", "show", task.as_str()]).to_string().contains("\"environment_cached\":true"))
        .collect();
    assert_eq!(cached.iter().filter(|cached| **cached).count(), 1, "{cached:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_impossible_requirement_fails_in_the_environment_stage_with_the_installers_words() {
    let world = World::new().await;
    let task = world.submit("print('never')\n", "six==99.99\n").await;
    let reason = world.fails(&task).await;
    assert!(reason.contains("environment stage failed") && reason.contains("six"), "{reason}");
}
