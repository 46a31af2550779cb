//! Figures of the host, in the fields and units that `workers.status_report` knows.

/// `machine_stats`; a field that could not be read is none and is not sent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MachineStats {
    /// Mean over all cores, in percent.
    pub cpu_usage: Option<f64>,
    /// The hottest core, in °C.
    pub cpu_temperature: Option<f64>,
    /// In MiB.
    pub memory_used: Option<f64>,
    /// Available, in MiB.
    pub memory_free: Option<f64>,
    /// Free on the file system of the state directory, in percent.
    pub disk_free_home: Option<f64>,
    /// MiB/s over all disks.
    pub disk_read: Option<f64>,
    /// MiB/s over all disks.
    pub disk_write: Option<f64>,
    /// MiB/s over all interfaces but loopback.
    pub network_tx: Option<f64>,
    /// MiB/s over all interfaces but loopback.
    pub network_rx: Option<f64>,
    /// A GPU each.
    pub gpus: Vec<GpuStats>,
}

/// Figures of one GPU.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct GpuStats {
    /// In percent.
    pub usage: f64,
    /// In °C.
    pub temperature: f64,
    /// In MiB.
    pub memory_free: f64,
    /// In MiB.
    pub memory_used: f64,
}
