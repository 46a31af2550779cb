//! Calls that were carried out and whose answer was lost, and tokens that are suddenly refused.

use std::time::Duration;

use clearmld::server::Fault;

use super::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_pop_whose_answer_is_lost_neither_loses_the_task_nor_runs_it_twice() {
    let world = World::new().await;
    world.faults().next_of("queues.get_next_task", 1, Fault::DropReply);
    let task = world.submit("print('ran')\n", "").await;
    let log = world.completes(&task).await;
    assert_eq!(log.matches("ran\n").count(), 1, "{log}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let runs = world.json(&["run", "list"]);
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_whose_answer_is_lost_is_told_again_and_taken_once() {
    let world = World::new().await;
    world.faults().next_of("tasks.completed", 1, Fault::DropReply);
    world.faults().next_of("events.add_batch", 1, Fault::DropReply);
    let task = world.submit("print('ran')\n", "").await;
    world.completes(&task).await;
    world.until("settled", |world| world.json(&["run", "list"])[0]["phase"] == "settled").await;
    let run = world.json(&["run", "show", task.as_str()]);
    assert!(run["note"].is_null(), "{run}");
    let log = world.log(&task).await;
    assert_eq!(log.matches("ran\n").count(), 1, "{log}");
    assert_eq!(log.matches("process completed successfully").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_expire_and_calls_that_are_refused_meanwhile_are_no_end() {
    let world = World::new().await;
    let script = "import time\nfor i in range(40):\n    print('line', i, flush=True)\n    time.sleep(0.1)\n";
    let task = world.submit(script, "").await;
    world.log_shows(&task, "line 2\n").await;
    world.faults().expire_token_once();
    world.log_shows(&task, "line 12\n").await;
    world.faults().next(1, Fault::Refuse { code: 401, subcode: 20 });
    let log = world.completes(&task).await;
    for line in 0..40 {
        let wanted = format!("line {line}");
        assert_eq!(log.lines().filter(|found| *found == wanted).count(), 1, "line {line}: {log}");
    }
    assert_eq!(world.json(&["status"])["server"]["link"], "up");
}
