//! What NVML says and its wrapper leaves out: which slice an event is of, and rows of memory that wait for a reset.
#![expect(unsafe_code, reason = "nvml-wrapper has no safe function for either")]

use std::mem::MaybeUninit;

use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::{Device, EventSet, Nvml};

use super::mig::Instances;

/// What NVML says where an event is of no slice.
const NO_INSTANCE: u32 = u32::MAX;

/// A critical error that a GPU reported.
#[derive(Debug)]
pub struct XidEvent<'nvml> {
    /// Of which GPU.
    pub device: Device<'nvml>,
    /// Its number.
    pub xid: u64,
    /// Of which GPU instance; none is the whole GPU, or nobody knows.
    pub instance: Option<Instances>,
}

/// Waits for the next event of a set whose only events are errors.
///
/// # Errors
/// As [`EventSet::wait`]: `Timeout` when there was none.
pub fn wait<'nvml>(set: &EventSet<'nvml>, milliseconds: u32) -> Result<XidEvent<'nvml>, NvmlError> {
    let wait = nvml_sym(set.nvml.lib().nvmlEventSetWait_v2.as_ref())?;
    let mut found = MaybeUninit::zeroed();
    // SAFETY: the set is one of this very library, which is initialised as long as the borrowed `nvml` lives; the function
    // writes one event through a pointer to one that lives here, in which every bit pattern is a value, zeroes too. The
    // device of an event that was delivered is a handle of this library, and those live as long as it does.
    let (event, device) = unsafe {
        nvml_try(wait(set.handle(), found.as_mut_ptr(), milliseconds))?;
        let event = found.assume_init();
        (event, Device::new(event.device, set.nvml))
    };
    let instance = Instances { gpu: event.gpuInstanceId, compute: event.computeInstanceId };
    let instance = (instance.gpu != NO_INSTANCE).then_some(instance);
    Ok(XidEvent { device, xid: event.eventData, instance })
}

/// Whether both are the same GPU, without asking it: it may be lost.
#[must_use]
pub fn same(one: &Device<'_>, other: &Device<'_>) -> bool {
    // SAFETY: the handles are compared, and given to nobody.
    unsafe { one.handle() == other.handle() }
}

/// Whether rows of its memory wait for a reset to be replaced, and whether some cannot be. None where the card has no
/// spare rows, or the library is too old to say.
#[must_use]
pub fn remapped_rows(nvml: &Nvml, device: &Device<'_>) -> Option<(bool, bool)> {
    let ask = nvml.lib().nvmlDeviceGetRemappedRows.as_ref().ok()?;
    let [mut corrected, mut uncorrected, mut pending, mut failed] = [0; 4];
    // SAFETY: the handle is borrowed from a device of this very library, which is initialised as long as `nvml` lives,
    // and the function writes four unsigned ints through pointers to four that live here.
    let code =
        unsafe { ask(device.handle(), &raw mut corrected, &raw mut uncorrected, &raw mut pending, &raw mut failed) };
    (code == 0).then_some((pending != 0, failed != 0))
}
