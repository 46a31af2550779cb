use std::process::Command;

use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_task_without_a_script_is_failed_and_says_so() {
    let world = World::new().await;
    let task = world.submit_with(|task| task.entry_point = String::new()).await;
    let reason = world.fails(&task).await;
    assert!(reason.contains("no script"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_things_are_named_with_the_next_step_and_their_exit_code() {
    let world = World::new().await;
    for (args, code, said) in [
        (&["worker", "add", "--queue", "no-such-queue", "--cpu-only"][..], 3, "no-such-queue"),
        (&["worker", "show", "nobody"][..], 3, "nobody"),
        (&["run", "show", "0123456789"][..], 3, "0123456789"),
        (&["worker", "add", "--cpu-only", "--queue", "default", "--name", "testhost:cpu:0"][..], 7, "testhost:cpu:0"),
        (&["worker", "add", "--cpu-only", "--user", "root", "--queue", "default"][..], 2, "root"),
        (&["worker", "add", "--gpus", "zero", "--queue", "default"][..], 2, "zero"),
        (&["worker", "add", "--cpu-only", "--memory", "lots", "--queue", "default"][..], 2, "512M"),
        // More than it has, or the kernel has no controller: no host accepts it.
        (&["worker", "add", "--cpu-only", "--memory", "900T", "--queue", "default"][..], 2, "this host"),
    ] {
        let output = world.ctl(args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(said) && stderr.contains("error"), "{args:?}: {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon_the_exit_code_is_5_and_the_next_step_is_named() {
    let world = World::without_daemon().await;
    let output = world.ctl(&["status"]);
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).contains("clearmld"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_state_directory_is_refused() {
    let world = World::new().await;
    let output = Command::new(env!("CARGO_BIN_EXE_clearmld"))
        .args(["--state-dir".as_ref(), world.path().join("state").as_os_str()])
        .args(["--socket".as_ref(), world.path().join("other.sock").as_os_str()])
        .envs(world.server_environment())
        .output()
        .expect("it starts");
    assert!(!output.status.success());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("another clearmld") && stderr.contains(&world.daemon_pid().to_string()), "{stderr}");
    let task = world.submit("print('unharmed')\n", "").await;
    world.completes(&task).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_is_reported_whole_and_without_its_secrets() {
    let world = World::without_daemon().await;
    let file = world.path().join("clearml.conf");
    std::fs::write(
        &file,
        "api {\n  api_server: \"not a url\"\n  credentials { access_key: \"only-half-of-it-77\" }\n}\n",
    )
    .expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_clearmld"))
        .args(["--config".as_ref(), file.as_os_str()])
        .args(["--state-dir".as_ref(), world.path().join("other").as_os_str()])
        .args(["--socket".as_ref(), world.path().join("other.sock").as_os_str()])
        .env_clear()
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("clearml.conf:2") && stderr.contains("secret_key"), "{stderr}");
    assert!(!stderr.contains("only-half-of-it-77"), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_a_line_in_status_and_no_error_loop() {
    let world = World::without_daemon().await;
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_clearmld"))
        .args(["--state-dir".as_ref(), world.path().join("state").as_os_str()])
        .args(["--socket".as_ref(), world.socket().as_os_str()])
        .env_clear()
        .env("HOME", world.path())
        .envs(world.server_environment())
        .env("CLEARML_API_SECRET_KEY", "wrong")
        .spawn()
        .expect("it starts");
    let began = std::time::Instant::now();
    while !world.ctl(&["status"]).status.success() && began.elapsed().as_secs() < 20 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let output = world.ctl(&["worker", "add", "--cpu-only", "--queue", "default"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let status = world.ok(&["status"]);
    daemon.kill().expect("killed");
    daemon.wait().expect("reaped");
    assert!(!output.status.success());
    assert!(stderr.contains("credentials"), "{stderr}");
    assert!(status.contains("credentials"), "{status}");
}
