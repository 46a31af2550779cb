use super::*;
use crate::domain::cause::Cause;
use crate::domain::gpu::GpuClaim;
use crate::domain::handover::{ProcessIdentity, Stage};
use crate::domain::hours::{LocalHour, Outside, Weekday};
use crate::domain::ids::{QueueId, RunId, TaskId, UnixMillis};
use crate::domain::run::{Claimed, Exited, Phase, Prepared, RunRecord, Running, Settled};
use crate::domain::stop::StopReason;
use crate::domain::worker::QueueRef;

const GOOD: HostFacts = HostFacts { server: Server::Up, draining: false, closing: false, disk: None };

fn name() -> WorkerName {
    WorkerName::new("w").expect("a name")
}

fn run_id(id: &str) -> RunId {
    RunId::new(id).expect("an id")
}

fn queue(sight: Sight) -> QueueFacts {
    QueueFacts { name: "q".into(), sight, takes: Ok(()), wanting: None, refused: None }
}

fn empty() -> QueueFacts {
    queue(Sight::Empty { ago_ms: 3_000 })
}

fn head(task: &str) -> Sight {
    Sight::Head { task: TaskId::new(task).expect("an id"), ago_ms: 800 }
}

fn facts() -> WorkerFacts {
    WorkerFacts {
        name: name(),
        stopped: false,
        room: true,
        runs: Vec::new(),
        pending: None,
        problem: None,
        gpus: Gpus::Clear,
        queues: vec![empty()],
    }
}

fn words(found: &[Finding]) -> Vec<&str> {
    found.iter().map(|finding| finding.word).collect()
}

fn outside() -> Paused {
    Paused::Outside(Outside { until: LocalHour { day: Weekday::Monday, hour: 8 } })
}

#[test]
fn each_thing_that_keeps_a_worker_from_a_task_is_named_before_its_empty_queue() {
    let reserved = Withheld::Reserved { by: "ann".into(), reason: "a demo".into() };
    let held = Withheld::Held { run: run_id("r9") };
    let foreign = Withheld::Foreign { pid: 7, name: "jupyter".into() };
    let unusable = Withheld::Unusable { reason: "it has fallen off the bus".into() };
    let (state, reason, next) = ("quarantined", "Xid 79".to_owned(), "`clearmlctl gpu verify 2`".to_owned());
    let distrusted = Withheld::Distrusted { state, reason, next };
    let kept = |why: Withheld| Gpus::Withheld(vec![(GpuId::Index(2), why, Some(name()))]);
    let cases = [
        (WorkerFacts { stopped: true, ..facts() }, "stopped", "worker resume w"),
        (WorkerFacts { pending: Some("removed".into()), ..facts() }, "pending", ""),
        (WorkerFacts { problem: Some("no cgroup".into()), ..facts() }, "problem", "worker show w"),
        (WorkerFacts { gpus: Gpus::Unresolved("no GPU".into()), ..facts() }, "gpu_unknown", "gpu list"),
        (WorkerFacts { gpus: kept(reserved), ..facts() }, "gpu_reserved", "gpu release 2"),
        (WorkerFacts { gpus: kept(held), ..facts() }, "gpu_held", "run stop r9"),
        (WorkerFacts { gpus: kept(foreign), ..facts() }, "gpu_foreign", "ps -fp 7"),
        (WorkerFacts { gpus: kept(distrusted), ..facts() }, "gpu_distrusted", "gpu verify 2"),
        (WorkerFacts { gpus: kept(unusable), ..facts() }, "gpu_unusable", "gpu show 2"),
    ];
    for (facts, word, next) in cases {
        let found = worker(&facts, &GOOD);
        assert_eq!(words(&found), [word, "queue_empty"]);
        assert!(found[0].hinders && found[0].next.as_deref().unwrap_or("").contains(next), "{found:?}");
    }
    let gone = WorkerFacts { queues: Vec::new(), ..facts() };
    assert_eq!(words(&worker(&gone, &GOOD)), ["queues_unknown"]);
}

