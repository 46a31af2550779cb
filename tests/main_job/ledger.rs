//! A state directory that something went over.

use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn damaged_and_newer_records_are_set_aside_and_shown_and_the_others_go_on() {
    let mut world = World::new().await;
    let first = world.submit("print('one')\n", "").await;
    world.completes(&first).await;
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default", "--name", "to-be-broken"]);
    world.until("settled", |world| world.json(&["run", "list"])[0]["phase"] == "settled").await;
    world.kill_daemon();
    std::fs::write(world.state.join("workers/to-be-broken.json"), "{\"version\": 1, \"name\": \"to-").expect("written");
    std::fs::write(world.state.join("ledger/of-garbage.json"), [0xFF, 0x00, 0x80]).expect("written");
    let newer = world.state.join("ledger/of-tomorrow.json");
    std::fs::write(&newer, "{\"version\": 99, \"shape\": \"unknown\"}").expect("written");
    world.start_daemon();
    let status = world.ok(&["status"]);
    for (file, said) in
        [("to-be-broken.json", "set-aside"), ("of-garbage.json", "set-aside"), ("of-tomorrow.json", "newer")]
    {
        let line = status.lines().find(|line| line.contains(file)).unwrap_or_else(|| panic!("no {file}: {status}"));
        assert!(line.contains(said), "{line}");
    }
    assert!(newer.exists(), "a newer record is left where it is");
    assert!(world.state.join("set-aside/to-be-broken.json").exists());
    let workers = world.ok(&["worker", "list"]);
    assert!(workers.contains("testhost:cpu:0") && !workers.contains("to-be-broken"), "{workers}");
    assert!(world.ok(&["run", "list"]).contains(first.as_str()));
    let second = world.submit("print('two')\n", "").await;
    world.completes(&second).await;
    // What was set aside does not come back, and its name is free.
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default", "--name", "to-be-broken"]);
}
