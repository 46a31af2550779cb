//! Who has what: the inventory beside claims and leases.

use std::collections::BTreeMap;

use super::{Gpu, GpuProcess, Inventory, Slice};
use crate::domain::gpu::{GpuClaim, GpuId};
use crate::domain::health::Record;
use crate::domain::ids::{RunId, WorkerName};
use crate::domain::lease::{Lease, Unit};
use crate::domain::lending::Share;
use crate::domain::reservation::Reservation;
use crate::domain::withheld::{Circumstances, Withheld};

/// A GPU, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuView {
    /// What it is and is at.
    pub gpu: Gpu,
    /// Workers that claim it or a slice of it.
    pub workers: Vec<WorkerName>,
    /// Runs that hold it or a slice of it.
    pub runs: Vec<RunId>,
    /// What computes on it, each with the Run that it belongs to; none is a foreign process.
    pub processes: Vec<ProcessView>,
    /// Its slices, by index.
    pub slices: Vec<SliceView>,
    /// How far it can be trusted; none where there is nothing to say.
    pub health: Option<Record>,
    /// Why it is not lent now, to nobody or to one more. Of one in slices: why none of them is.
    pub withheld: Option<Withheld>,
    /// Who keeps it for themselves.
    pub reservation: Option<Reservation>,
}

/// A process on a GPU, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessView {
    /// The process.
    pub process: GpuProcess,
    /// Whose; none is a foreign process.
    pub run: Option<RunId>,
}

/// A slice, for showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceView {
    /// What it is and is at.
    pub slice: Slice,
    /// The Worker that claims it.
    pub worker: Option<WorkerName>,
    /// The Run that holds it.
    pub run: Option<RunId>,
    /// How far it can be trusted, or the whole GPU if that is worse.
    pub health: Option<Record>,
    /// Why it is not lent now.
    pub withheld: Option<Withheld>,
    /// Who keeps it for themselves.
    pub reservation: Option<Reservation>,
}

/// Who claims what, and how many Runs may use it at once then.
pub type Claim = (WorkerName, GpuClaim, Share);

/// Sets the inventory beside who claims and who holds what.
#[must_use]
pub fn view(circumstances: &Circumstances<'_>, claims: &[Claim], leases: &[(RunId, Lease)]) -> Vec<GpuView> {
    let (inventory, shims) = (circumstances.inventory, circumstances.shims);
    let withheld = |unit: &Unit| {
        let id = GpuId::Uuid(unit.uuid.clone());
        let most = claiming(inventory, claims, &id).map(|(.., share)| *share).max();
        circumstances.withheld(unit, most.unwrap_or(Share::ALONE))
    };
    let workers = |id: &GpuId| claiming(inventory, claims, id).map(|(worker, ..)| worker.clone()).collect::<Vec<_>>();
    let reservation = |unit: &Unit| circumstances.reservations.of(unit).cloned();
    let one = |gpu: &Gpu| {
        let whole = GpuId::Uuid(gpu.uuid.clone());
        let unit = |uuid: &str| Unit { uuid: uuid.to_owned(), gpu: gpu.uuid.clone(), nodes: Vec::new() };
        let slices = gpu.slices.iter().map(|slice| {
            let id = GpuId::Uuid(slice.uuid.clone());
            SliceView {
                worker: workers(&id).into_iter().next(),
                run: holding(inventory, leases, &gpu.uuid, &id).into_iter().next(),
                health: circumstances.health.of(&slice.uuid, &gpu.uuid).cloned(),
                withheld: withheld(&unit(&slice.uuid)),
                reservation: reservation(&unit(&slice.uuid)),
                slice: slice.clone(),
            }
        });
        GpuView {
            workers: workers(&whole),
            runs: holding(inventory, leases, &gpu.uuid, &whole),
            processes: gpu.processes.iter().map(|process| of_a_run(process, shims)).collect(),
            slices: slices.collect(),
            health: circumstances.health.records.get(&gpu.uuid).cloned(),
            withheld: withheld(&unit(&gpu.uuid)),
            reservation: reservation(&unit(&gpu.uuid)),
            gpu: gpu.clone(),
        }
    };
    inventory.gpus.iter().map(one).collect()
}

fn claiming<'a>(inventory: &Inventory, claims: &'a [Claim], id: &GpuId) -> impl Iterator<Item = &'a Claim> {
    let this = GpuClaim::Some([id.clone()].into());
    claims.iter().filter(move |(_, claim, _)| inventory.overlap(&this, claim).is_some())
}

fn holding(inventory: &Inventory, leases: &[(RunId, Lease)], gpu: &str, id: &GpuId) -> Vec<RunId> {
    let this = Unit { uuid: id.to_string(), gpu: gpu.to_owned(), nodes: Vec::new() };
    let words = GpuClaim::Some([id.clone()].into());
    let holds = |lease: &Lease| match lease.units.as_slice() {
        [] => inventory.overlap(&words, &lease.claim).is_some(),
        units => units.iter().any(|unit| unit.overlaps(&this)),
    };
    leases.iter().filter(|(_, lease)| holds(lease)).map(|(run, _)| run.clone()).collect()
}

fn of_a_run(process: &GpuProcess, shims: &BTreeMap<u32, RunId>) -> ProcessView {
    let run = process.ancestors.iter().find_map(|pid| shims.get(pid)).cloned();
    ProcessView { process: process.clone(), run }
}
