//! The mounts that the view is made of.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::mount::{MountFlags, mount, mount_bind, mount_bind_recursive, mount_remount};

use super::{Overlay, RootError, empty_file};
use crate::sys::mount::{Restrictions, restrict_recursively};

/// What the payload may do with a mount. Set-user-id and devices work in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Read.
    ReadOnly,
    /// Read and write.
    Writable,
    /// A device node.
    Device,
}

/// Turns a failure into one that names what failed.
pub(super) fn named<E: Into<io::Error>>(operation: &'static str, path: &Path) -> impl FnOnce(E) -> RootError {
    let path = path.to_owned();
    move |error| RootError { operation, path, source: error.into() }
}

/// Opens a path as it will be once `root` is the root: no link can lead to the host's tree. None when it is not there.
pub(super) fn beneath(root: &Path, relative: &Path) -> Result<Option<OwnedFd>, RootError> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, flags | OFlags::DIRECTORY, Mode::empty()).map_err(named("open", root))?;
    match rustix::fs::openat2(&root, relative, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        Ok(target) => Ok(Some(target)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(error) => Err(named("open", relative)(error)),
    }
}

/// A path that names an open file, however it was found.
pub(super) fn by_descriptor(file: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}

/// One directory or file, without what is mounted below it.
pub(super) fn bind(source: &Path, target: &Path, access: Access) -> Result<(), RootError> {
    mount_bind(source, target).map_err(named("bind", source))?;
    restrict(target, access)
}

/// A tree of the host with all that is mounted in it.
pub(super) fn bind_tree(source: &Path, target: &Path, access: Access) -> Result<(), RootError> {
    mount_bind_recursive(source, target).map_err(named("bind", source))?;
    let restricted = restrict(target, access);
    if restricted.is_err() {
        // A tree that could be written to must not stay.
        rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH).map_err(named("unbind", source))?;
    }
    restricted
}

/// Binds onto a path of the payload's view that may have links in it, if it is there; whether it is.
pub(super) fn bind_beneath(root: &Path, relative: &Path, source: &Path, access: Access) -> Result<bool, RootError> {
    let Some(under) = beneath(root, relative)? else { return Ok(false) };
    mount_bind(source, by_descriptor(&under)).map_err(named("bind", source))?;
    // `under` means what lies under the mount now.
    let Some(mounted) = beneath(root, relative)? else { return Ok(false) };
    restrict_opened(&mounted, relative, access).map(|()| true)
}

/// Binds a tree that is open onto a place that is open; `name` is what that is called inside.
pub(super) fn bind_opened(
    root: &Path,
    source: &OwnedFd,
    (target, name): (&OwnedFd, &Path),
    access: Access,
) -> Result<(), RootError> {
    mount_bind_recursive(by_descriptor(source), by_descriptor(target)).map_err(named("bind onto", name))?;
    // `target` means what lies under the mount now.
    let found = beneath(root, name.strip_prefix("/").unwrap_or(name))?;
    let mounted = found.ok_or_else(|| named("find", name)(io::Error::from(io::ErrorKind::NotFound)))?;
    // Whoever may write where it lies could have put a link there since: what is restricted must be what was mounted.
    let identity = |file: &OwnedFd| rustix::fs::fstat(file).map(|stat| (stat.st_dev, stat.st_ino));
    if identity(&mounted).map_err(named("look at", name))? != identity(source).map_err(named("look at", name))? {
        return Err(named("find", name)(io::Error::other("its place was changed while it was bound")));
    }
    restrict_opened(&mounted, name, access)
}

/// Restricts the mount whose root is `target`, and all mounts below it.
pub(super) fn restrict(target: &Path, access: Access) -> Result<(), RootError> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = rustix::fs::open(target, flags, Mode::empty()).map_err(named("open", target))?;
    restrict_opened(&opened, target, access)
}

