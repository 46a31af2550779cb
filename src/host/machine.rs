//! The host's figures, from /proc and /sys, in the units of `workers.status_report`: percent, °C, MiB and MiB/s.

use std::path::{Path, PathBuf};
use std::time::Instant;

use procfs::{Current as _, CurrentSI as _};

use crate::domain::machine::MachineStats;
use crate::engine::ports::Machine;

const MIB: f64 = 1024.0 * 1024.0;
/// /proc/diskstats counts in these, whatever the disk has.
const SECTOR: u64 = 512;
/// The sensors of a processor's cores: Intel's and AMD's.
const CORE_SENSORS: [&str; 3] = ["coretemp", "k10temp", "zenpower"];

/// The machine that this process runs on. GPUs are another's to tell.
#[derive(Debug)]
pub struct ProcfsMachine {
    state_dir: PathBuf,
    last: Option<(Instant, Counters)>,
}

/// What only grows; a difference of two is a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Counters {
    /// Busy and all ticks of all cores.
    cpu: Option<(u64, u64)>,
    /// Bytes read and written.
    disk: Option<(u64, u64)>,
    /// Bytes received and sent.
    network: Option<(u64, u64)>,
}

impl ProcfsMachine {
    /// Free disk space is that of the file system of `state_dir`.
    #[must_use]
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self { state_dir: state_dir.into(), last: None }
    }
}

impl Machine for ProcfsMachine {
    /// The first call has no rates yet.
    fn sample(&mut self) -> MachineStats {
        let (now, counters) = (Instant::now(), read_counters());
        let mut stats = match self.last.replace((now, counters)) {
            Some((then, before)) => rates(before, counters, now.duration_since(then).as_secs_f64()),
            None => MachineStats::default(),
        };
        (stats.memory_used, stats.memory_free) = memory().unzip();
        stats.disk_free_home = free_share(&self.state_dir);
        stats.cpu_temperature = hottest_core(Path::new("/sys/class/hwmon"));
        stats
    }
}

fn rates(before: Counters, after: Counters, seconds: f64) -> MachineStats {
    // A disk or interface that went away takes its count with it: that is no negative rate.
    let grown = |pair: Option<(u64, u64)>, old: Option<(u64, u64)>| {
        let ((a, b), (old_a, old_b)) = (pair?, old?);
        Some((a.saturating_sub(old_a) as f64, b.saturating_sub(old_b) as f64))
    };
    let per_second = |bytes: f64| bytes / MIB / seconds;
    let paced = |pair: Option<(f64, f64)>| pair.filter(|_| seconds > 0.0).map(|(a, b)| (per_second(a), per_second(b)));
    let cpu = grown(after.cpu, before.cpu).filter(|(_, all)| *all > 0.0);
    let (disk_read, disk_write) = paced(grown(after.disk, before.disk)).unzip();
    let (network_rx, network_tx) = paced(grown(after.network, before.network)).unzip();
    MachineStats {
        cpu_usage: cpu.map(|(busy, all)| (100.0 * busy / all).min(100.0)),
        disk_read,
        disk_write,
        network_tx,
        network_rx,
        ..MachineStats::default()
    }
}

fn read_counters() -> Counters {
    Counters { cpu: cpu_ticks(), disk: disk_bytes(Path::new("/sys/block")), network: network_bytes() }
}

fn cpu_ticks() -> Option<(u64, u64)> {
    let cpu = procfs::KernelStats::current().ok()?.total;
    // Guests are counted in `user` already.
    let busy = [cpu.user, cpu.nice, cpu.system, cpu.irq?, cpu.softirq?, cpu.steal.unwrap_or(0)];
    let busy = busy.iter().fold(0u64, |sum, ticks| sum.saturating_add(*ticks));
    Some((busy, busy.saturating_add(cpu.idle).saturating_add(cpu.iowait.unwrap_or(0))))
}

/// Of whole disks only: partitions, loops, RAID and mapped devices would count the same bytes again.
fn disk_bytes(block: &Path) -> Option<(u64, u64)> {
    let bytes = |sectors: u64| sectors.saturating_mul(SECTOR);
    let disks = procfs::diskstats()
        .ok()?
        .into_iter()
        .filter(|disk| block.join(disk.name.replace('/', "!")).join("device").exists());
    disks.map(|disk| (bytes(disk.sectors_read), bytes(disk.sectors_written))).reduce(add)
}

fn network_bytes() -> Option<(u64, u64)> {
    let interfaces = procfs::net::dev_status().ok()?.into_values().filter(|interface| interface.name != "lo");
    interfaces.map(|interface| (interface.recv_bytes, interface.sent_bytes)).reduce(add)
}

fn add(a: (u64, u64), b: (u64, u64)) -> (u64, u64) {
    (a.0.saturating_add(b.0), a.1.saturating_add(b.1))
}

/// Used and available.
fn memory() -> Option<(f64, f64)> {
    let memory = procfs::Meminfo::current().ok()?;
    let free = memory.mem_available.unwrap_or(memory.mem_free);
    Some((memory.mem_total.saturating_sub(free) as f64 / MIB, free as f64 / MIB))
}

/// In percent of what unprivileged users can have, as `df` counts.
fn free_share(directory: &Path) -> Option<f64> {
    let space = rustix::fs::statvfs(directory).ok()?;
    let used = space.f_blocks.saturating_sub(space.f_bfree);
    let usable = used.saturating_add(space.f_bavail);
    (usable > 0).then(|| 100.0 * space.f_bavail as f64 / usable as f64)
}

