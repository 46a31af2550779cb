//! What the host and its Runs use now, in base units. What only grows is given as it is: a rate is a difference of two.

/// Of the host; a field that could not be read is none.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct HostFigures {
    /// Seconds that all cores were busy, together, since the boot.
    pub cpu_busy_seconds: Option<f64>,
    /// Cores.
    pub cpus: Option<u32>,
    /// Mean number of processes that want a core, over a minute.
    pub load: Option<f64>,
    /// Bytes.
    pub memory_size: Option<u64>,
    /// Bytes that programs can still have.
    pub memory_available: Option<u64>,
    /// Bytes of the disk of the state directory.
    pub disk_size: Option<u64>,
    /// Bytes that are left there.
    pub disk_free: Option<u64>,
    /// Files that can still be made there; none where there is no limit.
    pub disk_free_inodes: Option<u64>,
}

/// Of a Run, as its cgroup counts.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct RunFigures {
    /// Seconds of all its processes.
    pub cpu_seconds: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub processes: Option<u64>,
}
