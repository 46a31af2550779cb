//! mount_setattr(2), which neither nix nor rustix has.
#![expect(unsafe_code, reason = "mount_setattr has no safe wrapper")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// What a tree of mounts is to lose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restrictions {
    /// Nothing can be written.
    pub read_only: bool,
    /// Device nodes do not work.
    pub no_devices: bool,
}

#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

const MOUNT_ATTR_RDONLY: u64 = 0x1;
const MOUNT_ATTR_NOSUID: u64 = 0x2;
const MOUNT_ATTR_NODEV: u64 = 0x4;

/// Restricts the mount at `root` and every mount below it, all or none. Set-user-id never works afterwards.
///
/// # Errors
/// `ENOSYS` before Linux 5.12; else when `root` is not the root of a mount.
pub fn restrict_recursively(root: impl AsFd, restrictions: Restrictions) -> io::Result<()> {
    let mut attributes =
        MountAttr { attr_set: MOUNT_ATTR_NOSUID, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    if restrictions.read_only {
        attributes.attr_set |= MOUNT_ATTR_RDONLY;
    }
    if restrictions.no_devices {
        attributes.attr_set |= MOUNT_ATTR_NODEV;
    }
    let flags = libc::AT_EMPTY_PATH | libc::AT_RECURSIVE;
    // SAFETY: the path is a NUL-terminated constant, `attributes` is a valid `struct mount_attr` of the size given, and
    // both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            root.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