fn restrict_opened(opened: &OwnedFd, target: &Path, access: Access) -> Result<(), RootError> {
    let restrictions = Restrictions { read_only: access == Access::ReadOnly, no_devices: access != Access::Device };
    match restrict_recursively(opened, restrictions) {
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ENOSYS as i32) => {
            restrict_one_by_one(opened, restrictions)
        }
        result => result.map_err(named("restrict", target)),
    }
}

/// Before Linux 5.12. New mounts cannot appear meanwhile: the namespace is private.
fn restrict_one_by_one(opened: &OwnedFd, restrictions: Restrictions) -> Result<(), RootError> {
    let top = fs::read_link(by_descriptor(opened)).map_err(named("find", Path::new("a mount")))?;
    let listed = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(listed).map_err(named("read", listed))?;
    for line in text.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let (Some(point), Some(options)) = (fields.get(4), fields.get(5)) else { continue };
        let point = PathBuf::from(unescape(point));
        if !point.starts_with(&top) {
            continue;
        }
        let mut flags = MountFlags::BIND | MountFlags::NOSUID;
        for (word, flag) in [
            ("ro", MountFlags::RDONLY),
            ("nodev", MountFlags::NODEV),
            ("noexec", MountFlags::NOEXEC),
            ("noatime", MountFlags::NOATIME),
            ("nodiratime", MountFlags::NODIRATIME),
            ("relatime", MountFlags::RELATIME),
        ] {
            if options.split(',').any(|option| option == word) {
                flags |= flag;
            }
        }
        flags.set(MountFlags::RDONLY, restrictions.read_only || flags.contains(MountFlags::RDONLY));
        flags.set(MountFlags::NODEV, restrictions.no_devices || flags.contains(MountFlags::NODEV));
        mount_remount(&point, flags, c"").map_err(named("restrict", &point))?;
    }
    Ok(())
}

/// mountinfo writes blanks and the like as `\040`.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// An empty file system, for root to fill.
pub(super) fn mount_tmpfs(target: &Path, options: &CStr) -> Result<(), RootError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", target, "tmpfs", flags, options).map_err(named("mount", target))
}

/// Makes the one mount at `target` read-only, not those on it.
pub(super) fn seal(target: &Path) -> Result<(), RootError> {
    let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount_remount(target, flags, c"").map_err(named("seal", target))
}

/// Puts something empty over a directory or file.
pub(super) fn cover(root: &Path, target: &OwnedFd, name: &Path) -> Result<(), RootError> {
    let kind = rustix::fs::fstat(target).map_err(named("look at", name))?;
    if rustix::fs::FileType::from_raw_mode(kind.st_mode).is_dir() {
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY;
        return mount("tmpfs", by_descriptor(target), "tmpfs", flags, c"mode=0555,size=4k")
            .map_err(named("cover", name));
    }
    let empty = root.join("clearml/.empty");
    if !empty.exists() {
        empty_file(&empty)?;
    }
    // Read-only of itself: the sealing of the root is for another mount.
    bind_beneath(root, name.strip_prefix("/").unwrap_or(name), &empty, Access::ReadOnly).map(drop)
}

/// A writable layer over a sealed environment.
pub(super) fn overlay(overlay: &Overlay, target: &Path) -> Result<(), RootError> {
    let open = |path: &Path| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(named("open", path))
    };
    let (lower, upper, work) = (open(&overlay.lower)?, open(&overlay.upper)?, open(&overlay.work)?);
    // Descriptors instead of paths: colons and commas in a path mean something here.
    let places = format!(
        "lowerdir={},upperdir={},workdir={}",
        by_descriptor(&lower).display(),
        by_descriptor(&upper).display(),
        by_descriptor(&work).display()
    );
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    // The layer is thrown away with the Run: no write of it needs to reach the disk (`volatile`, Linux 5.10).
    let mounted = mount("overlay", target, "overlay", flags, c_string(&format!("{places},volatile")).as_deref())
        .or_else(|_| mount("overlay", target, "overlay", flags, c_string(&places).as_deref()));
    mounted.map_err(named("mount overlayfs at", target))
}

fn c_string(text: &str) -> Option<std::ffi::CString> {
    std::ffi::CString::new(text).ok()
}
