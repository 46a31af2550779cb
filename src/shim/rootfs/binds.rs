//! What the Worker's definition shows of the host. It was checked when the Worker was added; a disk, a link or a policy
//! may be another by now, so nothing is taken on trust here.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};

use super::mounts::{self, Access, beneath, named};
use super::{RootError, RootPlan, directories, empty_file};
use crate::domain::sandbox::{self, Bind};

pub(super) fn all(root: &Path, plan: &RootPlan) -> Result<(), RootError> {
    plan.binds.iter().try_for_each(|bind| one(root, plan, bind))
}

fn one(root: &Path, plan: &RootPlan, bind: &Bind) -> Result<(), RootError> {
    let refuse = |reason: &str| named("bind", &bind.source)(io::Error::other(reason.to_owned()));
    let source = straight(&bind.source)?;
    let kind = FileType::from_raw_mode(fstat(&source).map_err(named("look at", &bind.source))?.st_mode);
    if kind != FileType::Directory && kind != FileType::RegularFile {
        return Err(refuse("it is neither a directory nor a file"));
    }
    let real = plan.hidden.iter().flat_map(|path| [Some(path.clone()), fs::canonicalize(path).ok()]).flatten();
    let mut hidden = real.chain([plan.mount_point.clone()]);
    if hidden.any(|hidden| hidden.starts_with(&bind.source) || bind.source.starts_with(&hidden)) {
        return Err(refuse("it holds or lies in what no task may see"));
    }
    let target = place(root, &bind.target, kind)?;
    let access = match bind.access {
        sandbox::Access::ReadOnly => Access::ReadOnly,
        sandbox::Access::ReadWrite => Access::Writable,
    };
    mounts::bind_opened(root, &source, (&target, &bind.target), access)
}

/// The source, when no link is on the way to it.
fn straight(path: &Path) -> Result<OwnedFd, RootError> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let without = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(CWD, path, flags, Mode::empty(), without).map_err(named("bind (no link may lead to it)", path))
}

/// Where it is to lie, made where the root is the Run's own.
fn place(root: &Path, target: &Path, kind: FileType) -> Result<OwnedFd, RootError> {
    let relative = target.strip_prefix("/").unwrap_or(target);
    if let Some(there) = beneath(root, relative)? {
        return Ok(there);
    }
    // Only below / and /run, which are file systems of the Run's own: on the host's, nothing is made.
    let top: PathBuf = relative.components().take(1).collect();
    let own = top == Path::new("run") || beneath(root, &top)?.is_none() || is_own(root, &top);
    if !own {
        let error = io::Error::from(io::ErrorKind::NotFound);
        return Err(named("find the place of a bind,", target)(error));
    }
    let inside = root.join(relative);
    if kind == FileType::Directory {
        directories(&inside)?;
    } else {
        inside.parent().map_or(Ok(()), directories)?;
        empty_file(&inside)?;
    }
    beneath(root, relative)?.ok_or_else(|| named("find", target)(io::Error::from(io::ErrorKind::NotFound)))
}

/// A directory that an earlier bind has had made.
fn is_own(root: &Path, top: &Path) -> bool {
    let device = |path: &Path| rustix::fs::stat(path).map(|found| found.st_dev);
    let plain = fs::symlink_metadata(root.join(top)).is_ok_and(|found| found.is_dir());
    plain && matches!((device(root), device(&root.join(top))), (Ok(own), Ok(other)) if own == other)
}
