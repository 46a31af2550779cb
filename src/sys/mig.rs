//! Which instances a MIG device is: two functions of NVML that its wrapper does not wrap.
#![expect(unsafe_code, reason = "nvml-wrapper has no safe function for either")]

use nvml_wrapper::{Device, Nvml};

/// A compute instance in a GPU instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instances {
    /// The GPU instance.
    pub gpu: u32,
    /// The compute instance in it.
    pub compute: u32,
}

/// The instances of a MIG device. None for a whole GPU, and where the library is too old to say.
#[must_use]
pub fn instances(nvml: &Nvml, device: &Device<'_>) -> Option<Instances> {
    let gpu = nvml.lib().nvmlDeviceGetGpuInstanceId.as_ref().ok()?;
    let compute = nvml.lib().nvmlDeviceGetComputeInstanceId.as_ref().ok()?;
    let mut found = Instances { gpu: 0, compute: 0 };
    // SAFETY: the handle is borrowed from a device of this very library, which is initialised as long as `nvml` lives,
    // and each function writes one unsigned int through a pointer to one that lives here.
    let codes = unsafe {
        let handle = device.handle();
        [gpu(handle, &raw mut found.gpu), compute(handle, &raw mut found.compute)]
    };
    (codes == [0, 0]).then_some(found)
}
