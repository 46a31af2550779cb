//! The GPUs of the host as they were last seen: what is there, what it is at, and what of it a claim means.

mod resolve;
mod stats;
mod view;

use std::path::PathBuf;

use super::ids::UnixMillis;

pub use resolve::Unresolved;
pub use view::{Claim, GpuView, ProcessView, SliceView, view};

/// What is known of the host's GPUs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inventory {
    /// How the driver is.
    pub driver: Driver,
    /// By index. Of a driver that fails: what it said last.
    pub gpus: Vec<Gpu>,
    /// Things that an operator should know, each a sentence.
    pub remarks: Vec<String>,
    /// When the driver last answered.
    pub seen: Option<UnixMillis>,
    /// For how many seconds the driver has not answered a question: then the rest is old.
    pub silent_seconds: Option<u64>,
}

/// How the NVIDIA driver is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Driver {
    /// It has been asked for the first time and has not answered yet.
    #[default]
    Asked,
    /// There is none here, which is no fault.
    Absent,
    /// Its library is here, but it does not answer as it should.
    Failing {
        /// Why.
        reason: String,
    },
    /// It answers.
    Up {
        /// Such as `550.54.15`.
        version: Option<String>,
        /// The newest CUDA that it can serve, such as `12.4`.
        cuda: Option<String>,
    },
}

/// A GPU.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gpu {
    /// In PCI bus order.
    pub index: u32,
    /// `GPU-…`.
    pub uuid: String,
    /// Such as `NVIDIA A100-SXM4-40GB`.
    pub name: String,
    /// Such as `0000:07:00.0`.
    pub pci: String,
    /// Its device node is /dev/nvidiaN.
    pub minor: Option<u32>,
    /// Of its memory and CPUs nearby.
    pub numa_node: Option<u32>,
    /// Where its NVLinks lead: PCI addresses of GPUs and switches, one for each link.
    pub links: Vec<String>,
    /// Whether it is divided into MIG slices.
    pub mig: bool,
    /// By index.
    pub slices: Vec<Slice>,
    /// What it is at.
    pub figures: Figures,
    /// Only a whole GPU tells.
    pub power: Power,
    /// Memory errors since the driver was loaded; none where there is no ECC.
    pub ecc: Option<EccCounts>,
    /// Processes that compute on it.
    pub processes: Vec<GpuProcess>,
    /// Why it cannot be used: it has fallen off its bus, its device node is missing, ….
    pub unusable: Option<String>,
    /// Whether the driver says that it has lost the card.
    pub lost: bool,
    /// Whether the driver says that it does nothing more before it is reset, or asks for that.
    pub reset: bool,
    /// What of its memory waits for a reset to be replaced.
    pub repair: Option<String>,
}

/// A MIG slice: a compute instance in a GPU instance.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slice {
    /// Among the slices of its GPU.
    pub index: u32,
    /// `MIG-…`.
    pub uuid: String,
    /// Such as `1g.5gb`.
    pub profile: String,
    /// Its GPU instance and its compute instance, as events name them.
    pub instances: Option<(u32, u32)>,
    /// Its device nodes below /dev/nvidia-caps, besides those of the GPU.
    pub nodes: Vec<PathBuf>,
    /// What it is at. The temperature is the GPU's.
    pub figures: Figures,
    /// Why it cannot be used.
    pub unusable: Option<String>,
}

/// What a GPU or a slice is at; what it does not tell is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// In bytes.
    pub memory_total: Option<u64>,
    /// In bytes.
    pub memory_used: Option<u64>,
    /// In percent.
    pub usage: Option<u32>,
    /// In °C.
    pub temperature: Option<u32>,
}

/// In milliwatts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Power {
    /// Now.
    pub draw: Option<u32>,
    /// At most.
    pub limit: Option<u32>,
}

/// Memory errors since the driver was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EccCounts {
    /// No harm done.
    pub corrected: u64,
    /// Whatever was there is lost.
    pub uncorrected: u64,
}

/// A process that computes on a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GpuProcess {
    /// On the host.
    pub pid: u32,
    /// Its command's name; empty when it has just ended.
    pub name: String,
    /// Its user.
    pub uid: Option<u32>,
    /// In bytes.
    pub memory: Option<u64>,
    /// Its parent, its parent's parent, ….
    pub ancestors: Vec<u32>,
}

impl Inventory {
    /// Whether the driver says what is there. If not, what an operator says of GPUs cannot be checked.
    #[must_use]
    pub fn known(&self) -> bool {
        match self.driver {
            Driver::Up { .. } => true,
            Driver::Asked | Driver::Absent | Driver::Failing { .. } => false,
        }
    }
}
