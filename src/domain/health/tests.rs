use super::*;
use crate::domain::inventory::{Driver, EccCounts, Gpu};

fn unit(uuid: &str, gpu: &str) -> Unit {
    Unit { uuid: uuid.into(), gpu: gpu.into(), nodes: Vec::new() }
}

fn whole() -> Unit {
    unit("GPU-a", "GPU-a")
}

fn run(name: &str) -> RunId {
    RunId::new(name).expect("an id")
}

fn xid(number: u64) -> Fault {
    Fault::Xid { xid: Xid(number) }
}

fn state(health: &Health, uuid: &str) -> &'static str {
    health.records.get(uuid).map_or("healthy", |record| record.state.word())
}

fn inventory(gpus: Vec<Gpu>) -> Inventory {
    Inventory { driver: Driver::Up { version: None, cuda: None }, gpus, ..Inventory::default() }
}

fn gpu(uuid: &str) -> Gpu {
    Gpu { uuid: uuid.into(), ..Gpu::default() }
}

const T: UnixMillis = UnixMillis(1_000_000);

fn later(ms: u64) -> UnixMillis {
    UnixMillis(T.0 + ms)
}

#[test]
fn a_fault_that_needs_a_reset_takes_out_that_gpu_and_no_other() {
    let mut health = Health::default();
    let change = health.hear(&whole(), xid(48), &[run("r")], T).expect("a change");
    assert_eq!(change.record.state, State::Quarantined { remedy: Remedy::Reset });
    assert_eq!(change.record.reason, "Xid 48 (double bit ECC error)");
    assert!(health.distrusted(&whole()).is_some() && health.distrusted(&unit("GPU-b", "GPU-b")).is_none());
    assert!(health.distrusted(&unit("MIG-1", "GPU-a")).is_some(), "its slices go with it");
    assert_eq!(health.hear(&whole(), xid(79), &[], later(1)), None);
    assert_eq!(health.records["GPU-a"].state, State::Quarantined { remedy: Remedy::Support }, "worse than it was");
}

#[test]
fn a_programs_own_fault_on_a_slice_is_the_slices_and_a_cards_fault_the_cards() {
    let mut health = Health::default();
    health.hear(&unit("MIG-1", "GPU-a"), xid(31), &[run("r")], T);
    assert!(health.records.contains_key("MIG-1") && !health.records.contains_key("GPU-a"));
    health.hear(&unit("MIG-1", "GPU-a"), xid(119), &[run("r")], T);
    assert_eq!((state(&health, "MIG-1"), state(&health, "GPU-a")), ("healthy", "quarantined"));
}

#[test]
fn one_program_may_err_a_thousand_times_but_three_that_do_make_their_gpu_suspect() {
    let mut health = Health::default();
    for at in 0..1000 {
        assert_eq!(health.hear(&whole(), xid(13), &[run("one")], later(at)), None);
    }
    assert_eq!(health.hear(&whole(), xid(31), &[run("two")], later(1000)), None);
    let change = health.hear(&whole(), xid(43), &[run("three")], later(1001)).expect("a change");
    assert_eq!(change.record.state, State::Suspect);
    assert!(change.record.reason.contains("3 runs") && change.record.reason.contains("Xid 43"), "{change:?}");
}

#[test]
fn a_contained_memory_error_costs_its_program_only_and_a_gpu_that_makes_them_for_three_is_suspect() {
    let mut health = Health::default();
    assert_eq!(health.hear(&whole(), xid(94), &[run("a")], T), None, "other programs go on");
    assert!(health.blame(&run("a")).is_some_and(|blame| blame.fault == xid(94)));
    assert_eq!(health.hear(&whole(), xid(94), &[run("b"), run("c")], later(1)), None);
    assert_eq!(health.blame(&run("b")), None, "it was one of the two, and nobody knows which");
    health.hear(&whole(), xid(68), &[run("b")], later(2));
    let change = health.hear(&whole(), xid(13), &[run("c")], later(3)).expect("a change");
    assert_eq!(change.record.state, State::Suspect, "whatever each of them was");
    assert!(health.hear(&whole(), xid(95), &[], later(4)).is_some(), "an uncontained one asks for a reset");
}

#[test]
fn faults_of_days_apart_and_harmless_ones_make_nobody_suspicious() {
    let mut health = Health::default();
    for (at, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        assert_eq!(health.hear(&whole(), xid(31), &[run(name)], later(at as u64 * 13 * 3_600_000)), None);
        assert_eq!(health.hear(&whole(), xid(63), &[run(name)], later(at as u64)), None);
    }
    assert_eq!(state(&health, "GPU-a"), "healthy");
}

/// Three Runs die on it.
fn suspect(health: &mut Health, at: u64) -> Option<Change> {
    let mut change = None;
    for name in ["x", "y", "z"] {
        change = health.hear(&whole(), xid(31), &[run(&format!("{name}{at}"))], later(at));
    }
    change
}

