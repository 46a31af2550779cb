//! The library, opened when it is there, and one look through it.

use std::path::PathBuf;

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Nvml, cuda_driver_version_major, cuda_driver_version_minor};

use super::nodes::{Minors, Places};
use super::{device, nodes};
use crate::domain::inventory::{Driver, Gpu, Inventory};
use crate::engine::ports::Clock as _;
use crate::host::clock::HostClock;

/// As the driver's packages install it; the name without a number comes with their development files only.
pub(super) const SYSTEM: &str = "libnvidia-ml.so.1";

/// NVML, as far as it is there.
#[derive(Debug)]
pub(super) struct Library {
    path: Option<PathBuf>,
    places: Places,
    /// Kept open while it works: to begin anew costs seconds where nothing else keeps the driver initialised.
    open: Option<Nvml>,
}

impl Library {
    pub(super) fn new(path: Option<PathBuf>, places: Places) -> Self {
        Self { path, places, open: None }
    }

    /// What is there now. Of a card that does not answer any more it is what `before` says.
    pub(super) fn look(&mut self, before: &Inventory) -> Inventory {
        let nvml = match self.open.take().map_or_else(|| self.begin(), Ok) {
            Ok(nvml) => nvml,
            Err(driver) => return without(driver, before),
        };
        match nvml.device_count() {
            Ok(count) => {
                let inventory = self.read(&nvml, count, before);
                self.open = Some(nvml);
                inventory
            }
            // Dropped: a driver that was exchanged needs its new library.
            Err(error) => without(Driver::Failing { reason: reason(&error) }, before),
        }
    }

    fn begin(&self) -> Result<Nvml, Driver> {
        let path = self.path.clone().unwrap_or_else(|| PathBuf::from(SYSTEM));
        Nvml::builder().lib_path(path.as_os_str()).init().map_err(|error| match &error {
            // A library that was named must be there.
            NvmlError::LibloadingError(cause) if self.path.is_none() && missing(cause) => Driver::Absent,
            _ => Driver::Failing { reason: format!("{}: {}", path.display(), reason(&error)) },
        })
    }

    fn read(&self, nvml: &Nvml, count: u32, before: &Inventory) -> Inventory {
        let minors = Minors::read(&self.places);
        let mut remarks = Vec::new();
        let mut gpus: Vec<Gpu> = Vec::new();
        let mut mute: Vec<(u32, NvmlError)> = Vec::new();
        for index in 0..count {
            match device::read(nvml, index, &self.places, &minors) {
                Ok(gpu) => gpus.push(gpu),
                Err(error) => mute.push((index, error)),
            }
        }
        // An index is no name: another card may have it now.
        let mut missing: Vec<&Gpu> =
            before.gpus.iter().filter(|gpu| gpus.iter().all(|read| read.uuid != gpu.uuid)).collect();
        for (index, error) in mute {
            match missing.iter().position(|gpu| gpu.index == index) {
                Some(place) => gpus.push(mute_card(missing.remove(place), &error)),
                None => remarks.push(format!("GPU {index} does not answer and is left out: {}", reason(&error))),
            }
        }
        gpus.sort_by_key(|gpu| gpu.index);
        gpus.extend(missing.into_iter().map(unlisted));
        if !gpus.is_empty() {
            remarks.extend(nodes::without_uvm(&self.places));
        }
        let cuda = nvml.sys_cuda_driver_version().ok();
        let cuda = cuda.map(|cuda| format!("{}.{}", cuda_driver_version_major(cuda), cuda_driver_version_minor(cuda)));
        let driver = Driver::Up { version: nvml.sys_driver_version().ok(), cuda };
        Inventory { driver, gpus, remarks, seen: Some(HostClock.now()), silent_seconds: None }
    }
}

/// One that the driver lists, but that does not say who it is.
fn mute_card(known: &Gpu, error: &NvmlError) -> Gpu {
    let (lost, reset) = (matches!(error, NvmlError::GpuLost), matches!(error, NvmlError::ResetRequired));
    Gpu { unusable: Some(reason(error)), lost, reset, ..known.clone() }
}

/// One that was there. Its index may be another's by now, which comes first.
fn unlisted(known: &Gpu) -> Gpu {
    let why = "the driver does not list it any more; look at the kernel log (journalctl -k), and restart clearmld if it \
               was taken out on purpose";
    Gpu { unusable: Some(why.to_owned()), lost: true, reset: false, processes: Vec::new(), ..known.clone() }
}

/// What was known stays to be seen, as old as it is.
fn without(driver: Driver, before: &Inventory) -> Inventory {
    let gpus = if driver == Driver::Absent { Vec::new() } else { before.gpus.clone() };
    Inventory { driver, gpus, remarks: Vec::new(), seen: before.seen, silent_seconds: None }
}

/// dlopen has no error numbers.
fn missing(error: &dyn std::error::Error) -> bool {
    let text = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    text.into_iter().any(|text| text.contains("No such file or directory"))
}

/// In the driver's words, with the next step where one is known.
fn reason(error: &NvmlError) -> String {
    let next = match error {
        NvmlError::DriverNotLoaded => "; load it (modprobe nvidia), then `clearmlctl gpu rescan`",
        NvmlError::LibRmVersionMismatch => "; the driver was upgraded: reboot, or unload the old module",
        NvmlError::GpuLost | NvmlError::ResetRequired => {
            "; reboot, or stop what uses it, clearmld too, and reset it (nvidia-smi -r)"
        }
        NvmlError::NoPermission | NvmlError::OperatingSystem => "; look at the permissions of /dev/nvidiactl",
        _ => "",
    };
    format!("{error}{next}")
}
