//! One card.

use nvml_wrapper::enum_wrappers::device::{EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enums::device::{SampleValue, UsedGpuMemory};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::PciInfo;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id::NVML_FI_DEV_GET_GPU_RECOVERY_ACTION;
use nvml_wrapper::{Device, Nvml};

use super::nodes::{self, Minors, Places};
use super::processes;
use crate::domain::inventory::{EccCounts, Figures, Gpu, GpuProcess, Power, Slice};
use crate::sys::{mig, nvml as sys};

/// NVML_NVLINK_MAX_LINKS.
const MOST_LINKS: u32 = 18;

/// Everything about the card of that index. Only what names it must be told; what a card does not support is none.
pub(super) fn read(nvml: &Nvml, index: u32, places: &Places, minors: &Minors) -> Result<Gpu, NvmlError> {
    let device = nvml.device_by_index(index)?;
    let (uuid, pci) = (device.uuid()?, device.pci_info()?);
    let pci = address(&pci);
    let figures = figures(&device)?;
    let minor = device.minor_number().ok();
    let mig = device.mig_mode().is_ok_and(|mode| mode.current == 1);
    let recovery = recovery(&device);
    Ok(Gpu {
        index,
        uuid,
        name: device.name()?,
        numa_node: nodes::numa_node(places, &pci),
        pci,
        minor,
        links: links(&device),
        mig,
        slices: if mig { slices(nvml, &device, figures, places, (minor, minors)) } else { Vec::new() },
        figures,
        power: Power { draw: device.power_usage().ok(), limit: device.enforced_power_limit().ok() },
        ecc: ecc(&device),
        processes: computing(&device),
        unusable: recovery.map(str::to_owned).or(minor.and_then(|minor| nodes::without_node(places, minor))),
        lost: false,
        reset: recovery.is_some(),
        repair: repair(nvml, &device),
    })
}

fn address(pci: &PciInfo) -> String {
    format!("{:04x}:{:02x}:{:02x}.0", pci.domain, pci.bus, pci.device)
}

/// A card without NVLink knows none of them, a smaller one not all.
fn links(device: &Device<'_>) -> Vec<String> {
    let end = |link| {
        let link = device.link_wrapper_for(link);
        if link.is_active()? { Ok(Some(address(&link.remote_pci_info()?))) } else { Ok(None) }
    };
    let known = (0..MOST_LINKS).map(end).take_while(|end: &Result<_, NvmlError>| end.is_ok());
    known.filter_map(|end| end.ok().flatten()).collect()
}

/// A card that has fallen off its bus may still say what it is called.
fn figures(device: &Device<'_>) -> Result<Figures, NvmlError> {
    let memory = match device.memory_info() {
        Err(error @ (NvmlError::GpuLost | NvmlError::ResetRequired)) => return Err(error),
        answer => answer.ok(),
    };
    Ok(Figures {
        memory_total: memory.as_ref().map(|memory| memory.total),
        memory_used: memory.as_ref().map(|memory| memory.used),
        usage: device.utilization_rates().ok().map(|rates| rates.gpu),
        temperature: device.temperature(TemperatureSensor::Gpu).ok(),
    })
}

fn ecc(device: &Device<'_>) -> Option<EccCounts> {
    let count = |kind| device.total_ecc_errors(kind, EccCounter::Volatile).ok();
    Some(EccCounts { corrected: count(MemoryError::Corrected)?, uncorrected: count(MemoryError::Uncorrected)? })
}

/// Pages on older cards, rows on newer ones: what was found bad is replaced when the card is reset.
fn repair(nvml: &Nvml, device: &Device<'_>) -> Option<String> {
    let (pending, failed) = sys::remapped_rows(nvml, device).unwrap_or_default();
    if failed {
        return Some("rows of its memory could not be replaced: it has no spare ones left".to_owned());
    }
    let pages = device.are_pages_pending_retired().unwrap_or(false);
    (pending || pages).then(|| "parts of its memory wait to be replaced; reset it (nvidia-smi -r)".to_owned())
}

/// What the driver itself recommends (since R565): it knows the card's generation, and all of an error of which we hear
/// the number. Xid 154 tells that it has changed. The numbers are nvmlDeviceGpuRecoveryAction_t's; 5 is about a domain of
/// several hosts.
fn recovery(device: &Device<'_>) -> Option<&'static str> {
    let mut asked = device.field_values_for(&[FieldId(NVML_FI_DEV_GET_GPU_RECOVERY_ACTION)]).ok()?;
    let action = match asked.pop()?.ok()?.value.ok()? {
        SampleValue::U32(action) => u64::from(action),
        SampleValue::U64(action) => action,
        SampleValue::F64(_) | SampleValue::I64(_) => return None,
    };
    match action {
        1 | 6 => Some("the driver asks for a reset; stop what uses it and reset it (nvidia-smi -r), or reboot"),
        2 | 7 => Some("the driver asks for a reboot of the host"),
        3 => Some(
            "the driver asks for an end of all programs that use it together with other GPUs, and then for a reset",
        ),
        4 => Some("the driver asks for a reset (nvidia-smi -r) once the programs on it have ended"),
        _ => None,
    }
}

fn computing(device: &Device<'_>) -> Vec<GpuProcess> {
    let memory = |used| match used {
        UsedGpuMemory::Used(bytes) => Some(bytes),
        UsedGpuMemory::Unavailable => None,
    };
    let found = device.running_compute_processes().unwrap_or_default();
    found.into_iter().map(|process| processes::describe(process.pid, memory(process.used_gpu_memory))).collect()
}

fn slices(
    nvml: &Nvml,
    device: &Device<'_>,
    whole: Figures,
    places: &Places,
    (gpu, minors): (Option<u32>, &Minors),
) -> Vec<Slice> {
    let read = |index: u32| {
        let slice = device.mig_device_by_index(index).ok()?;
        let instances = mig::instances(nvml, &slice);
        let nodes = gpu.and_then(|gpu| minors.of(gpu, instances?)).unwrap_or_default();
        let name = slice.name().unwrap_or_default();
        Some(Slice {
            index,
            uuid: slice.uuid().ok()?,
            profile: name.rsplit_once("MIG ").map_or(name.as_str(), |(_, profile)| profile).to_owned(),
            unusable: nodes::without_caps(places, &nodes),
            instances: instances.map(|of| (of.gpu, of.compute)),
            nodes,
            figures: Figures { temperature: whole.temperature, ..figures(&slice).ok()? },
        })
    };
    // Indexes of slices that were removed are empty.
    (0..device.mig_device_count().unwrap_or(0)).filter_map(read).collect()
}
