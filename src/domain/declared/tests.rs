use super::*;
use crate::domain::gpu::GpuClaim;
use crate::domain::ids::{QueueId, UnixMillis};
use crate::domain::worker::{Intent, QueueRef};

fn name(text: &str) -> WorkerName {
    WorkerName::new(text).expect("a name")
}

fn worker(text: &str, gpus: &str, origin: Origin) -> Worker {
    let gpus: GpuClaim = gpus.parse().expect("a claim");
    Worker::of(WorkerDraft::default(), name(text), gpus, Vec::new(), origin, UnixMillis(1))
}

fn declared(path: &str, text: &str, gpus: &str) -> Worker {
    worker(text, gpus, Origin::File { path: path.into(), queues: vec!["gpu".into()], create_queue: false })
}

fn file(path: &str, text: &str, gpus: &str) -> Found {
    Found { path: path.into(), worker: Ok(declared(path, text, gpus)) }
}

fn broken(path: &str) -> Found {
    Found { path: path.into(), worker: Err(vec!["line 1: no such key".into()]) }
}

fn idle(worker: &Worker) -> Known<'_> {
    Known { worker, run: None }
}

fn busy(worker: &Worker) -> Known<'_> {
    Known { worker, run: Some(RunId::new("r1").expect("an id")) }
}

/// The plan in short.
fn short(found: &[Found], known: &[Known<'_>]) -> Vec<String> {
    let after = |run: &Option<RunId>| run.as_ref().map(|run| format!(" after {run}")).unwrap_or_default();
    plan(found, known, &Inventory::default())
        .iter()
        .map(|change| match change {
            Change::Add { worker } => format!("+ {}", worker.name),
            Change::Alter { worker, fields, after: run } => {
                let fields: Vec<String> =
                    fields.iter().map(|field| format!("{} {} -> {}", field.field, field.from, field.to)).collect();
                format!("~ {} {}{}", worker.name, fields.join(", "), after(run))
            }
            Change::Remove { name, after: run, .. } => format!("- {name}{}", after(run)),
            Change::Keep { name, .. } => format!("= {name}"),
            Change::Refuse { path, name, reasons } => {
                let name = name.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("! {path} {name}: {}", reasons.join("; "))
            }
        })
        .collect()
}

#[test]
fn a_new_file_adds_a_gone_one_removes_and_the_same_one_keeps() {
    let (kept, gone) = (declared("k", "kept", "0"), declared("g", "gone", "1"));
    let found = [file("k", "kept", "0"), file("n", "new", "2")];
    assert_eq!(short(&found, &[idle(&gone), idle(&kept)]), ["- gone", "= kept", "+ new"]);
}

#[test]
fn what_is_busy_changes_and_goes_when_its_run_has_ended() {
    let (changed, gone) = (declared("c", "changed", "0"), declared("g", "gone", "1"));
    let plan = short(&[file("c", "changed", "0,2")], &[busy(&changed), busy(&gone)]);
    assert_eq!(plan, ["- gone after r1", "~ changed gpus 0 -> 0,2 after r1"]);
}

#[test]
fn an_operators_stop_and_the_known_queues_stay_over_a_change() {
    let mut present = declared("w", "w", "0");
    present.intent = Intent::Stopped;
    present.added = UnixMillis(99);
    present.queues = vec![QueueRef { id: QueueId::new("q1").expect("an id"), name: "gpu".into() }];
    let [Change::Alter { worker, .. }] = &plan(&[file("w", "w", "1")], &[idle(&present)], &Inventory::default())[..]
    else {
        panic!("one change")
    };
    assert_eq!((worker.intent, worker.added), (Intent::Stopped, UnixMillis(99)));
    assert_eq!(worker.queues, present.queues);
    let mut elsewhere = file("w", "w", "0");
    if let Ok(worker) = &mut elsewhere.worker {
        worker.origin = Origin::File { path: "w".into(), queues: vec!["other".into()], create_queue: false };
    }
    let [Change::Alter { worker, .. }] = &plan(&[elsewhere], &[idle(&present)], &Inventory::default())[..] else {
        panic!("one change")
    };
    assert!(worker.queues.is_empty(), "other queues are looked up anew");
}

#[test]
fn a_broken_file_leaves_its_worker_and_all_others_as_they_are() {
    let (of_broken, other) = (declared("b", "of-broken", "0"), declared("o", "other", "1"));
    let plan = short(&[broken("b"), file("o", "other", "1")], &[idle(&of_broken), busy(&other)]);
    assert_eq!(plan, ["! b of-broken: line 1: no such key", "= other"]);
    assert_eq!(short(&[broken("x")], &[]), ["! x : line 1: no such key"]);
}

#[test]
fn what_an_operator_added_wins_over_a_file() {
    let by_hand = worker("a", "0", Origin::Operator);
    let plan = short(&[file("1", "a", "none"), file("2", "b", "0"), file("3", "c", "1")], &[idle(&by_hand)]);
    assert!(plan[0].starts_with("! 1 a: name: worker `a` was added with clearmlctl"), "{plan:?}");
    assert!(plan[1].starts_with("! 2 b: gpus: GPU 0 belongs to worker `a`, which was added"), "{plan:?}");
    assert_eq!(plan[2], "+ c");
    assert_eq!(plan.len(), 3, "what was added by hand is no file's business");
}

#[test]
fn of_two_files_with_one_name_or_one_gpu_the_first_counts() {
    let plan = short(&[file("1", "a", "0"), file("2", "a", "1"), file("3", "b", "0")], &[]);
    assert_eq!(plan[0], "+ a");
    assert_eq!(plan[1], "! 2 a: name: worker `a` is declared in 1; give another name");
    assert_eq!(plan[2], "! 3 b: gpus: GPU 0 belongs to worker `a` of 1; name others, or let all 2 say `share = 2`");
}

#[test]
fn two_workers_may_swap_their_gpus() {
    let (a, b) = (declared("a", "a", "0"), declared("b", "b", "1"));
    let plan = short(&[file("a", "a", "1"), file("b", "b", "0")], &[idle(&a), busy(&b)]);
    assert_eq!(plan, ["~ a gpus 0 -> 1", "~ b gpus 1 -> 0 after r1"]);
}

#[test]
fn a_gpu_that_a_broken_file_keeps_is_nobody_elses() {
    let a = declared("a", "a", "0");
    let plan = short(&[broken("a"), file("b", "b", "0")], &[idle(&a)]);
    assert_eq!(plan[1], "! b b: gpus: GPU 0 belongs to worker `a` of a; name others, or let all 2 say `share = 2`");
    // A refusal refuses the next: c wants what b keeps.
    let b = declared("b", "b", "1");
    let plan = short(&[file("b", "b", "0"), broken("a"), file("c", "c", "1")], &[idle(&a), idle(&b)]);
    assert!(plan[0].starts_with("! b b: gpus: GPU 0") && plan[2].starts_with("! c c: gpus: GPU 1"), "{plan:?}");
}

#[test]
fn a_file_that_is_renamed_moves_its_worker_and_one_with_a_new_name_replaces_it() {
    let a = declared("old", "a", "0");
    assert_eq!(short(&[file("new", "a", "0")], &[busy(&a)]), ["~ a file old -> new after r1"]);
    assert_eq!(short(&[file("old", "b", "0")], &[idle(&a)]), ["- a", "+ b"]);
}
