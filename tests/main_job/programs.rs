//! Programs of different kinds, and what they are given.

use serde_json::json;

use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_python_that_is_not_here_is_replaced_with_a_warning() {
    let world = World::new().await;
    let task = world
        .submit_with(|task| {
            task.binary = "python3.99".into();
            task.diff = Some("import sys\nprint('ran with', sys.version_info[:2])\n".into());
        })
        .await;
    let log = world.completes(&task).await;
    assert!(log.contains("ran with (3, "), "{log}");
    let warning = log.lines().find(|line| line.contains("[clearmld]") && line.contains("3.99"));
    assert!(warning.is_some(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bash_script_runs_as_one() {
    let world = World::new().await;
    let task = world
        .submit_with(|task| {
            task.binary = "/bin/bash".into();
            task.entry_point = "train.sh 'two words' three".into();
            task.diff =
                Some("set -eu\n[[ ${BASH_VERSION:-} ]]\nfor word in \"$@\"; do echo \"<$word>\"; done\n".into());
        })
        .await;
    let log = world.completes(&task).await;
    assert!(log.contains("<two words>\n<three>\n"), "{log}");
    let task = world
        .submit_with(|task| {
            task.binary = "/bin/bash".into();
            task.entry_point = "train.sh".into();
            task.diff = Some("echo before\nfalse || exit 3\n".into());
        })
        .await;
    let reason = world.fails(&task).await;
    assert!(reason.contains("exit code 3"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_files_and_arguments_with_spaces_arrive_as_they_were_written() {
    let world = World::new().await;
    let script = "import sys\nprint('arguments', sys.argv[1:], __name__)\n";
    for (entry, directory) in [
        (r#"program.py --name "two words" 'single "inside"' back\ slash"#, "."),
        (r#"-m program --name "two words" 'single "inside"' back\ slash"#, ".:program.py"),
    ] {
        let task = world
            .submit_with(|task| {
                task.entry_point = entry.into();
                task.working_dir = directory.into();
                task.diff = Some(script.into());
            })
            .await;
        let log = world.completes(&task).await;
        let wanted = r#"arguments ['--name', 'two words', 'single "inside"', 'back slash'] __main__"#;
        assert!(log.contains(wanted), "{entry}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_of_a_task_are_set_only_where_the_host_allows_it() {
    let mut world = World::new().await;
    let script = "import os\nprint('mode', os.environ.get('TRAINING_MODE'), 'user', os.environ.get('USER'))\n";
    let submit = async |world: &World| {
        let task = world
            .submit_with(|task| {
                task.queue = None;
                task.diff = Some(script.into());
            })
            .await;
        let variable = |name: &str, value: &str| json!({"section": "Environment", "name": name, "value": value});
        world.api(
            "tasks.edit_hyper_params",
            &json!({
                "task": task.as_str(),
                "hyperparams": [variable("TRAINING_MODE", "fast and loose"), variable("not a name", "x")],
            }),
        );
        world.ok(&["task", "enqueue", "--queue", "default", task.as_str()]);
        task
    };
    let task = submit(&world).await;
    let log = world.completes(&task).await;
    assert!(log.contains("mode None"), "{log}");
    world.kill_daemon();
    world.configure("agent.enable_task_env: true\n");
    world.start_daemon();
    let task = submit(&world).await;
    let log = world.completes(&task).await;
    assert!(log.contains("mode fast and loose"), "{log}");
}