#[test]
fn what_holds_the_whole_host_comes_before_what_holds_a_worker_and_after_what_it_is_at() {
    let hosts = [
        (HostFacts { draining: true, ..GOOD }, "draining"),
        (HostFacts { closing: true, ..GOOD }, "closing"),
        (HostFacts { disk: Some("the disk is full".into()), ..GOOD }, "disk_full"),
        (HostFacts { server: Server::NotConfigured, ..GOOD }, "not_configured"),
        (HostFacts { server: Server::Unasked, ..GOOD }, "server_unasked"),
        (HostFacts { server: Server::Refuses { reason: "401".into() }, ..GOOD }, "login_refused"),
        (HostFacts { server: Server::Away { for_ms: 90_000, reason: "DNS".into() }, ..GOOD }, "server_down"),
    ];
    for (host, word) in hosts {
        assert_eq!(words(&worker(&facts(), &host)), [word, "queue_empty"]);
    }
    let run = (run_id("r1"), TaskId::new("t1").expect("an id"));
    let busy = WorkerFacts { runs: vec![run], room: false, stopped: true, ..facts() };
    let found = worker(&busy, &HostFacts { draining: true, ..GOOD });
    assert_eq!(words(&found), ["busy", "stopped", "draining", "queue_empty"]);
    assert!(found[0].says.contains("runs task t1 (run r1)"), "{found:?}");
}

#[test]
fn hours_and_force_are_one_reason_whatever_the_number_of_queues_and_a_tag_is_its_queues_own() {
    let shut = |why| QueueFacts { takes: Err(why), ..queue(head("t1")) };
    let found = worker(&WorkerFacts { queues: vec![shut(outside()), shut(outside())], ..facts() }, &GOOD);
    assert_eq!(words(&found), ["outside_hours", "task_waits", "task_waits"]);
    assert!(found[0].says.contains("outside its hours until Mon 08:00"), "{found:?}");
    assert!(found[1].says.ends_with("it waits"), "{found:?}");
    let found = worker(&WorkerFacts { queues: vec![shut(Paused::WorkerOff)], ..facts() }, &GOOD);
    assert_eq!(words(&found)[0], "forced_off");
    let found = worker(&WorkerFacts { queues: vec![shut(Paused::QueueOff), empty()], ..facts() }, &GOOD);
    assert_eq!(words(&found), ["queue_off", "task_waits", "queue_empty"]);
    assert!(found[0].says.starts_with("queue `q`: "), "{found:?}");
}

#[test]
fn a_queue_says_what_was_last_seen_of_it_and_when() {
    let one = |queue: QueueFacts| worker(&WorkerFacts { queues: vec![queue], ..facts() }, &GOOD);
    let found = one(empty());
    assert_eq!(words(&found), ["queue_empty"]);
    assert!(found[0].says.contains("was empty when it was last asked, 3 s ago"), "{found:?}");
    assert_eq!(words(&one(queue(Sight::Unasked))), ["queue_unasked"]);
    assert_eq!(words(&one(queue(Sight::Gone))), ["queue_gone"]);
    let found = one(queue(head("t1")));
    assert_eq!(words(&found), ["ready", "task_waits"], "nothing hinders it");
    let wanting = Some(Wanting { least: 4, free: 1 });
    let found = one(QueueFacts { wanting, ..queue(head("t1")) });
    assert_eq!(words(&found), ["too_few_gpus", "task_waits"]);
    assert!(found[0].says.contains("4 GPUs at least, and 1 are free"), "{found:?}");
    let found = one(QueueFacts { refused: Some(("403".into(), 30_000)), ..queue(head("t1")) });
    assert!(found[0].word == "claim_refused" && found[0].says.contains("asked again in 30 s"), "{found:?}");
}

fn record(id: &str, phase: Phase) -> RunRecord {
    let queue = QueueRef { id: QueueId::new("q1").expect("an id"), name: "q".into() };
    let task = TaskId::new("t1").expect("an id");
    RunRecord { phase, ..RunRecord::claim(run_id(id), name(), queue, task, GpuClaim::None, UnixMillis(0)) }
}

fn exited(cause: Cause) -> Exited {
    Exited { cause, record: None, at: UnixMillis(1), started: None, requeue: None, remark: None }
}

fn running() -> Phase {
    let shim = ProcessIdentity { pid: 1, start_ticks: 1, boot_id: "b".into() };
    Phase::Running(Running { shim, started: UnixMillis(0) })
}

fn settled(cause: Cause) -> Phase {
    Phase::Settled(Settled { exited: exited(cause), at: UnixMillis(2), note: None })
}

