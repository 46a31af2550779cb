//! Workers that files declare: at the start, over reloads, beside those that were added by hand.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::world::World;

const PLAIN: &str = "queues = ['default']\ncpu_only = true\n";

async fn declared_world() -> World {
    let mut world = World::without_daemon().await;
    world.bring_uv();
    world.declare("w", PLAIN);
    world.start_daemon();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_worker_takes_a_task_and_a_reload_changes_it_when_the_task_has_ended() {
    let world = declared_world().await;
    let show = world.json(&["worker", "show", "testhost:w"]);
    assert!(show["declared_in"].as_str().is_some_and(|file| file.ends_with("workers.d/w.toml")), "{show}");
    let task = world.submit("import time\nprint('ready', flush=True)\ntime.sleep(8)\nprint('over')\n", "").await;
    world.log_shows(&task, "ready").await;
    assert!(world.ctl(&["plan", "--exit-code"]).status.success(), "nothing to do");

    world.declare("w", &format!("{PLAIN}order_fairness = true\n"));
    world.declare("n", PLAIN);
    let broken = world.declare("broken", "queues = ['default']\ncolour = 'red'\n");
    let plan = world.ctl(&["plan", "--exit-code"]);
    assert_eq!(plan.status.code(), Some(8));
    let shown = String::from_utf8(plan.stdout).expect("UTF-8");
    for line in
        ["+ testhost:n", "~ testhost:w", "(after run ", "order_fairness: false -> true", "line 2: colour: there is"]
    {
        assert!(shown.contains(line), "no {line}: {shown}");
    }
    assert!(shown.contains(&format!("! {}", broken.display())), "{shown}");
    assert!(!world.ok(&["worker", "list"]).contains("testhost:n"), "a plan changes nothing");

    let done = world.ctl(&["reload"]);
    assert_eq!(done.status.code(), Some(1), "one file was refused");
    assert_eq!(String::from_utf8(done.stdout).expect("UTF-8"), shown, "it did what the plan said");
    assert!(world.ok(&["status"]).contains("broken.toml: line 2: colour"));
    let pending = world.json(&["worker", "show", "testhost:w"])["pending"].to_string();
    assert!(pending.contains("order_fairness: false -> true"), "{pending}");
    assert!(world.completes(&task).await.contains("over"), "the task was not touched");
    world.until("the change", |world| world.json(&["worker", "show", "testhost:w"])["order_fairness"] == true).await;
    assert!(world.json(&["worker", "show", "testhost:w"])["pending"].is_null());
    assert!(world.ok(&["worker", "list"]).contains("testhost:n"));

    // The other door: SIGHUP, which also says in the log what it does.
    for stem in ["w", "n", "broken"] {
        std::fs::remove_file(world.declare(stem, "")).expect("removed");
    }
    let pid = i32::try_from(world.daemon_pid()).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGHUP).expect("sent");
    world.until("no worker", |world| world.json(&["worker", "list"]).as_array().is_some_and(Vec::is_empty)).await;
    let log = world.daemon_log();
    assert!(
        log.contains("worker testhost:w: order_fairness: false -> true") && log.contains("worker_removed: "),
        "{log}"
    );
    assert!(log.contains("Declarations.Reload"), "each reload has its audit record: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_and_operators_keep_out_of_each_others_way() {
    let world = declared_world().await;
    for arguments in [
        &["worker", "add", "--cpu-only", "--queue", "default", "--name", "testhost:w"][..],
        &["worker", "remove", "testhost:w"],
    ] {
        let output = world.ctl(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(7) && said.contains("workers.d/w.toml"), "{said}");
    }
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default", "--name", "by-hand"]);
    world.declare("x", &format!("{PLAIN}name = 'by-hand'\n"));
    let done = world.ctl(&["reload"]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("`clearmlctl worker remove by-hand`"), "{said}");
    world.ok(&["worker", "stop", "testhost:w"]);
    world.ok(&["worker", "remove", "by-hand"]);
    world.ok(&["reload"]);
    assert_eq!(world.json(&["worker", "show", "testhost:w"])["intent"], "stopped", "a reload resumes nothing");
    assert!(world.ok(&["worker", "list"]).contains("by-hand"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_at_the_start_a_declared_worker_waits_for_its_queues_and_then_serves() {
    let mut world = World::without_daemon().await;
    world.bring_uv();
    let task = world.submit("print('at last')\n", "").await;
    world.stop_server().await;
    world.declare("w", PLAIN);
    world.start_daemon();
    assert!(world.ok(&["worker", "show", "testhost:w"]).contains("default (not looked up yet)"));
    world.kill_daemon();
    world.start_daemon();
    world.start_server().await;
    world.completes(&task).await;
    world.idle().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_over_some_settings_and_names_those_that_need_a_restart() {
    let mut world = World::without_daemon().await;
    world.configure("agent { }\n");
    let own = world.path().join("clearmld.toml");
    std::fs::write(&own, "keep_runs = 100\n").expect("written");
    world.start_daemon();
    std::fs::write(&own, "keep_runs = 50\nstop_grace_seconds = 3\n").expect("written");
    let said = world.ok(&["reload"]);
    assert!(said.contains("~ clearmld.keep_runs: 100 -> 50\n"), "{said}");
    assert!(said.contains("~ clearmld.stop_grace_seconds: 10 s -> 3 s  (restart clearmld to use it"), "{said}");
    let said = world.ok(&["plan"]);
    assert!(!said.contains("keep_runs") && said.contains("stop_grace_seconds"), "{said}");
    std::fs::write(&own, "keep_runs = 'many'\n").expect("written");
    let plan = world.ctl(&["reload"]);
    let said = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.status.code() == Some(1) && said.contains("clearmld.toml:1"), "{said}");
    world.ok(&["status"]);
}
