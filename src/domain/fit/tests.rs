use proptest::prelude::*;

use super::*;

/// GPUs of these NUMA nodes, and NVLinks between these.
fn host(nodes: &[u32], links: &[(u32, u32)]) -> Inventory {
    let pci = |index: u32| format!("0000:{index:02x}:00.0");
    let gpu = |(index, node): (usize, &u32)| {
        let index = u32::try_from(index).expect("few");
        let ends = links.iter().filter_map(|(a, b)| match (*a == index, *b == index) {
            (true, _) => Some(pci(*b)),
            (false, true) => Some(pci(*a)),
            (false, false) => None,
        });
        let links = ends.collect();
        Gpu { index, uuid: format!("GPU-{index}"), pci: pci(index), numa_node: Some(*node), links, ..Gpu::default() }
    };
    Inventory { gpus: nodes.iter().enumerate().map(gpu).collect(), ..Inventory::default() }
}

fn units(free: &[u32]) -> Vec<Unit> {
    let unit = |index: &u32| Unit { uuid: format!("GPU-{index}"), gpu: format!("GPU-{index}"), nodes: Vec::new() };
    free.iter().map(unit).collect()
}

fn picked(inventory: &Inventory, free: &[u32], count: usize) -> Vec<u32> {
    let taken = pick(inventory, &units(free), count);
    taken.iter().map(|unit| unit.uuid.trim_start_matches("GPU-").parse().expect("an index")).collect()
}

#[test]
fn gpus_that_a_link_joins_are_lent_together() {
    let pairs = host(&[0; 4], &[(0, 2), (1, 3)]);
    assert_eq!(picked(&pairs, &[0, 1, 2, 3], 2), [0, 2]);
    assert_eq!(picked(&pairs, &[1, 2, 3], 2), [1, 3]);
    assert_eq!(picked(&pairs, &[0, 1, 2, 3], 3), [0, 1, 2], "a pair whole, and one");
}

#[test]
fn a_small_task_takes_what_is_broken_already_and_leaves_neighbourhoods_whole() {
    let pairs = host(&[0, 0, 0, 0], &[(0, 1), (2, 3)]);
    assert_eq!(picked(&pairs, &[0, 1, 2], 1), [2]);
    let nodes = host(&[0, 0, 0, 0, 1, 1, 1, 1], &[]);
    assert_eq!(picked(&nodes, &[0, 1, 2, 3, 6, 7], 1), [6]);
    assert_eq!(picked(&nodes, &[0, 1, 2, 3, 6, 7], 2), [6, 7]);
    assert_eq!(picked(&nodes, &[0, 1, 2, 3, 6, 7], 3), [0, 1, 2]);
    assert_eq!(picked(&nodes, &[0, 1, 2, 3, 6, 7], 5), [0, 1, 2, 3, 6], "the largest whole");
}

#[test]
fn a_linked_pair_is_better_than_two_of_a_smaller_node() {
    let host = host(&[0, 0, 1, 1, 1], &[(2, 3)]);
    assert_eq!(picked(&host, &[0, 1, 2, 3, 4], 2), [2, 3]);
}

#[test]
fn of_a_mesh_the_best_linked_are_lent_and_of_a_switch_those_of_one_node() {
    let mesh = host(&[0; 4], &[(0, 1), (0, 2), (0, 3), (0, 3), (1, 2), (1, 2), (1, 3), (2, 3)]);
    assert_eq!(picked(&mesh, &[0, 1, 2, 3], 2), [0, 3], "two links");
    let mut switch = host(&[0, 0, 1, 1], &[]);
    for gpu in &mut switch.gpus {
        gpu.links = vec!["0000:c0:00.0".into(), "0000:c1:00.0".into()];
    }
    assert_eq!(picked(&switch, &[1, 2, 3], 2), [2, 3]);
    assert_eq!(picked(&switch, &[0, 1, 2, 3], 3), [0, 1, 2]);
}

#[test]
fn slices_of_one_gpu_fill_it_before_another_is_begun() {
    let inventory = host(&[0, 0], &[]);
    let slice = |gpu: u32, slice: u32| Unit {
        uuid: format!("MIG-{gpu}-{slice}"),
        gpu: format!("GPU-{gpu}"),
        nodes: Vec::new(),
    };
    let free = [slice(0, 0), slice(0, 1), slice(0, 2), slice(1, 2)];
    assert_eq!(pick(&inventory, &free, 1), [slice(1, 2)]);
    assert_eq!(pick(&inventory, &free, 2), [slice(0, 0), slice(0, 1)]);
}

proptest! {
    #[test]
    fn whatever_the_host_is_like_as_many_as_wanted_are_lent_each_once_and_near_if_that_can_be(
        nodes in proptest::collection::vec(0u32..3, 1..9),
        links in proptest::collection::vec((0u32..9, 0u32..9), 0..8),
        free in proptest::collection::btree_set(0u32..9, 0..9),
        count in 0usize..9,
    ) {
        let size = u32::try_from(nodes.len()).expect("few");
        let links: Vec<(u32, u32)> = links.into_iter().filter(|(a, b)| a != b && *a < size && *b < size).collect();
        let inventory = host(&nodes, &links);
        let free: Vec<u32> = free.into_iter().filter(|gpu| *gpu < size).collect();
        let taken = picked(&inventory, &free, count);
        prop_assert_eq!(taken.len(), count.min(free.len()));
        prop_assert!(taken.windows(2).all(|two| two[0] < two[1]), "in order, each once: {:?}", taken);
        prop_assert!(taken.iter().all(|gpu| free.contains(gpu)));
        prop_assert_eq!(&taken, &picked(&inventory, &free, count), "the same again");

        // The smallest joined neighbourhood that is large enough is the one that is broken.
        let all = units(&free);
        let offers: Vec<Offer<'_>> = all.iter().enumerate()
            .map(|(at, unit)| Offer { at, gpu: inventory.gpus.iter().find(|gpu| gpu.uuid == unit.gpu).expect("there") })
            .collect();
        let fit = Fit { inventory: &inventory };
        let joined = apart(&offers, |one, other| fit.linked(one, other));
        if count > 0 && count < free.len()
            && let Some(smallest) = joined.iter().map(Vec::len).filter(|size| *size >= count).min()
        {
            let home = joined.iter().find(|part| part.iter().any(|offer| free[offer.at] == taken[0])).expect("there");
            prop_assert_eq!(home.len(), smallest);
            prop_assert!(taken.iter().all(|gpu| home.iter().any(|offer| free[offer.at] == *gpu)), "all of one");
        }
    }
}
