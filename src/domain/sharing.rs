//! Workers that would use the same GPU: refused, unless all of them say that they share it.

use std::collections::BTreeSet;

use super::gpu::{GpuClaim, GpuId};
use super::ids::WorkerName;
use super::inventory::Inventory;
use super::lending::Lending;
use super::worker::Worker;

/// A GPU that a Worker cannot have beside the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap<'a> {
    /// As the newcomer calls it.
    pub gpu: String,
    /// A Worker that has it.
    pub holder: &'a Worker,
    /// How many Workers would use it, the newcomer among them.
    pub sharers: usize,
    /// Whether all of them could share it, if they said so.
    pub remedy: bool,
}

/// The first GPU of a claim that as many Workers would use as not all of them bear. One Worker may come twice, as it is
/// and as it will be.
#[must_use]
pub fn overlap<'a>(
    claim: &GpuClaim,
    lending: &Lending,
    others: &[&'a Worker],
    inventory: &Inventory,
) -> Option<Overlap<'a>> {
    parts(claim, inventory).into_iter().find_map(|part| {
        let used = |other: &&&'a Worker| inventory.overlap(&part, &other.gpus).is_some();
        let holders: Vec<&'a Worker> = others.iter().filter(used).copied().collect();
        let names: BTreeSet<&WorkerName> = holders.iter().map(|holder| &holder.name).collect();
        let sharers = names.len() + 1;
        let bears = |lending: &Lending| lending.share().runs() >= sharers;
        if holders.is_empty() || (bears(lending) && holders.iter().all(|holder| bears(&holder.lending))) {
            return None;
        }
        let holder = holders.iter().find(|holder| !bears(&holder.lending)).or(holders.first())?;
        let remedy = lending.portions().is_none() && holders.iter().all(|holder| holder.lending.portions().is_none());
        Some(Overlap { gpu: shown(&part, claim, holder, inventory), holder, sharers, remedy })
    })
}

/// One claim for each GPU that is claimed, as far as that is known.
fn parts(claim: &GpuClaim, inventory: &Inventory) -> Vec<GpuClaim> {
    let one = |id: GpuId| GpuClaim::Some([id].into());
    match claim {
        GpuClaim::None => Vec::new(),
        GpuClaim::All if inventory.gpus.is_empty() => vec![GpuClaim::All],
        GpuClaim::All => inventory.gpus.iter().map(|gpu| one(GpuId::Uuid(gpu.uuid.clone()))).collect(),
        GpuClaim::Some(gpus) => gpus.iter().cloned().map(one).collect(),
    }
}

/// `all` has no names of its own: then it is what the holder calls it.
fn shown(part: &GpuClaim, claim: &GpuClaim, holder: &Worker, inventory: &Inventory) -> String {
    match claim {
        GpuClaim::None | GpuClaim::Some(_) => part.to_string(),
        GpuClaim::All => inventory.overlap(&holder.gpus, part).unwrap_or_else(|| part.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::UnixMillis;
    use crate::domain::inventory::{Driver, Gpu};
    use crate::domain::worker::{Origin, WorkerDraft};

    fn worker(name: &str, gpus: &str, lending: Lending) -> Worker {
        let (name, gpus) = (WorkerName::new(name).expect("a name"), gpus.parse().expect("a claim"));
        let draft = WorkerDraft { lending, ..WorkerDraft::default() };
        Worker::of(draft, name, gpus, Vec::new(), Origin::Operator, UnixMillis(1))
    }

    fn shared(by: u32) -> Lending {
        Lending::Shared(by.try_into().expect("a share"))
    }

    fn host() -> Inventory {
        let gpu = |index: u32| Gpu { index, uuid: format!("GPU-{index}"), ..Gpu::default() };
        let driver = Driver::Up { version: None, cuda: None };
        Inventory { driver, gpus: (0..3).map(gpu).collect(), ..Inventory::default() }
    }

    #[test]
    fn a_gpu_is_shared_only_where_all_of_its_workers_say_so_and_bear_as_many() {
        let found = |gpus: &str, lending: Lending, others: &[Worker]| {
            let others: Vec<&Worker> = others.iter().collect();
            let claim = gpus.parse().expect("a claim");
            overlap(&claim, &lending, &others, &host())
                .map(|found| (found.gpu, found.holder.name.to_string(), found.sharers, found.remedy))
        };
        let alone = [worker("a", "0", Lending::Whole)];
        let refused = |gpu: &str, holder: &str, sharers| Some((gpu.to_owned(), holder.to_owned(), sharers, true));
        assert_eq!(found("0,1", Lending::Whole, &alone), refused("0", "a", 2));
        assert_eq!(found("0,1", shared(2), &alone), refused("0", "a", 2), "the other has not said it");
        assert_eq!(found("1", Lending::Whole, &alone), None);
        let two = [worker("a", "0", shared(2)), worker("b", "GPU-0,1", shared(3))];
        assert_eq!(found("1", shared(2), &two), None);
        assert_eq!(found("0", shared(3), &two), refused("0", "a", 3), "a bears two");
        assert_eq!(found("1", Lending::Whole, &two), refused("1", "b", 2));
        assert_eq!(found("all", Lending::Whole, &two[1..]), refused("GPU-0", "b", 2));
        let twice = [worker("a", "0", shared(2)), worker("a", "0,1", shared(2))];
        assert_eq!(found("0", shared(2), &twice), None, "one worker, now and later");
    }

    #[test]
    fn gpus_of_a_dynamic_worker_are_its_own() {
        let dynamic = worker("d", "0-2", Lending::Dynamic(vec!["1".parse().expect("a number")]));
        let found = overlap(&"1".parse().expect("a claim"), &shared(2), &[&dynamic], &host()).expect("refused");
        assert!(!found.remedy);
    }
}
