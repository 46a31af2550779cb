use std::collections::BTreeMap;

use super::*;
use crate::domain::ids::{RunId, WorkerName};
use crate::domain::inventory::{GpuProcess, view};
use crate::domain::lease::{Lease, Pool};
use crate::domain::lending::Share;
use crate::domain::reservation::Reservations;
use crate::domain::withheld::{Circumstances, Strangers, Withheld};

fn claim(text: &str) -> GpuClaim {
    text.parse().expect("a claim")
}

/// Minor numbers are not indexes: that is the usual trap.
fn gpu(index: u32) -> Gpu {
    Gpu { index, uuid: format!("GPU-{index}"), name: "A100".into(), minor: Some(7 - index), ..Gpu::default() }
}

fn slice(index: u32) -> Slice {
    let nodes = vec![PathBuf::from(format!("/dev/nvidia-caps/nvidia-cap{index}"))];
    Slice { index, uuid: format!("MIG-{index}"), profile: "1g.5gb".into(), nodes, ..Slice::default() }
}

/// GPUs 0 and 1, and GPU 2 in two slices.
fn host() -> Inventory {
    let sliced = Gpu { mig: true, slices: vec![slice(0), slice(1)], ..gpu(2) };
    let driver = Driver::Up { version: None, cuda: None };
    Inventory { driver, gpus: vec![gpu(0), gpu(1), sliced], ..Inventory::default() }
}

fn uuids(text: &str) -> Vec<String> {
    host().resolve(&claim(text)).expect("there").into_iter().map(|unit| unit.uuid).collect()
}

fn refused(text: &str) -> String {
    host().resolve(&claim(text)).expect_err("refused").to_string()
}

#[test]
fn every_name_means_hardware() {
    assert_eq!(uuids("1,0"), ["GPU-0", "GPU-1"]);
    assert_eq!(uuids("GPU-1"), ["GPU-1"]);
    assert_eq!(uuids("2:1"), ["MIG-1"]);
    assert_eq!(uuids("MIG-0"), ["MIG-0"]);
    assert_eq!(uuids("2"), ["MIG-0", "MIG-1"], "a divided GPU is its slices");
    assert_eq!(uuids("all"), ["GPU-0", "GPU-1", "MIG-0", "MIG-1"]);
    assert_eq!(uuids("none"), [""; 0]);
    let nodes = |text| host().resolve(&claim(text)).expect("there").swap_remove(0).nodes;
    assert_eq!(nodes("1"), [PathBuf::from("/dev/nvidia6")]);
    assert_eq!(nodes("2:1"), [PathBuf::from("/dev/nvidia5"), PathBuf::from("/dev/nvidia-caps/nvidia-cap1")]);
}

#[test]
fn what_is_not_there_is_refused_with_what_is() {
    assert!(refused("0,3").contains("no GPU `3`; it has 0 (A100, GPU-0), 1 (A100, GPU-1), 2"), "{}", refused("3"));
    assert!(refused("GPU-9").contains("no GPU `GPU-9`"));
    assert!(refused("2:7").contains("it has 2:0 (1g.5gb), 2:1 (1g.5gb)"), "{}", refused("2:7"));
    assert!(refused("0:1").contains("MIG is off on GPU 0"));
    assert!(refused("1,GPU-1").contains("`1` and `GPU-1` are the same GPU"));
    assert!(refused("2,2:0").contains("are the same GPU"));
    let mut host = host();
    host.gpus[2].slices.clear();
    assert!(host.resolve(&claim("2")).is_err_and(|error| error.to_string().contains("has no slice")));
    host.gpus.clear();
    assert_eq!(host.resolve(&claim("all")), Err(Unresolved::Nothing));
}

#[test]
fn names_of_the_same_hardware_overlap_whatever_kind_they_are() {
    let overlap = |one, other| host().overlap(&claim(one), &claim(other));
    assert_eq!(overlap("0,1", "GPU-1").as_deref(), Some("1"));
    assert_eq!(overlap("GPU-1", "1").as_deref(), Some("GPU-1"));
    assert_eq!(overlap("MIG-0", "2").as_deref(), Some("MIG-0"));
    assert_eq!(overlap("2:0", "MIG-0").as_deref(), Some("2:0"));
    assert_eq!(overlap("2:0", "MIG-1"), None);
    assert_eq!(overlap("GPU-0", "1"), None);
    assert_eq!(overlap("9", "9").as_deref(), Some("9"), "words, of a card that is gone");
    assert_eq!(Inventory::default().overlap(&claim("GPU-1"), &claim("1")), None);
}

