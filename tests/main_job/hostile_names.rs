//! What a task's author writes into the fields of a task. The source stage may write to the mirrors of all runs of its
//! user and knows the passwords of git, so no field may make it run anything, or write anywhere but to the code.

use std::path::{Path, PathBuf};

use clearmld::engine::ports::Submission;

use super::source::repository;
use super::world::{World, is_root};

/// As the source stage would see the mirrors.
const THERE: &str = "/clearml/cache/mirrors/escaped";

type Set = fn(&mut Submission, String);

fn escaped(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with("escaped") {
            found.push(path);
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            escaped(&path, found);
        }
    }
}

/// A diff with a new file or link.
fn adding(mode: &str, path: &str, line: &str) -> String {
    format!(
        "diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+{line}\n\\ No newline at end of file\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn no_field_of_a_task_runs_anything_or_writes_anywhere_before_its_program() {
    assert!(is_root(), "this test needs root for a sandbox: run `sudo make test`");
    let world = World::new().await;
    let (url, _, _) = repository(&world);
    let base = Path::new(url.strip_prefix("file://").expect("a file URL")).parent().expect("a parent").to_owned();
    let good = |task: &mut Submission| {
        task.repository = Some(url.clone());
        task.branch = Some("main".into());
        task.entry_point = "pkg/train.py".into();
    };
    // With a mirror to write to.
    let task = world.submit_with(good).await;
    world.completes(&task).await;
    let mut mirrors = std::fs::read_dir(world.path().join("state/cache")).expect("caches").flatten();
    let filled =
        |user: std::fs::DirEntry| std::fs::read_dir(user.path().join("mirrors")).is_ok_and(|all| all.count() > 0);
    assert!(mirrors.any(filled), "the test itself works");
    let fields: [(&str, Set); 6] = [
        ("repository", |task, text| task.repository = Some(text)),
        ("branch", |task, text| task.branch = Some(text)),
        ("commit", |task, text| task.commit = Some(text)),
        ("working_dir", |task, text| task.working_dir = text),
        ("entry_point", |task, text| task.entry_point = text),
        ("diff", |task, text| task.diff = Some(text)),
    ];
    let state = world.path().join("state").display().to_string();
    let link = adding("120000", "out", "/clearml/cache/mirrors");
    let hostile = [
        ("repository", format!("ext::sh -c touch% {THERE}1")),
        ("repository", "ext::/usr/bin/id".into()),
        ("repository", format!("--upload-pack=touch {THERE}2")),
        ("repository", format!("ssh://-oProxyCommand=touch${{IFS}}{THERE}3/x.git")),
        ("repository", format!("-oProxyCommand=touch {THERE}4:x.git")),
        ("repository", format!("file://{state}/server")),
        ("repository", format!("{url}\ntouch {THERE}5")),
        ("branch", format!("--upload-pack=touch {THERE}6")),
        ("branch", format!("main;touch {THERE}7")),
        ("branch", format!("$(touch {THERE}8)")),
        ("commit", format!("--output={THERE}9")),
        ("commit", format!("HEAD^{{/`touch {THERE}10`}}")),
        ("working_dir", "../../../../../..".into()),
        ("working_dir", "pkg/../../../../etc".into()),
        ("working_dir", "/etc".into()),
        ("entry_point", "../../../../../usr/bin/env".into()),
        ("entry_point", "/etc/passwd".into()),
        ("entry_point", format!("pkg/none.py; touch {THERE}11")),
        ("diff", adding("100644", "../../clearml/cache/mirrors/escaped12", "x")),
        ("diff", adding("100644", "/clearml/cache/mirrors/escaped13", "x")),
        ("diff", link + &adding("100644", "out/escaped14", "x")),
        ("diff", adding("100755", ".git/hooks/post-checkout", "touch /clearml/cache/mirrors/escaped15")),
        ("diff", adding("100644", ".git/config", "[core]\n+\tfsmonitor = touch /clearml/cache/mirrors/escaped16")),
    ];
    for (field, text) in hostile {
        let (_, set) = fields.iter().find(|(name, _)| *name == field).expect("a field");
        let task = world
            .submit_with(|task| {
                good(task);
                set(task, text.clone());
            })
            .await;
        let detail = world.end(&task).await.task;
        assert_eq!(detail.status, "failed", "{field} = {text}: {}", world.log(&task).await);
        let reason = &detail.status_reason;
        assert!(!reason.contains("execution exit code"), "{field} = {text}: its program has run: {reason}");
    }
    let mut found = Vec::new();
    for directory in [&world.path().join("state"), &base] {
        escaped(directory, &mut found);
    }
    assert_eq!(found, Vec::<PathBuf>::new());
}