#[test]
fn a_suspect_gpu_is_verified_by_itself_when_it_is_free_and_quarantined_when_it_is_suspect_again() {
    let mut health = Health::default();
    suspect(&mut health, 0).expect("suspect");
    assert!(health.examine_suspects(|_| true, later(1)).is_empty(), "a run holds it");
    assert_eq!(health.examine_suspects(|_| false, later(2)).len(), 1);
    assert_eq!(health.on_probation(), ["GPU-a"]);
    assert_eq!(health.examined("GPU-a", Ok(()), later(3)), None, "too early");
    assert!(health.distrusted(&whole()).is_some());
    let change = health.examined("GPU-a", Ok(()), later(2 + Health::PROBATION_MS)).expect("a change");
    assert_eq!(change.record.state, State::Healthy);
    let change = suspect(&mut health, 200_000).expect("again");
    assert_eq!(change.record.state, State::Quarantined { remedy: Remedy::Support }, "{change:?}");
    assert!(health.examine_suspects(|_| false, later(300_000)).is_empty(), "a person ends that");
}

#[test]
fn a_verification_fails_by_what_is_found_and_by_any_fault_meanwhile() {
    for failing in [true, false] {
        let mut health = Health::default();
        health.hear(&whole(), xid(62), &[], T);
        health.verify(&whole(), "asked".into(), later(1)).expect("verifying");
        let change = if failing {
            health.examined("GPU-a", Err("the driver does not list it".into()), later(2))
        } else {
            health.hear(&whole(), xid(13), &[], later(2))
        };
        let change = change.expect("a change");
        assert_eq!(change.record.state.word(), "quarantined", "{change:?}");
        assert_eq!(health.examined("GPU-a", Ok(()), later(900_000)), None, "it is over");
    }
}

#[test]
fn what_is_examined_is_whether_the_driver_lists_it_and_has_nothing_against_it() {
    let mut health = Health::default();
    health.hear(&whole(), xid(62), &[], T);
    let record = &health.records["GPU-a"];
    let found = |gpu: Gpu| Health::examine(&inventory(vec![gpu]), record, "GPU-a");
    assert_eq!(found(gpu("GPU-a")), Ok(()));
    assert!(found(gpu("GPU-b")).is_err());
    assert!(found(Gpu { unusable: Some("no node".into()), ..gpu("GPU-a") }).is_err());
    assert!(found(Gpu { repair: Some("rows wait".into()), ..gpu("GPU-a") }).is_err());
    assert!(Health::examine(&Inventory::default(), record, "GPU-a").is_err(), "a driver that is silent");
}

#[test]
fn memory_errors_count_from_the_first_look_and_anew_after_the_driver_was_loaded_anew() {
    let mut health = Health::default();
    let mut look = |uncorrected, at| {
        let ecc = Some(EccCounts { corrected: 0, uncorrected });
        health.observe(&inventory(vec![Gpu { ecc, ..gpu("GPU-a") }, gpu("GPU-b")]), |_| Vec::new(), later(at))
    };
    assert!(look(5, 0).is_empty(), "they are from before us");
    assert!(look(5, 1).is_empty() && look(0, 2).is_empty());
    let changes = look(2, 3);
    assert_eq!(changes.len(), 1);
    assert!(changes[0].record.reason.contains("2 uncorrected memory errors"), "{changes:?}");
}

#[test]
fn memory_errors_between_a_driver_that_was_loaded_anew_and_the_next_look_count() {
    let mut health = Health::default();
    let mut look = |uncorrected, at| {
        let ecc = Some(EccCounts { corrected: 0, uncorrected });
        health.observe(&inventory(vec![Gpu { ecc, ..gpu("GPU-a") }]), |_| Vec::new(), later(at))
    };
    assert!(look(5, 0).is_empty());
    let changes = look(3, 1);
    assert!(changes.len() == 1 && changes[0].record.reason.contains("3 uncorrected memory errors"), "{changes:?}");
}

#[test]
fn a_lost_gpu_is_quarantined_once_and_again_when_it_is_readmitted_too_early() {
    let mut health = Health::default();
    let lost = || inventory(vec![Gpu { lost: true, unusable: Some("gone".into()), ..gpu("GPU-a") }]);
    let changes = health.observe(&lost(), |_| vec![run("r")], T);
    assert_eq!(changes[0].record.state, State::Quarantined { remedy: Remedy::Support });
    assert!(health.observe(&lost(), |_| Vec::new(), later(1)).is_empty());
    assert_eq!(health.records["GPU-a"].sightings.len(), 1);
    health.readmit(&whole(), "hope".into(), later(2)).expect("readmitted");
    assert_eq!(health.observe(&lost(), |_| Vec::new(), later(3)).len(), 1);
    assert!(health.observe(&Inventory::default(), |_| Vec::new(), later(4)).is_empty(), "no answer is no loss");
}

