//! Two GPUs: one that is claimed, held and used by a stranger, too; one in slices, which cannot be used.

use std::collections::BTreeMap;
use std::sync::Arc;

use clearmld::domain::gpu::{GpuClaim, GpuId};
use clearmld::domain::health::{Health, Record};
use clearmld::domain::inventory::{self, Driver, EccCounts, Figures, Gpu, GpuProcess, Inventory, Power, Slice};
use clearmld::domain::lease::{Lease, Pool, Unit};
use clearmld::domain::lending::Share;
use clearmld::domain::reservation::{Reservation, Reservations, Term};
use clearmld::domain::withheld::{Circumstances, Strangers};
use clearmld::engine::handle::{EngineError, GpuOrder, GpusView};

use super::{BUSY, LIVE_RUN, UnixMillis, id};

pub(crate) fn view() -> GpusView {
    let figures =
        Figures { memory_total: Some(40 << 30), memory_used: Some(10 << 30), usage: Some(73), temperature: Some(61) };
    let process = |pid, name: &str, ancestors: &[u32]| GpuProcess {
        pid,
        name: name.into(),
        uid: Some(1000),
        memory: Some(1 << 30),
        ancestors: ancestors.to_vec(),
    };
    let busy = Gpu {
        uuid: "GPU-aa".into(),
        name: "NVIDIA A100".into(),
        pci: "0000:07:00.0".into(),
        minor: Some(1),
        figures,
        power: Power { draw: Some(250_000), limit: Some(400_000) },
        ecc: Some(EccCounts { corrected: 3, uncorrected: 0 }),
        processes: vec![process(700, "python", &[600, 500]), process(800, "jupy\u{1b}[31m", &[1])],
        ..Gpu::default()
    };
    let slice = Slice { uuid: "MIG-bb".into(), profile: "1g.5gb".into(), ..Slice::default() };
    let divided = Gpu {
        index: 1,
        uuid: "GPU-bb".into(),
        name: "NVIDIA A100".into(),
        mig: true,
        slices: vec![slice],
        unusable: Some("it fell off the bus".into()),
        ..Gpu::default()
    };
    let inventory = Inventory {
        driver: Driver::Up { version: Some("550.54.15".into()), cuda: Some("12.4".into()) },
        gpus: vec![busy, divided],
        remarks: vec!["/dev/nvidia-uvm does not exist yet".into()],
        seen: Some(UnixMillis(1_700_000_000_000)),
        silent_seconds: None,
    };
    let held = Unit { uuid: "GPU-aa".into(), gpu: "GPU-aa".into(), nodes: Vec::new() };
    let lease = Lease { units: vec![held], ..Lease::from(id::<GpuClaim>("0")) };
    let mut pool = Pool::default();
    pool.lease(&id(LIVE_RUN), lease.clone()).expect("free");
    let unit = Unit { uuid: "GPU-bb".into(), gpu: "GPU-bb".into(), nodes: Vec::new() };
    let (by, reason, made) = ("alice".to_owned(), "a demo".to_owned(), UnixMillis(1_700_000_000_000));
    let term = Term::Until(UnixMillis(1_700_007_200_000));
    let reservations = Reservations { made: vec![Reservation { unit, by, reason, made, term }] };
    let (shims, strangers) = (BTreeMap::from([(500, id(LIVE_RUN))]), Strangers::default());
    let circumstances = Circumstances {
        inventory: &inventory,
        pool: &pool,
        health: &Health::default(),
        reservations: &reservations,
        shims: &shims,
        strangers: &strangers,
    };
    let gpus = inventory::view(&circumstances, &[(id(BUSY), id("0"), Share::ALONE)], &[(id(LIVE_RUN), lease)]);
    GpusView { inventory: Arc::new(inventory), gpus }
}

/// GPU 0 is as it is ordered to be; there is no other.
pub(crate) fn order(gpu: &GpuId, order: GpuOrder, reason: String) -> Result<Record, EngineError> {
    if gpu.to_string() != "0" {
        return Err(EngineError::NotFound { kind: "gpu", name: gpu.to_string() });
    }
    let unit = Unit { uuid: "GPU-aa".into(), gpu: "GPU-aa".into(), nodes: Vec::new() };
    let (mut health, at) = (Health::default(), UnixMillis(1_700_000_000_000));
    let changed = match order {
        GpuOrder::Quarantine => health.quarantine(&unit, reason, at),
        GpuOrder::Verify => health.verify(&unit, reason, at),
        GpuOrder::Readmit => health.readmit(&unit, reason, at),
    };
    changed.map(|change| change.record).map_err(|refused| EngineError::Conflict { reason: refused.to_string() })
}
