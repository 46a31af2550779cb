//! The figures of a Worker's GPUs, as the server wants them.

use super::{Figures, Inventory};
use crate::domain::gpu::{GpuClaim, GpuId};
use crate::domain::machine::GpuStats;

/// clearml-agent's `default_gpu_utilization`: of a GPU that does not tell, as MIG slices do not, everything is used.
const UNTOLD_USAGE: u32 = 100;
const MIB: f64 = 1024.0 * 1024.0;

impl Inventory {
    /// One of each GPU or slice that is claimed, by index. Empty where the hardware is not known.
    #[must_use]
    pub fn stats(&self, claim: &GpuClaim) -> Vec<GpuStats> {
        if !self.known() {
            return Vec::new();
        }
        let units = self.resolve(claim).unwrap_or_default();
        units.iter().filter_map(|unit| self.figures(&unit.uuid)).map(stats).collect()
    }

    fn figures(&self, uuid: &str) -> Option<Figures> {
        let gpu = self.find(&GpuId::Uuid(uuid.to_owned()))?;
        Some(gpu.slices.iter().find(|slice| slice.uuid == uuid).map_or(gpu.figures, |slice| slice.figures))
    }
}

fn stats(figures: Figures) -> GpuStats {
    let Figures { memory_total, memory_used, usage, temperature } = figures;
    let (total, used) = (memory_total.unwrap_or(0), memory_used.unwrap_or(0));
    GpuStats {
        usage: usage.unwrap_or(UNTOLD_USAGE).into(),
        temperature: temperature.unwrap_or(0).into(),
        memory_free: total.saturating_sub(used) as f64 / MIB,
        memory_used: used as f64 / MIB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::inventory::{Driver, Gpu, Slice};

    #[test]
    fn a_worker_reports_its_own_gpus_in_mebibytes_and_a_slice_that_tells_no_usage_as_used() {
        let gib = |n: u64| Some(n << 30);
        let figures =
            |usage, used| Figures { memory_total: gib(4), memory_used: gib(used), usage, temperature: Some(41) };
        let slice = Slice { uuid: "MIG-1".into(), figures: figures(None, 1), ..Slice::default() };
        let gpu = |index: u32| Gpu { index, uuid: format!("GPU-{index}"), ..Gpu::default() };
        let inventory = Inventory {
            driver: Driver::Up { version: None, cuda: None },
            gpus: vec![
                Gpu { figures: figures(Some(7), 3), ..gpu(0) },
                gpu(1),
                Gpu { mig: true, slices: vec![slice], ..gpu(2) },
            ],
            ..Inventory::default()
        };
        let of = |claim: &str| inventory.stats(&claim.parse().expect("a claim"));
        let busy = GpuStats { usage: 7.0, temperature: 41.0, memory_free: 1024.0, memory_used: 3072.0 };
        let slice = GpuStats { usage: 100.0, temperature: 41.0, memory_free: 3072.0, memory_used: 1024.0 };
        assert_eq!(of("0,2:0"), [busy, slice]);
        assert_eq!(of("all").len(), 3);
        assert_eq!((of("none").len(), of("9").len()), (0, 0));
    }
}