#[test]
fn a_run_is_told_the_worst_that_its_gpus_reported_while_it_held_them_and_of_several_the_first() {
    let mut health = Health::default();
    health.hear(&whole(), xid(31), &[run("other")], T);
    health.hear(&whole(), xid(62), &[run("r")], later(1));
    health.hear(&whole(), xid(119), &[run("r")], later(2));
    health.hear(&whole(), xid(45), &[run("r")], later(3));
    let blame = health.blame(&run("r")).expect("blame");
    assert_eq!(
        (blame.uuid.as_str(), blame.fault.sentence()),
        ("GPU-a", "Xid 62 (internal micro-controller halt)".into())
    );
    assert_eq!(health.blame(&run("nobody")), None);
    health.hear(&unit("GPU-b", "GPU-b"), xid(63), &[run("quiet")], T);
    assert_eq!(health.blame(&run("quiet")), None, "nobody dies of that");
}

#[test]
fn orders_that_change_nothing_are_refused() {
    let mut health = Health::default();
    assert!(matches!(health.verify(&whole(), String::new(), T), Err(Refused::Healthy { .. })));
    assert!(matches!(health.readmit(&whole(), String::new(), T), Err(Refused::Healthy { .. })));
    health.quarantine(&whole(), "a fan is loud".into(), T).expect("taken out");
    let again = health.quarantine(&whole(), "me too".into(), T).expect_err("refused").to_string();
    assert!(again.contains("a fan is loud"), "{again}");
    health.verify(&whole(), "asked".into(), later(1)).expect("verifying");
    assert!(health.verify(&whole(), String::new(), later(2)).is_err());
    assert_eq!(health.readmit(&whole(), "sure".into(), later(3)).expect("back").record.state, State::Healthy);
}

#[test]
fn what_is_kept_of_a_gpu_has_an_end_and_outlives_the_daemon() {
    let mut health = Health::default();
    for at in 0..500 {
        health.hear(&whole(), xid(10_000 + at), &[run("one")], later(at));
    }
    health.quarantine(&unit("MIG-1", "GPU-a"), "why not".into(), T).expect("taken out");
    assert!(health.records["GPU-a"].sightings.len() < 100);
    let text = serde_json::to_string(&health).expect("text");
    assert_eq!(serde_json::from_str::<Health>(&text).expect("read"), health);
}

#[test]
fn channels_that_go_with_their_program_are_held_against_nobody() {
    let mut health = Health::default();
    for name in ["a", "b", "c"] {
        assert_eq!(health.hear(&whole(), xid(45), &[run(name)], T), None);
    }
    assert_eq!((state(&health, "GPU-a"), health.blame(&run("a"))), ("healthy", None));
}

#[test]
fn of_several_programs_on_a_gpu_none_is_blamed_for_an_error_of_one_and_all_for_one_of_the_card() {
    let mut health = Health::default();
    let all = [run("a"), run("b"), run("c")];
    assert_eq!(health.hear(&whole(), xid(31), &all, T), None, "it was one program, not three");
    assert_eq!((state(&health, "GPU-a"), health.blame(&run("a"))), ("healthy", None));
    health.hear(&whole(), xid(48), &all, later(1));
    assert!(health.blame(&run("b")).is_some_and(|blame| blame.fault == xid(48)));
}

#[test]
fn a_flood_of_small_errors_changes_nothing_and_hides_no_greater_one() {
    let mut health = Health::default();
    health.hear(&whole(), xid(62), &[run("r")], T);
    health.hear(&whole(), xid(31), &[run("r")], later(1));
    let before = health.clone();
    for at in 2..500 {
        health.hear(&whole(), xid(31), &[run("r")], later(at));
    }
    assert_eq!(health, before, "there is nothing to write");
    for at in 500..1000 {
        health.hear(&whole(), xid(10_000 + at), &[run("r")], later(at));
    }
    assert!(health.blame(&run("r")).is_some_and(|blame| blame.fault == xid(62)));
    let last = health.records["GPU-a"].sightings.last().expect("kept");
    assert_eq!(last.fault, xid(10_999), "what is new is kept");
}

#[test]
fn a_program_that_errs_for_days_counts_as_one_of_today() {
    let mut health = Health::default();
    for hour in 0..30 {
        assert_eq!(health.hear(&whole(), xid(13), &[run("long")], later(hour * 3_600_000)), None);
    }
    health.hear(&whole(), xid(13), &[run("b")], later(30 * 3_600_000));
    assert!(health.hear(&whole(), xid(13), &[run("c")], later(30 * 3_600_000)).is_some());
}

#[test]
fn a_gpu_that_asks_for_a_reset_gets_that_advice_and_is_not_lost() {
    let mut health = Health::default();
    let asks = || inventory(vec![Gpu { reset: true, unusable: Some("it says so".into()), ..gpu("GPU-a") }]);
    let changes = health.observe(&asks(), |_| vec![run("r")], T);
    assert_eq!(changes[0].record.state, State::Quarantined { remedy: Remedy::Reset }, "{changes:?}");
    assert!(health.observe(&asks(), |_| Vec::new(), later(1)).is_empty());
    assert_eq!(health.records["GPU-a"].sightings.len(), 1);
    let blame = health.blame(&run("r")).expect("blame");
    assert_eq!(blame.fault.sentence(), "it needs a reset: it says so");
}
