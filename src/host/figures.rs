//! Figures from /proc, cgroups and the disk of the state directory.

use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use procfs::{Current as _, CurrentSI as _};
use tokio::task::spawn_blocking;

use super::launch::cgroup_tree::Tree;
use crate::domain::figures::{HostFigures, RunFigures};
use crate::domain::handover::ProcessIdentity;
use crate::engine::ports::Figures;
use crate::sys::disk::room;

/// See the module.
#[derive(Debug)]
pub struct HostGauges {
    state_dir: PathBuf,
}

impl HostGauges {
    /// The disk is that of `state_dir`.
    #[must_use]
    pub fn new(state_dir: PathBuf) -> Self {
        Self { state_dir }
    }
}

#[async_trait]
impl Figures for HostGauges {
    async fn host(&self) -> HostFigures {
        let state_dir = self.state_dir.clone();
        spawn_blocking(move || of_host(&state_dir)).await.unwrap_or_default()
    }

    async fn run(&self, shim: &ProcessIdentity) -> RunFigures {
        let pid = shim.pid;
        let read = move || {
            // The shim lives in a cgroup of its own below the Run's.
            let own = Tree::find()?.of(&pid.to_string())?;
            Some(of_cgroup(if own.ends_with("shim") { own.parent()? } else { return None }))
        };
        spawn_blocking(read).await.ok().flatten().unwrap_or_default()
    }
}

fn of_host(state_dir: &Path) -> HostFigures {
    let memory = procfs::Meminfo::current().ok();
    let disk = room(state_dir).ok();
    HostFigures {
        cpu_busy_seconds: busy_seconds(),
        cpus: std::thread::available_parallelism().ok().and_then(|cpus| u32::try_from(cpus.get()).ok()),
        load: procfs::LoadAverage::current().ok().map(|load| f64::from(load.one)),
        memory_size: memory.as_ref().map(|memory| memory.mem_total),
        memory_available: memory.map(|memory| memory.mem_available.unwrap_or(memory.mem_free)),
        disk_size: disk.map(|disk| disk.size),
        disk_free: disk.map(|disk| disk.free),
        disk_free_inodes: disk.filter(|disk| disk.files > 0).map(|disk| disk.free_files),
    }
}

fn busy_seconds() -> Option<f64> {
    let cpu = procfs::KernelStats::current().ok()?.total;
    let busy = [cpu.user, cpu.nice, cpu.system, cpu.irq?, cpu.softirq?, cpu.steal.unwrap_or(0)];
    let ticks = busy.iter().fold(0u64, |sum, ticks| sum.saturating_add(*ticks));
    Some(ticks as f64 / procfs::ticks_per_second() as f64)
}

fn of_cgroup(run: &Path) -> RunFigures {
    let number = |name: &str| fs::read_to_string(run.join(name)).ok()?.trim().parse::<u64>().ok();
    let stat = fs::read_to_string(run.join("cpu.stat")).unwrap_or_default();
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse::<u64>().ok());
    RunFigures {
        cpu_seconds: micros.map(|micros| micros as f64 / 1e6),
        memory: number("memory.current"),
        processes: number("pids.current"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::durable;

    #[test]
    fn a_cgroup_tells_what_its_controllers_count_and_nothing_else() {
        let run = tempfile::tempdir().expect("a directory");
        assert_eq!(of_cgroup(run.path()), RunFigures::default());
        let write = |name: &str, text: &str| {
            durable::write(&run.path().join(name), text.as_bytes(), 0o600).expect("written");
        };
        write("cpu.stat", "usage_usec 2500000\nuser_usec 1\n");
        write("memory.current", "4096\n");
        let figures = of_cgroup(run.path());
        assert_eq!((figures.cpu_seconds, figures.memory, figures.processes), (Some(2.5), Some(4096), None));
    }

    #[tokio::test]
    async fn this_host_has_cores_memory_and_a_disk() {
        let figures = HostGauges::new("/".into()).host().await;
        assert!(figures.cpu_busy_seconds.is_some_and(|seconds| seconds > 0.0), "{figures:?}");
        assert!(figures.memory_available <= figures.memory_size && figures.disk_free <= figures.disk_size);
    }
}