fn hottest_core(hwmon: &Path) -> Option<f64> {
    let chips = std::fs::read_dir(hwmon).ok()?.flatten().map(|chip| chip.path());
    let of_cores = chips.filter(|chip| {
        let name = std::fs::read_to_string(chip.join("name")).unwrap_or_default();
        CORE_SENSORS.contains(&name.trim())
    });
    of_cores.flat_map(|chip| temperatures(&chip)).reduce(f64::max)
}

fn temperatures(chip: &Path) -> Vec<f64> {
    let files = std::fs::read_dir(chip).into_iter().flatten().flatten();
    let inputs = files.filter(|file| {
        let name = file.file_name();
        name.to_str().is_some_and(|name| name.starts_with("temp") && name.ends_with("_input"))
    });
    let read = |path: PathBuf| std::fs::read_to_string(path).ok()?.trim().parse::<f64>().ok();
    inputs.filter_map(|file| read(file.path())).map(|thousandths| thousandths / 1000.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: Option<f64>, wanted: f64) -> bool {
        value.is_some_and(|value| (value - wanted).abs() < 1e-9)
    }

    #[test]
    fn rates_are_differences_over_time_in_mebibytes() {
        let mib = 1024 * 1024;
        let before = Counters { cpu: Some((100, 1000)), disk: Some((0, 10 * mib)), network: Some((5 * mib, 0)) };
        let after = Counters { cpu: Some((150, 1200)), disk: Some((20 * mib, 5)), network: None };
        let stats = rates(before, after, 10.0);
        assert!(close(stats.cpu_usage, 25.0) && close(stats.disk_read, 2.0), "{stats:?}");
        assert!(close(stats.disk_write, 0.0), "a disk that went away is no negative rate: {stats:?}");
        assert_eq!((stats.network_rx, stats.network_tx), (None, None));
        assert_eq!(rates(before, before, 0.0), MachineStats::default());
    }

    #[test]
    fn the_hottest_core_counts_and_other_sensors_do_not() {
        let hwmon = tempfile::tempdir().expect("a directory");
        let sensors = [("hwmon0", "coretemp", "temp1_input", "41000"), ("hwmon0", "coretemp", "temp2_input", "55500")];
        let others = [("hwmon1", "nvme", "temp1_input", "90000"), ("hwmon0", "coretemp", "temp1_max", "100000")];
        for (chip, name, file, text) in sensors.into_iter().chain(others) {
            let chip = hwmon.path().join(chip);
            std::fs::create_dir_all(&chip).expect("a directory");
            for (file, text) in [("name", name), (file, text)] {
                let mut open = std::fs::File::create(chip.join(file)).expect("a file");
                std::io::Write::write_all(&mut open, text.as_bytes()).expect("a text");
            }
        }
        assert!(close(hottest_core(hwmon.path()), 55.5));
        assert_eq!(hottest_core(&hwmon.path().join("nowhere")), None);
    }

    #[test]
    fn this_machine_has_memory_and_disk_at_once_and_rates_from_the_second_sample_on() {
        let mut machine = ProcfsMachine::new("/");
        let first = machine.sample();
        assert!(first.memory_used.is_some_and(|mib| mib > 1.0) && first.memory_free.is_some_and(|mib| mib > 1.0));
        assert!(first.disk_free_home.is_some_and(|percent| (0.0..=100.0).contains(&percent)));
        assert_eq!((first.cpu_usage, first.network_rx), (None, None));
        std::thread::sleep(std::time::Duration::from_millis(60));
        let second = machine.sample();
        assert!(second.cpu_usage.is_some_and(|percent| (0.0..=100.0).contains(&percent)), "{second:?}");
    }

    #[test]
    fn memory_is_in_mebibytes_and_all_of_it_and_the_disk_is_free_in_percent_as_df_counts() {
        let stats = ProcfsMachine::new("/").sample();
        let text = std::fs::read_to_string("/proc/meminfo").expect("read");
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).expect("a line");
        let total: f64 = total.trim().trim_end_matches(" kB").parse().expect("a number");
        let sum = stats.memory_used.expect("used") + stats.memory_free.expect("free");
        assert!((sum - total / 1024.0).abs() < 1.0, "{sum} of {total} kB");
        let df = std::process::Command::new("df").args(["--output=pcent", "/"]).output().expect("df");
        let used =
            String::from_utf8_lossy(&df.stdout).lines().last().map(|line| line.trim().trim_end_matches('%').parse());
        let used: f64 = used.expect("a line").expect("a number");
        // df rounds up, and others write meanwhile.
        assert!((stats.disk_free_home.expect("free") + used - 100.0).abs() <= 2.0, "{stats:?}, df: {used} %");
    }

    #[test]
    fn a_sample_costs_a_few_milliseconds_of_processor_time_however_many_processes_there_are() {
        use nix::sys::resource::{UsageWho, getrusage};
        let mut machine = ProcfsMachine::new("/");
        machine.sample();
        let used = || {
            let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("asked");
            let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
            micros(usage.user_time()) + micros(usage.system_time())
        };
        let before = used();
        for _ in 0..20 {
            machine.sample();
        }
        let each = (used() - before) / 20;
        println!("a sample took {each} µs of processor time");
        assert!(each < 20_000, "{each} µs");
    }
}
