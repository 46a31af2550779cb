//! A daemon without rights, which is `nobody`'s where root tests: fewer walls, the same main job.

use std::process::Output;

use super::daemon_dies::nothing_is_lost;
use super::escape::nothing_escapes;
use super::source::repository;
use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn status_names_what_a_daemon_without_rights_cannot_do() {
    let world = World::of_an_ordinary_user().await;
    let status = world.json(&["status"]);
    assert_eq!(status["launcher"], "direct");
    let said = format!("{}{}", status["missing"], status["remarks"]);
    for part in ["no cgroup for runs", "no namespaces", "see that user's files"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let refused = world.ctl(&["worker", "add", "--cpu-only", "--queue", "default", "--user", "daemon"]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && error.contains("run clearmld as root"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn git_and_uv_work_for_an_ordinary_user_and_the_second_environment_is_cached() {
    // Its daemon fetches uv by itself.
    let world = World::without_daemon().await.given_to_an_ordinary_user().started();
    let (url, _, _) = repository(&world);
    let submit = async || {
        world
            .submit_with(|task| {
                task.repository = Some(url.clone());
                task.branch = Some("main".into());
                task.entry_point = "-m pkg.train".into();
                task.requirements = Some("six==1.16.0\n".into());
            })
            .await
    };
    let first = submit().await;
    assert!(world.completes(&first).await.contains("version two"));
    let second = submit().await;
    assert!(world.completes(&second).await.contains("version two"));
    assert_eq!(world.json(&["run", "show", second.as_str()])["environment_cached"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_run_outlives_it_without_cgroup_and_namespaces() {
    nothing_escapes(&World::of_an_ordinary_user().await, "escape-marker-of-nobody").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_an_ordinary_users_daemon_loses_nothing() {
    nothing_is_lost(&mut World::of_an_ordinary_user().await).await;
}

fn submitted(world: &World, file: &str, text: &str) -> Output {
    let path = world.path().join(file);
    std::fs::write(&path, text).expect("written");
    world.ctl(&["submit", &path.to_string_lossy(), "--queue", "default", "--follow"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_of_any_name_is_submitted_and_its_end_is_the_exit_code() {
    let world = World::of_an_ordinary_user().await;
    let well = submitted(&world, "x.py", "print('short and well')\n");
    let error = String::from_utf8_lossy(&well.stderr).into_owned();
    assert!(well.status.success() && String::from_utf8_lossy(&well.stdout).contains("short and well"), "{error}");

    let badly = submitted(&world, "y", "raise SystemExit('the reason')\n");
    let error = String::from_utf8_lossy(&badly.stderr).into_owned();
    assert_eq!(badly.status.code(), Some(1), "{error}");
    assert_eq!(error.matches("exit code 1; last output: the reason").count(), 1, "told once: {error}");

    let unnamed = world.ctl(&["submit", &world.path().join("x.py").to_string_lossy(), "--name", "ab"]);
    assert_eq!(unnamed.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unnamed.stderr).contains("3 characters"), "{unnamed:?}");
}
