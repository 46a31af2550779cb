//! Real git, with repositories in directories of the test.

use std::path::{Path, PathBuf};
use std::process::Command;

use clearmld::domain::handover::*;
use tempfile::TempDir;

use crate::world::{World, file, lines, said, write};

struct Remote {
    root: TempDir,
}

impl Remote {
    fn new() -> Self {
        let remote = Self { root: tempfile::tempdir().expect("a directory") };
        remote.git("work", &["init", "--quiet", "--initial-branch", "main", "."]);
        remote
    }

    fn git(&self, directory: &str, words: &[&str]) -> String {
        let directory = self.root.path().join(directory);
        std::fs::create_dir_all(&directory).expect("made");
        let output = Command::new("git")
            .args(["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"])
            .args(words)
            .current_dir(directory)
            .output()
            .expect("git");
        assert!(output.status.success(), "{words:?}: {}", said(&output));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    fn commit(&self, name: &str, text: &str) -> String {
        write(&self.work().join(name), text);
        self.git("work", &["add", "--all"]);
        self.git("work", &["commit", "--quiet", "-m", "x"]);
        self.git("work", &["rev-parse", "HEAD"])
    }

    fn url(&self) -> String {
        format!("file://{}", self.work().display())
    }

    fn repository(&self) -> Repository {
        Repository { url: self.url(), commit: None, tag: None, branch: None }
    }
}

fn world(repository: Repository, overlay: Overlay) -> World {
    World::new(SourceSpec { repository: Some(repository), overlay }, lines(""), file("train.py"))
}

fn again(world: &World) {
    std::fs::remove_dir_all(world.code()).expect("removed");
    std::fs::create_dir(world.code()).expect("made");
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn branch_tag_and_commit_are_checked_out_and_the_code_is_a_repository_of_its_own() {
    let remote = Remote::new();
    let first = remote.commit("train.py", "print(1)\n");
    remote.git("work", &["tag", "-a", "v1", "-m", "x"]);
    remote.git("work", &["checkout", "--quiet", "-b", "dev"]);
    let second = remote.commit("train.py", "print(2)\n");
    remote.git("work", &["checkout", "--quiet", "main"]);
    let third = remote.commit("train.py", "print(3)\n");
    let mut world = world(remote.repository(), Overlay::None);
    let mut fetched = |commit: Option<&str>, tag: Option<&str>, branch: Option<&str>| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let url = remote.url();
        world.spec.source.repository =
            Some(Repository { url, commit: owned(commit), tag: owned(tag), branch: owned(branch) });
        again(&world);
        let commit = world.source().expect("a commit");
        assert_eq!(read(&world.code().join(".git/HEAD")).trim(), commit);
        assert!(read(&world.code().join(".git/config")).contains(&remote.url()));
        (commit, read(&world.code().join("train.py")))
    };
    assert_eq!(fetched(None, None, None), (third, "print(3)\n".to_owned()));
    assert_eq!(fetched(None, None, Some("dev")), (second.clone(), "print(2)\n".to_owned()));
    assert_eq!(fetched(None, Some("v1"), Some("dev")), (first.clone(), "print(1)\n".to_owned()));
    assert_eq!(fetched(Some(&second), Some("v1"), None), (second.clone(), "print(2)\n".to_owned()));
    assert_eq!(fetched(Some(&first[..8]), None, None).0, first);
    // What is pushed later is fetched, though the mirror exists.
    let fourth = remote.commit("train.py", "print(4)\n");
    assert_eq!(fetched(Some(&fourth), None, None).1, "print(4)\n");
}

#[test]
fn the_program_runs_in_the_repository_with_the_uncommitted_changes() {
    let remote = Remote::new();
    let commit = remote.commit("src/train.py", "import lib\nprint('was', lib.X)\n");
    remote.commit("src/lib.py", "X = 1\n");
    let commit_of_lib = remote.git("work", &["rev-parse", "HEAD"]);
    assert_ne!(commit, commit_of_lib);
    write(&remote.work().join("src/train.py"), "import lib\nprint('is', lib.X)  \n");
    let diff = remote.git("work", &["diff"]);
    let diff = format!(
        "{diff}\ndiff --git a/src/lost.py b/src/lost.py\n--- a/src/lost.py\n+++ b/src/lost.py\n@@ -0,0 +1 @@\n+Y = 2"
    );
    let mut world =
        world(Repository { commit: Some(commit_of_lib), ..remote.repository() }, Overlay::Diff { text: diff });
    world.spec.program.working_dir = "src".into();
    world.source();
    assert_eq!(read(&world.code().join("src/lost.py")), "Y = 2\n");
    let plan = world.plan().expect("a plan");
    world.build(&plan);
    let output = world.program(Some(plan));
    assert!(said(&output).contains("is 1"), "{}", said(&output));
}

#[test]
fn submodules_are_fetched_too() {
    let (remote, inner) = (Remote::new(), Remote::new());
    inner.commit("inner.py", "X = 1\n");
    remote.commit("train.py", "pass\n");
    remote.git("work", &["submodule", "--quiet", "add", &inner.url(), "sub"]);
    remote.commit("other.py", "pass\n");
    let world = world(remote.repository(), Overlay::None);
    world.source();
    assert_eq!(read(&world.code().join("sub/inner.py")), "X = 1\n");
}

#[test]
fn what_is_missing_is_named_with_the_next_step() {
    let remote = Remote::new();
    remote.commit("train.py", "pass\n");
    let reason = |repository: Repository| world(repository, Overlay::None).failure(Act::Source);
    let url = format!("file://{}/nowhere.git", remote.root.path().display());
    let text = reason(Repository { url, ..remote.repository() });
    assert!(text.contains("nowhere.git` cannot be read") && text.contains("check its address"), "{text}");
    let text = reason(Repository { url: "https://git.invalid/a.git".into(), ..remote.repository() });
    assert!(text.contains("Could not resolve host"), "{text}");
    let commit = "0123456789012345678901234567890123456789";
    let text = reason(Repository { commit: Some(commit.into()), ..remote.repository() });
    assert!(text.contains(&format!("has no commit `{commit}`; push it")), "{text}");
    let text = reason(Repository { branch: Some("gone".into()), ..remote.repository() });
    assert!(text.contains("has no branch `gone`"), "{text}");
    let empty = Remote::new();
    assert!(reason(empty.repository()).contains("has no commit yet"));
}

#[test]
fn a_diff_that_does_not_apply_is_said_in_gits_own_words() {
    let remote = Remote::new();
    remote.commit("train.py", "print(1)\n");
    let text = "diff --git a/train.py b/train.py\n--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-print(7)\n+print(8)\n";
    let reason = world(remote.repository(), Overlay::Diff { text: text.into() }).failure(Act::Source);
    assert!(reason.contains("do not apply") && reason.contains("train.py:1"), "{reason}");
}

#[test]
fn a_diff_cannot_write_outside_the_code() {
    let remote = Remote::new();
    remote.commit("train.py", "print(1)\n");
    let text = "diff --git a/../x b/../x\n--- a/../x\n+++ b/../x\n@@ -0,0 +1 @@\n+evil\n";
    let world = world(remote.repository(), Overlay::Diff { text: text.into() });
    world.failure(Act::Source);
    assert!(!world.root.path().join("x").exists());
}

#[test]
fn a_mirror_answers_nobody_who_cannot_read_the_repository() {
    let remote = Remote::new();
    let commit = remote.commit("train.py", "pass\n");
    let world = world(Repository { commit: Some(commit), ..remote.repository() }, Overlay::None);
    world.source();
    again(&world);
    std::fs::remove_dir_all(remote.work()).expect("removed");
    assert!(world.failure(Act::Source).contains("cannot be read"));
}

#[test]
fn a_git_configuration_in_the_payloads_home_does_nothing() {
    let remote = Remote::new();
    let commit = remote.commit("train.py", "pass\n");
    let world = world(remote.repository(), Overlay::None);
    let home = world.root.path().join("home");
    write(&home.join(".gitconfig"), "[url \"file:///nowhere\"]\n\tinsteadOf = file://\n");
    assert_eq!(world.source(), Some(commit));
}

#[test]
fn two_runs_that_want_the_same_repository_at_once_both_get_it() {
    let remote = Remote::new();
    let commit = remote.commit("train.py", "pass\n");
    let worlds = [world(remote.repository(), Overlay::None), world(remote.repository(), Overlay::None)];
    let mirrors = worlds[0].root.path().join("mirrors");
    std::thread::scope(|scope| {
        let runs = worlds.each_ref().map(|world| {
            let mut order = world.order(Act::Source);
            order.paths.mirrors.clone_from(&mirrors);
            scope.spawn(move || clearmld::payload::run_stage(&order))
        });
        for run in runs {
            let report = run.join().expect("no panic");
            assert_eq!(report, StageReport::Source(SourceReport { commit: Some(commit.clone()) }));
        }
    });
}

#[test]
fn a_literal_script_does_not_replace_a_file_of_the_repository() {
    let remote = Remote::new();
    remote.commit("train.py", "print(1)\n");
    let overlay = |file: &str| Overlay::Script { file: file.into(), text: "print(2)".into() };
    let mut world = world(remote.repository(), overlay("train.py"));
    world.source();
    assert_eq!(read(&world.code().join("train.py")), "print(1)\n");
    again(&world);
    world.spec.source.overlay = overlay("a/new.py");
    world.source();
    assert_eq!(read(&world.code().join("a/new.py")), "print(2)\n");
}

#[test]
fn a_link_in_the_repository_does_not_lead_the_tasks_script_into_the_mirrors_of_others() {
    let remote = Remote::new();
    let script = Overlay::Script { file: "out/evil.git/config".into(), text: "[core]\n\thooksPath = /x\n".into() };
    let mut world = world(remote.repository(), script);
    let mirrors = world.root.path().join("mirrors");
    std::os::unix::fs::symlink(&mirrors, remote.work().join("out")).expect("linked");
    world.spec.source.repository.as_mut().expect("one").commit = Some(remote.commit("train.py", "print(1)\n"));
    assert!(world.failure(Act::Source).contains("out of the code directory"));
    assert!(!mirrors.join("evil.git").exists());
}

#[test]
fn a_mirror_has_a_name_that_no_task_can_guess() {
    let remote = Remote::new();
    remote.commit("train.py", "print(1)\n");
    let names = [(); 2].map(|()| {
        let world = world(remote.repository(), Overlay::None);
        world.source();
        again(&world);
        world.source();
        let entries = std::fs::read_dir(world.root.path().join("mirrors")).expect("listed");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("an entry").file_name()).collect();
        names.sort();
        assert_eq!(names.len(), 3, "a mirror, its lock and the salt: {names:?}");
        names
    });
    assert_ne!(names[0], names[1]);
}
