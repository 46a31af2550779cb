use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn unit(gpu: &str, uuid: &str) -> Unit {
    Unit { uuid: uuid.into(), gpu: gpu.into(), nodes: Vec::new() }
}

fn lease(claim: &str, units: &[Unit]) -> Lease {
    Lease { claim: claim.parse().expect("a claim"), units: units.to_vec(), share: Share::ALONE }
}

#[test]
fn hardware_is_lent_once_whatever_it_is_called() {
    let (a, b) = (RunId::new("a").expect("an id"), RunId::new("b").expect("an id"));
    let mut pool = Pool::default();
    pool.lease(&a, lease("0", &[unit("GPU-a", "GPU-a")])).expect("free");
    let same = pool.lease(&b, lease("GPU-a", &[unit("GPU-a", "GPU-a")]));
    assert_eq!(same, Err(LeaseError::Held { gpu: GpuId::Uuid("GPU-a".into()), holder: a.clone() }));
    assert!(pool.lease(&b, lease("MIG-1", &[unit("GPU-a", "MIG-1")])).is_err(), "a slice of a GPU that is lent whole");
    // After a card was lost, index 0 is another one.
    pool.lease(&b, lease("0", &[unit("GPU-b", "GPU-b")])).expect("another card");
}

#[test]
fn two_slices_of_a_gpu_are_two_things() {
    assert_eq!(lease("0:0", &[unit("GPU-a", "MIG-1")]).overlap(&lease("0:1", &[unit("GPU-a", "MIG-2")])), None);
}

#[test]
fn a_lease_that_was_given_in_words_is_compared_as_words_until_the_hardware_is_known() {
    let (a, b) = (RunId::new("a").expect("an id"), RunId::new("b").expect("an id"));
    let mut pool = Pool::default();
    pool.lease(&a, lease("0", &[])).expect("free");
    assert!(pool.check(&lease("0", &[unit("GPU-a", "GPU-a")])).is_err());
    let by_uuid = lease("GPU-a", &[unit("GPU-a", "GPU-a")]);
    assert!(pool.check(&by_uuid).is_ok(), "words alone do not say it");
    pool.identify(|_| vec![unit("GPU-a", "GPU-a")]);
    assert!(pool.lease(&b, by_uuid).is_err());
}

#[test]
fn a_gpu_is_used_by_as_many_as_all_of_them_bear() {
    let run = |name: &str| RunId::new(name).expect("an id");
    let shared = |share: u32| Lease {
        share: share.try_into().expect("a share"),
        ..lease("0,1", &[unit("GPU-a", "GPU-a"), unit("GPU-b", "GPU-b")])
    };
    let mut pool = Pool::default();
    pool.lease(&run("a"), shared(3)).expect("free");
    assert!(pool.check(&lease("0", &[unit("GPU-a", "GPU-a")])).is_err(), "it shares with nobody");
    pool.lease(&run("b"), shared(2)).expect("shared");
    let full = pool.lease(&run("c"), shared(3));
    assert!(matches!(full, Err(LeaseError::Held { .. })), "b bears no third: {full:?}");
    pool.release(&run("b"));
    pool.lease(&run("c"), shared(3)).expect("two of three");
    pool.lease(&run("d"), shared(3)).expect("three of three");
    assert!(pool.check(&shared(48)).is_err());
    // Where nobody knows the hardware, words are shared as words.
    let mut words = Pool::default();
    let said = |claim: &str, share: u32| Lease { share: share.try_into().expect("a share"), ..lease(claim, &[]) };
    words.lease(&run("a"), said("0", 2)).expect("free");
    words.lease(&run("b"), said("1", 2)).expect("free");
    words.lease(&run("c"), said("0,1", 2)).expect("each is used by one other");
    assert!(words.check(&said("1", 2)).is_err());
}

#[derive(Debug, Clone)]
enum Op {
    Lease(u8, BTreeSet<u8>),
    Release(u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0u8..6, proptest::collection::btree_set(0u8..8, 1..4)).prop_map(|(run, gpus)| Op::Lease(run, gpus)),
        (0u8..6).prop_map(Op::Release),
    ]
}

proptest! {
    #[test]
    fn no_gpu_is_ever_in_two_leases_and_a_lease_is_given_back_exactly_once(
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        let mut pool = Pool::default();
        let mut live = BTreeSet::new();
        for op in ops {
            match op {
                Op::Lease(run, gpus) => {
                    let id = RunId::new(run.to_string()).expect("an id");
                    let gpus = gpus.into_iter().map(|gpu| GpuId::Index(gpu.into())).collect();
                    if pool.lease(&id, GpuClaim::Some(gpus).into()).is_ok() {
                        prop_assert!(live.insert(run));
                    }
                }
                Op::Release(run) => {
                    let id = RunId::new(run.to_string()).expect("an id");
                    prop_assert_eq!(pool.release(&id), live.remove(&run));
                }
            }
            let mut seen = BTreeSet::new();
            for (_, lease) in pool.held() {
                if let GpuClaim::Some(gpus) = &lease.claim {
                    for gpu in gpus {
                        prop_assert!(seen.insert(gpu.clone()), "{} is lent twice", gpu);
                    }
                }
            }
        }
    }
}
