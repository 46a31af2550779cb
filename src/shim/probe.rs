//! Whether this host lets us build a sandbox of namespaces: by trying, since rights, seccomp filters and settings of
//! the kernel can each forbid it.

use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::sanitize;
use crate::sys::process::{Namespaces, spawn};

/// Tries it, in a child that leaves nothing behind.
///
/// # Errors
/// What cannot be done here, for an operator.
pub fn namespaces() -> Result<(), String> {
    sanitize::shim().map_err(|error| format!("descriptors cannot be closed: {error}"))?;
    let child =
        spawn(Namespaces::Own { ipc: true, network: false }, || i32::from(mounts().is_err_and(|error| said(&error))))
            .map_err(|error| format!("namespaces cannot be made: {error}"))?;
    let pidfd = WaitId::PidFd(std::os::fd::AsFd::as_fd(&child.pidfd));
    match waitid(pidfd, WaitIdOptions::EXITED) {
        Ok(Some(status)) if status.exit_status() == Some(0) => Ok(()),
        Ok(_) => Err("nothing can be mounted in a namespace of its own".to_owned()),
        Err(error) => Err(format!("the probe cannot be waited for: {error}")),
    }
}

fn said(error: &io::Error) -> bool {
    super::log(&format!("probe: {error}"));
    true
}

/// One of each kind that the sandbox needs, over a directory that every host has.
fn mounts() -> io::Result<()> {
    let place = Path::new("/proc");
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount("tmpfs", place, "tmpfs", MountFlags::NOSUID, None)?;
    Ok(mount("proc", place, "proc", MountFlags::NOSUID, None)?)
}
