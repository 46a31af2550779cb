//! The payload's /dev.

use std::ffi::CString;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::{Component, Path, PathBuf};

use rustix::mount::{MountFlags, mount};

use super::mounts::{Access, bind, mount_tmpfs, named, seal};
use super::{RootError, directories, directory, empty_file};

/// Nodes that tell and change nothing of the host.
const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

pub(super) fn build(root: &Path, devices: &[PathBuf], shm: Option<u64>) -> Result<(), RootError> {
    let dev = root.join("dev");
    mount_tmpfs(&dev, c"mode=0755,size=1m")?;
    for name in NODES {
        node(&Path::new("/dev").join(name), &dev.join(name))?;
    }
    for (name, link) in LINKS {
        let path = dev.join(name);
        symlink(link, &path).map_err(named("make", &path))?;
    }
    let pts = dev.join("pts");
    directory(&pts, 0o755)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("devpts", &pts, "devpts", flags, c"newinstance,ptmxmode=0666,mode=0620").map_err(named("mount", &pts))?;
    let shm_path = dev.join("shm");
    directory(&shm_path, 0o755)?;
    // torch's workers pass tensors through it. Without a size the kernel takes half of the host's memory.
    let size = shm.map_or_else(String::new, |bytes| format!(",size={bytes}"));
    let options = CString::new(format!("mode=1777{size}")).map_err(named("mount", &shm_path))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", &shm_path, "tmpfs", flags, options.as_c_str()).map_err(named("mount", &shm_path))?;
    for device in devices {
        let plain = device.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let Some(relative) = device.strip_prefix("/dev").ok().filter(|_| plain) else {
            return Err(named("give the payload", device)(std::io::Error::from(std::io::ErrorKind::InvalidInput)));
        };
        let target = dev.join(relative);
        if let Some(parent) = target.parent() {
            directories(parent)?;
        }
        node(device, &target)?;
    }
    seal(&dev)
}

fn node(source: &Path, target: &Path) -> Result<(), RootError> {
    let kind = std::fs::symlink_metadata(source).map_err(named("look at", source))?.file_type();
    if !kind.is_char_device() {
        return Err(named("give the payload", source)(std::io::Error::other("it is no character device")));
    }
    empty_file(target)?;
    bind(source, target, Access::Device)
}
