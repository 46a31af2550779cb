//! Whether the device policy of the Run's unit holds. systemd sets it where it can and says nothing where it cannot (no
//! BPF for cgroups, a container); so it is tried.

use std::fs::File;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::libc;

use crate::domain::handover::RunSpec;

/// Whether the launcher has closed all devices but the Run's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevicePolicy {
    /// It says so.
    Closed,
    /// It has no such means.
    Open,
}

/// Nodes that root can open wherever nothing forbids it, and that opening changes nothing of.
const OTHERS: [&str; 2] = ["/dev/fuse", "/dev/net/tun"];

/// What is missing, in words; nothing where no node is there to try it with.
pub(super) fn missing(policy: DevicePolicy, spec: &RunSpec) -> Option<String> {
    let given = |node: &Path| spec.sandbox.devices.iter().any(|device| device.path() == node);
    let is_node = |node: &&Path| node.symlink_metadata().is_ok_and(|found| found.file_type().is_char_device());
    let others = OTHERS.into_iter().map(Path::new).filter(is_node).filter(|node| !given(node));
    let opens = |node: &Path| File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(node).is_ok();
    let open = policy == DevicePolicy::Closed && nix::unistd::geteuid().is_root() && others.into_iter().any(opens);
    open.then(|| {
        "no device policy: systemd cannot close devices to the unit here; only the sandbox's own /dev holds a task off \
         them"
            .to_owned()
    })
}