#[test]
fn nothing_is_lent_by_a_driver_that_does_not_answer_and_words_are_enough_where_there_is_none() {
    let mut host = host();
    let words = |text: &str| -> Vec<String> {
        host.lend(&claim(text)).expect("there").iter().map(|unit| host.word(unit).to_string()).collect()
    };
    assert_eq!(words("GPU-1,MIG-1"), ["1", "2:1"]);
    for driver in [Driver::Asked, Driver::Failing { reason: "version mismatch".into() }] {
        host.driver = driver;
        assert!(matches!(host.lend(&claim("0")), Err(Unresolved::Driver { .. })));
        assert_eq!(host.lend(&GpuClaim::None), Ok(Vec::new()));
    }
    host.driver = Driver::Absent;
    assert_eq!(host.lend(&claim("0")), Ok(Vec::new()));
}

#[test]
fn a_view_says_who_claims_who_holds_and_whose_processes_are_there() {
    let mut host = host();
    let process = |pid, ancestors: &[u32]| GpuProcess { pid, ancestors: ancestors.to_vec(), ..GpuProcess::default() };
    host.gpus[1].processes = vec![process(50, &[40, 30, 1]), process(60, &[1])];
    let worker = |name: &str| WorkerName::new(name).expect("a name");
    let alone = |name, claim| (worker(name), claim, Share::ALONE);
    let claims = [alone("h:gpu1", claim("1")), alone("h:mig", claim("2:1")), alone("h:cpu", GpuClaim::None)];
    let run = RunId::new("r").expect("an id");
    let sliced = RunId::new("s").expect("an id");
    let lease = |text| Lease { units: host.resolve(&claim(text)).expect("there"), ..Lease::from(claim(text)) };
    let leases = [(run.clone(), lease("1")), (sliced.clone(), lease("2:1"))];
    let (mut pool, shims) = (Pool::default(), BTreeMap::from([(30, run.clone())]));
    for (run, lease) in &leases {
        pool.lease(run, lease.clone()).expect("free");
    }
    let (reservations, strangers) = (Reservations::default(), Strangers::default());
    let circumstances = Circumstances {
        inventory: &host,
        pool: &pool,
        health: &crate::domain::health::Health::default(),
        reservations: &reservations,
        shims: &shims,
        strangers: &strangers,
    };
    let views = view(&circumstances, &claims, &leases);
    let withheld: Vec<Option<Withheld>> = views.iter().map(|view| view.withheld.clone()).collect();
    let held = |run: &RunId| Some(Withheld::Held { run: run.clone() });
    assert_eq!(withheld, [None, held(&run), held(&sliced)]);
    assert_eq!((&views[2].slices[0].withheld, &views[2].slices[1].withheld), (&None, &held(&sliced)));
    assert_eq!((views[0].workers.len(), views[0].runs.len()), (0, 0));
    assert_eq!((&views[1].workers, &views[1].runs), (&vec![worker("h:gpu1")], &vec![run.clone()]));
    let owners: Vec<Option<RunId>> = views[1].processes.iter().map(|process| process.run.clone()).collect();
    assert_eq!(owners, [Some(run), None]);
    assert_eq!((&views[2].workers, &views[2].runs), (&vec![worker("h:mig")], &vec![sliced.clone()]));
    assert_eq!(views[2].slices[0].worker, None);
    assert_eq!((&views[2].slices[1].worker, &views[2].slices[1].run), (&Some(worker("h:mig")), &Some(sliced)));
}

#[test]
fn what_a_driver_said_before_it_fell_silent_is_lent_to_nobody() {
    let host = Inventory { silent_seconds: Some(12), ..host() };
    let refused = host.lend(&claim("0")).expect_err("silent").to_string();
    assert!(refused.contains("it has not answered for 12 s"), "{refused}");
    assert_eq!(host.lend(&GpuClaim::None), Ok(Vec::new()));
    assert_eq!(host.resolve(&claim("0")).map(|units| units.len()), Ok(1), "what is there is known");
}

#[test]
fn a_slice_shows_the_health_of_its_gpu_by_that_gpus_name() {
    let (host, mut health) = (host(), crate::domain::health::Health::default());
    let units = host.resolve(&claim("2:1")).expect("there");
    let whole = Unit { uuid: units[0].gpu.clone(), ..units[0].clone() };
    health.quarantine(&whole, "a fan is loud".into(), crate::domain::ids::UnixMillis(1)).expect("taken out");
    let circumstances = Circumstances {
        inventory: &host,
        pool: &Pool::default(),
        health: &health,
        reservations: &Reservations::default(),
        shims: &BTreeMap::new(),
        strangers: &Strangers::default(),
    };
    let views = view(&circumstances, &[], &[]);
    let named = views[2].slices.iter().map(|slice| slice.health.as_ref().map(|(uuid, _)| uuid.as_str()));
    assert_eq!(named.collect::<Vec<_>>(), [Some("GPU-2"); 2]);
}
