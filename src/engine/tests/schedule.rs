//! Hours, runtime properties and queue tags.

use super::*;
use crate::domain::hours::{Timetable, Weekday};
use crate::domain::ids::QueueId;
use crate::domain::schedule::{Force, Paused};

const MINUTE: Duration = Duration::from_secs(60);

async fn add(daemon: &Daemon, name: &str, uptime: &[&str]) -> WorkerName {
    let uptime: Vec<String> = uptime.iter().map(ToString::to_string).collect();
    let draft = WorkerDraft {
        name: Some(WorkerName::new(name).expect("a name")),
        timetable: Timetable::of(&uptime, &[]).expect("hours"),
        ..WorkerDraft::default()
    };
    daemon.handle.add_worker(draft).await.expect("added").worker.name
}

async fn paused(daemon: &Daemon, worker: &WorkerName) -> Option<Paused> {
    daemon.handle.worker(worker).await.expect("there").paused
}

fn tag(host: &Host, tags: &[&str]) {
    let id = QueueId::new("default").expect("an id");
    host.clearml.lock().tags.insert(id, tags.iter().map(ToString::to_string).collect());
}

fn calls(host: &Host, name: &str) -> u32 {
    host.clearml.lock().calls.get(name).copied().unwrap_or(0)
}

/// The host's files now say so.
async fn host_hours(host: &Host, daemon: &Daemon, uptime: &[&str]) {
    let entries: Vec<String> = uptime.iter().map(ToString::to_string).collect();
    let mut found = settings();
    found.hours.timetable = Timetable::of(&entries, &[]).expect("hours");
    found.hours.said_in = Some("agent.uptime, clearml.conf:2".to_owned());
    found.described.insert("agent.uptime".to_owned(), entries.join(" "));
    host.declarations.set(found);
    let done = daemon.handle.reload().await.expect("done");
    assert!(done.settings.len() == 1 && done.settings[0].live, "no restart is needed: {done:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_says_no_hours_keeps_those_of_the_host_and_one_that_says_some_its_own() {
    let host = Host::new();
    host.clearml.queue("default");
    host.clock.show(Weekday::Monday, 12);
    let daemon = host.start().await;
    let (silent, own) = (add(&daemon, "silent", &[]).await, add(&daemon, "own", &["0-24 SUN-SAT"]).await);
    assert_eq!(paused(&daemon, &silent).await, None);
    host_hours(&host, &daemon, &["22-3 MON"]).await;
    assert_eq!(
        paused(&daemon, &silent).await.map(|why| why.to_string()).as_deref(),
        Some("outside its hours until Mon 22:00")
    );
    let view = |worker: WorkerName| async { daemon.handle.worker(&{ worker }).await.expect("there").hours };
    let hours = view(silent.clone()).await;
    assert_eq!(
        (hours.timetable.uptime(), hours.said_in.as_deref()),
        (&["22-3 MON".to_owned()][..], Some("agent.uptime, clearml.conf:2"))
    );
    let hours = view(own.clone()).await;
    assert_eq!((hours.timetable.uptime(), hours.said_in), (&["0-24 SUN-SAT".to_owned()][..], None));
    assert_eq!(paused(&daemon, &own).await, None);
    // One takes the task of an hour in which the other may not; then both do.
    for task in ["t1", "t2"] {
        host.clearml.enqueue("default", task);
    }
    daemon.running("t1").await;
    tokio::time::sleep(MINUTE).await;
    assert_eq!(host.launcher.live().len(), 1);
    host.clock.show(Weekday::Monday, 22);
    daemon.running("t2").await;
    assert_eq!(paused(&daemon, &silent).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_worker_outside_its_hours_takes_nothing_stays_registered_and_says_until_when() {
    let host = Host::new();
    host.clearml.queue("default");
    host.clock.show(Weekday::Monday, 12);
    let daemon = host.start().await;
    let worker = add(&daemon, "w", &["22-3 MON"]).await;
    host.clearml.enqueue("default", "t1");
    tokio::time::sleep(MINUTE).await;
    assert!(host.launcher.live().is_empty());
    assert!(host.clearml.lock().workers.contains(&worker), "it is seen at the server");
    let said = paused(&daemon, &worker).await.expect("paused").to_string();
    assert_eq!(said, "outside its hours until Mon 22:00");
    let remarks = daemon.handle.status().await.expect("asked").remarks;
    assert_eq!(remarks, ["outside its hours until Mon 22:00: w"]);

    host.clock.show(Weekday::Monday, 22);
    let run = daemon.running("t1").await;
    assert_eq!(paused(&daemon, &worker).await, None);
    // Its hours end under the task, which goes on.
    host.clearml.enqueue("default", "t2");
    host.clock.show(Weekday::Tuesday, 3);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(host.launcher.live(), std::slice::from_ref(&run));
    host.launcher.exit(&run, End::Exited { code: 0 });
    daemon.settled("t1").await;
    tokio::time::sleep(MINUTE).await;
    assert!(host.launcher.live().is_empty(), "the next one waits for Monday");
    daemon.stop().await;
    // A restart knows the hours, too, also over midnight.
    let daemon = host.start().await;
    tokio::time::sleep(MINUTE).await;
    assert!(host.launcher.live().is_empty());
    host.clock.show(Weekday::Tuesday, 2);
    daemon.running("t2").await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_forced_on_is_served_outside_the_hours_and_one_that_is_forced_off_never() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    let worker = add(&daemon, "w", &["22-3 MON"]).await;
    host.clearml.enqueue("default", "t1");
    tag(&host, &["force_workers:off", "force_workers:on"]);
    tokio::time::sleep(MINUTE).await;
    assert_eq!(paused(&daemon, &worker).await, Some(Paused::QueueOff));
    host.clock.show(Weekday::Monday, 23);
    tokio::time::sleep(MINUTE).await;
    assert!(host.launcher.live().is_empty());
    host.clock.show(Weekday::Monday, 12);
    tag(&host, &["force_workers:on"]);
    daemon.running("t1").await;
}

#[tokio::test(start_paused = true)]
async fn the_property_force_holds_a_worker_back_or_sends_it_out_of_its_hours() {
    let host = Host::new();
    host.clearml.queue("default");
    host.clearml.lock().forced = Some(Default::default());
    let daemon = host.start().await;
    let worker = add(&daemon, "w", &["22-3 MON"]).await;
    let force = |force| host.clearml.lock().forced.as_mut().expect("some").insert(worker.clone(), force);
    host.clock.show(Weekday::Monday, 23);
    force(Force::Off);
    host.clearml.enqueue("default", "t1");
    tokio::time::sleep(MINUTE).await;
    assert!(host.launcher.live().is_empty());
    assert_eq!(paused(&daemon, &worker).await, Some(Paused::WorkerOff));
    host.clock.show(Weekday::Monday, 12);
    force(Force::On);
    tokio::time::sleep(MINUTE + Duration::from_secs(5)).await;
    assert_eq!(host.launcher.live().len(), 1, "it is known within a minute");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_runtime_properties_is_asked_once_and_never_when_nothing_waits() {
    let host = Host::new();
    host.clearml.queue("default");
    let daemon = host.start().await;
    for name in ["a", "b"] {
        add(&daemon, name, &[]).await;
    }
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(calls(&host, "forced"), 0);
    for task in ["t1", "t2"] {
        host.clearml.enqueue("default", task);
        daemon.running(task).await;
    }
    assert_eq!(calls(&host, "forced"), 1);
}

#[tokio::test(start_paused = true)]
async fn eight_idle_workers_cost_no_more_than_80_requests_a_minute_also_where_the_server_has_properties() {
    let host = Host::new();
    host.clearml.queue("default");
    host.clearml.lock().forced = Some(Default::default());
    let daemon = host.start().await;
    for number in 0..8 {
        add(&daemon, &format!("w{number}"), &["22-3 MON"]).await;
    }
    tokio::time::sleep(MINUTE).await;
    let total = |host: &Host| host.clearml.lock().calls.values().sum::<u32>();
    let before = total(&host);
    tokio::time::sleep(10 * MINUTE).await;
    let a_minute = (total(&host) - before) / 10;
    assert!(a_minute <= 80, "{a_minute}: {:?}", host.clearml.lock().calls);
    // A task that waits for them outside their hours costs one question a Worker a minute.
    host.clearml.enqueue("default", "t1");
    tokio::time::sleep(10 * MINUTE).await;
    let asked = calls(&host, "forced");
    assert!((60..=88).contains(&asked), "{asked}");
    assert!(host.launcher.live().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_question_that_fails_holds_up_no_task() {
    let host = Host::new();
    host.clearml.queue("default");
    host.clearml.lock().forced = Some(Default::default());
    host.clearml.lock().unforced = true;
    let daemon = host.start().await;
    add(&daemon, "w", &[]).await;
    host.clearml.enqueue("default", "t1");
    daemon.running("t1").await;
}