fn of_task(records: &[&RunRecord], seen: Vec<Seen>, host: &HostFacts) -> Vec<Finding> {
    let runs = records.iter().map(|record| (*record, Some(Stage::Program))).collect();
    task(&TaskFacts { key: "t1", runs, seen }, host)
}

#[test]
fn a_task_is_at_something_in_each_phase_of_its_run() {
    let claimed = |popped, announced| Phase::Claimed(Claimed { popped, announced });
    for (phase, wanted) in [
        (claimed(false, false), "being_taken"),
        (claimed(true, false), "taken"),
        (claimed(true, true), "outfitting"),
        (Phase::Prepared(Prepared {}), "starting"),
        (running(), "running"),
        (settled(Cause::ExitCode { code: 0, last_line: None }), "completed"),
    ] {
        let found = of_task(&[&record("r1", phase)], Vec::new(), &GOOD);
        assert_eq!(words(&found), [wanted]);
        assert!(!found[0].hinders && found[0].says.contains("r1"), "{found:?}");
    }
    let found = of_task(&[&record("r1", running())], Vec::new(), &GOOD);
    assert!(found[0].says.contains("in stage program"), "{found:?}");
}

#[test]
fn an_end_has_its_cause_and_the_way_back_and_one_that_the_server_does_not_know_says_why() {
    let failed = Cause::ExitCode { code: 3, last_line: None };
    let found = of_task(&[&record("r1", settled(failed.clone()))], Vec::new(), &GOOD);
    assert_eq!(words(&found), ["exit_code"]);
    let next = found[0].next.as_deref().expect("a next step");
    assert!(next.contains("run logs r1") && next.contains("section `exit_code`"), "{next}");
    let away = HostFacts { server: Server::Away { for_ms: 1, reason: "DNS".into() }, ..GOOD };
    let found = of_task(&[&record("r1", Phase::Exited(exited(failed)))], Vec::new(), &away);
    assert_eq!(words(&found), ["exit_code", "unreported", "server_down"]);
    let stopped = Cause::Stopped { reason: StopReason::UserAbort };
    let again = record("r2", running());
    let found = of_task(&[&again, &record("r1", settled(stopped))], Vec::new(), &GOOD);
    assert_eq!(words(&found), ["running", "user_abort"], "the newest run first, then how the one before ended");
}

#[test]
fn a_task_that_waits_says_for_whom_and_why_and_one_that_was_never_here_what_that_means() {
    let why = worker(&WorkerFacts { stopped: true, ..facts() }, &GOOD);
    let seen = Seen { queue: "q".into(), workers: vec![(name(), why)] };
    let found = of_task(&[], vec![seen], &GOOD);
    assert_eq!(words(&found), ["first_in_queue", "stopped"]);
    assert!(found[1].says.starts_with("worker `w`: worker `w` is stopped"), "{found:?}");
    let found = of_task(&[], vec![Seen { queue: "q".into(), workers: Vec::new() }], &GOOD);
    assert_eq!(words(&found), ["unserved"]);
    let found = of_task(&[], Vec::new(), &HostFacts { server: Server::NotConfigured, ..GOOD });
    assert_eq!(words(&found), ["never_seen", "not_configured"]);
    assert!(found[0].says.contains("never had task `t1`"), "{found:?}");
}

#[test]
fn a_gpu_says_who_has_it_or_why_its_free_self_is_not_used() {
    let gpu_facts = |withheld, workers| GpuFacts { gpu: GpuId::Index(0), driver: None, withheld, workers };
    let held = (GpuId::Index(0), Withheld::Held { run: run_id("r1") }, Some(name()));
    let mine = || vec![(name(), worker(&facts(), &GOOD))];
    let found = gpu(&gpu_facts(vec![held], mine()));
    assert_eq!(words(&found), ["gpu_held"]);
    assert_eq!(found[0].says, "GPU 0 is held by run r1 of worker `w`");
    let found = gpu(&gpu_facts(Vec::new(), mine()));
    assert_eq!(words(&found), ["queue_empty"]);
    assert!(found[0].says.starts_with("GPU 0 is free for worker `w`: queue `q` was empty"), "{found:?}");
    let found = gpu(&gpu_facts(Vec::new(), Vec::new()));
    assert_eq!(words(&found), ["unclaimed"]);
    let silent = GpuFacts { driver: Some("it does not answer".into()), ..gpu_facts(Vec::new(), Vec::new()) };
    assert_eq!(words(&gpu(&silent)), ["driver", "unclaimed"]);
}
