//! GPUs.

use crate::domain::health::{Record, Sighting, State};
use crate::domain::inventory::{Driver, Figures, GpuView, ProcessView, SliceView};
use crate::domain::reservation::{Reservation, Term};
use crate::engine::handle::GpusView;
use crate::rpc::v1;

impl From<GpusView> for v1::ListGpusResponse {
    fn from(view: GpusView) -> Self {
        let inventory = view.inventory.as_ref();
        Self {
            gpus: view.gpus.into_iter().map(Into::into).collect(),
            driver: Some((&inventory.driver).into()),
            remarks: inventory.remarks.clone(),
            seen_unix_ms: inventory.seen.map(super::millis),
            silent_seconds: inventory.silent_seconds,
        }
    }
}

impl From<&Driver> for v1::GpuDriver {
    fn from(driver: &Driver) -> Self {
        let (state, version, cuda_version, reason) = match driver {
            Driver::Asked => (v1::GpuDriverState::Asked, None, None, None),
            Driver::Absent => (v1::GpuDriverState::Absent, None, None, None),
            Driver::Failing { reason } => (v1::GpuDriverState::Failing, None, None, Some(reason.clone())),
            Driver::Up { version, cuda } => (v1::GpuDriverState::Up, version.clone(), cuda.clone(), None),
        };
        Self { state: state.into(), version, cuda_version, reason }
    }
}

impl From<GpuView> for v1::Gpu {
    fn from(view: GpuView) -> Self {
        let GpuView { gpu, workers, runs, processes, slices, withheld, reservation, health: record } = view;
        let health = Some(health(&gpu.index.to_string(), record.as_ref()));
        Self {
            index: gpu.index,
            uuid: gpu.uuid,
            name: gpu.name,
            pci_bus_id: gpu.pci,
            minor: gpu.minor,
            numa_node: gpu.numa_node,
            mig: gpu.mig,
            figures: Some(gpu.figures.into()),
            power_mw: gpu.power.draw,
            power_limit_mw: gpu.power.limit,
            ecc_corrected: gpu.ecc.map(|ecc| ecc.corrected),
            ecc_uncorrected: gpu.ecc.map(|ecc| ecc.uncorrected),
            unusable: gpu.unusable,
            workers: workers.into_iter().map(Into::into).collect(),
            run_ids: runs.into_iter().map(Into::into).collect(),
            processes: processes.into_iter().map(Into::into).collect(),
            slices: slices.into_iter().map(Into::into).collect(),
            health,
            withheld: withheld.map(|why| why.to_string()),
            reservation: reservation.map(Into::into),
        }
    }
}

impl From<Figures> for v1::GpuFigures {
    fn from(figures: Figures) -> Self {
        let Figures { memory_total, memory_used, usage, temperature } = figures;
        Self { memory_total, memory_used, usage, temperature }
    }
}

impl From<SliceView> for v1::MigSlice {
    fn from(view: SliceView) -> Self {
        // What is wrong with its GPU is mended there.
        let (id, record) = view.health.unzip();
        let health = Some(health(&id.unwrap_or_default(), record.as_ref()));
        Self {
            index: view.slice.index,
            uuid: view.slice.uuid,
            profile: view.slice.profile,
            figures: Some(view.slice.figures.into()),
            unusable: view.slice.unusable,
            worker: view.worker.map(Into::into),
            run_id: view.run.map(Into::into),
            health,
            withheld: view.withheld.map(|why| why.to_string()),
            reservation: view.reservation.map(Into::into),
        }
    }
}

impl From<Reservation> for v1::GpuReservation {
    fn from(reservation: Reservation) -> Self {
        let until_unix_ms = match reservation.term {
            Term::WhenFree(_) => None,
            Term::Until(end) => Some(super::millis(end)),
        };
        let made_unix_ms = super::millis(reservation.made);
        Self { by: reservation.by, reason: reservation.reason, made_unix_ms, until_unix_ms }
    }
}

impl From<ProcessView> for v1::GpuProcess {
    fn from(view: ProcessView) -> Self {
        Self {
            pid: view.process.pid,
            name: view.process.name,
            uid: view.process.uid,
            memory_used: view.process.memory,
            run_id: view.run.map(Into::into),
        }
    }
}

/// `id` is what its commands are to name.
pub(in crate::api) fn health(id: &str, record: Option<&Record>) -> v1::GpuHealth {
    let Some(record) = record else {
        return v1::GpuHealth { state: State::Healthy.word().to_owned(), ..v1::GpuHealth::default() };
    };
    let report = |sighting: &Sighting| v1::GpuReport {
        at_unix_ms: super::millis(sighting.at),
        fault: sighting.fault.sentence(),
        run_ids: sighting.runs.iter().cloned().map(Into::into).collect(),
    };
    v1::GpuHealth {
        state: record.state.word().to_owned(),
        reason: record.reason.clone(),
        since_unix_ms: (!record.reason.is_empty()).then(|| super::millis(record.since)),
        next_step: record.next_step(id),
        reports: record.sightings.iter().map(report).collect(),
    }
}
