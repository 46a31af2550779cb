//! The payload's view of the files, built by init in its own mount namespace: the host read-only, what is not the
//! payload's business covered, and a few places of its own.
//!
//! | path | what |
//! |---|---|
//! | everything else | the host's, read-only, no set-user-id, no devices |
//! | [`RootPlan::hidden`] | covered by something empty |
//! | `/proc` | of the new pid namespace |
//! | `/dev` | a handful of harmless nodes, own pty and shm, and [`RootPlan::devices`] |
//! | `/tmp`, `/var/tmp` | the Run's, on disk |
//! | `/run` | empty but for name resolution |
//! | `/clearml` | the fixed paths of [`fixed`] |
//! | [`RootPlan::binds`] | as the Worker's definition says |

mod binds;
mod dev;
mod mounts;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use self::mounts::{Access, bind, bind_tree, cover, mount_tmpfs, named};
use crate::domain::handover::Identity;
use crate::domain::sandbox::Bind;

/// Where things are inside, the same for every Run: environments hold absolute paths.
pub(super) mod fixed {
    pub(in crate::shim) const CODE: &str = "/clearml/code";
    pub(in crate::shim) const VENV: &str = "/clearml/venv";
    pub(in crate::shim) const HOME: &str = "/clearml/home";
    pub(in crate::shim) const MIRRORS: &str = "/clearml/cache/mirrors";
    pub(in crate::shim) const PACKAGES: &str = "/clearml/cache/packages";
    pub(in crate::shim) const TOOLS: &str = "/clearml/tools";
    pub(in crate::shim) const STAGE: &str = "/clearml/stage";
    pub(in crate::shim) const TMP: &str = "/tmp";
}

/// What is to be built.
#[derive(Debug)]
pub(super) struct RootPlan {
    /// An empty directory that only root can reach.
    pub mount_point: PathBuf,
    /// Host paths to cover.
    pub hidden: Vec<PathBuf>,
    /// The Run's `/tmp`.
    pub tmp: PathBuf,
    /// Directories at fixed paths.
    pub places: Vec<Place>,
    /// A writable layer over a sealed environment, at [`fixed::VENV`].
    pub overlay: Option<Overlay>,
    /// Device nodes of the host, below /dev.
    pub devices: Vec<PathBuf>,
    /// Directories and files of the host where the Worker's definition has them.
    pub binds: Vec<Bind>,
    /// The host's files can be written to, as far as the payload's user may.
    pub writable: bool,
    /// `/tmp` and `/var/tmp` are the host's.
    pub hosts_tmp: bool,
    /// How large /dev/shm may get, in bytes.
    pub shm: Option<u64>,
    /// The entry that passwd and group need.
    pub entry: Option<Identity>,
    /// The stage program, for [`fixed::STAGE`].
    pub stage: PathBuf,
}

/// A directory of the host at a fixed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// On the host.
    pub source: PathBuf,
    /// Inside; below /clearml.
    pub target: PathBuf,
    /// Whether the payload may write there, as far as its user may.
    pub writable: bool,
}

/// See [`RootPlan::overlay`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overlay {
    /// The sealed environment.
    pub lower: PathBuf,
    /// The Run's changes; holds the directory skeleton of `lower`, owned by the payload's user.
    pub upper: PathBuf,
    /// overlayfs's own.
    pub work: PathBuf,
}

/// Why the view could not be built.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}: {source}")]
pub(super) struct RootError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Builds the view and makes it this process's root. Returns what could not be had, in words.
///
/// # Errors
/// When any part of it that matters fails; the process must end then, since it still sees the host.
pub(super) fn enter(plan: &RootPlan) -> Result<Vec<String>, RootError> {
    let root = plan.mount_point.as_path();
    let mut missing = Vec::new();
    // Private, not slave: what the host mounts later must not appear here, writable.
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(named("make private", Path::new("/")))?;
    // Directories and the stage program (a few MiB, but for builds with debug information); only root can write to it.
    mount_tmpfs(root, c"mode=0755,size=256m")?;
    host_tree(root, plan, &mut missing)?;
    if plan.hosts_tmp {
        mounts::bind_beneath(root, Path::new("var/tmp"), Path::new("/var/tmp"), Access::Writable)?;
    }
    cover_hidden(root, &plan.hidden)?;
    dev::build(root, &plan.devices, plan.shm)?;
    proc_and_run(root)?;
    if !plan.hosts_tmp {
        for target in ["tmp", "var/tmp"] {
            mounts::bind_beneath(root, Path::new(target), &plan.tmp, Access::Writable)?;
        }
    }
    binds::all(root, plan)?;
    mounts::seal(&root.join("run"))?;
    places(root, plan, &mut missing)?;
    if let Some(identity) = &plan.entry {
        passwd(root, identity)?;
    }
    pivot(root)?;
    Ok(missing)
}

/// Top level names that are made anew, not taken from the host.
const OWN: [&str; 5] = ["proc", "dev", "run", "clearml", "tmp"];

fn host_tree(root: &Path, plan: &RootPlan, missing: &mut Vec<String>) -> Result<(), RootError> {
    let slash = Path::new("/");
    let own = if plan.hosts_tmp { &OWN[..4] } else { &OWN[..] };
    for name in own {
        directory(&root.join(name), 0o755)?;
    }
    for entry in fs::read_dir(slash).map_err(named("list", slash))? {
        let entry = entry.map_err(named("list", slash))?;
        let (source, target) = (entry.path(), root.join(entry.file_name()));
        let name = entry.file_name();
        if own.iter().any(|own| entry.file_name() == *own) {
            continue;
        }
        let kind = entry.file_type().map_err(named("look at", &source))?;
        if kind.is_symlink() {
            let link = fs::read_link(&source).map_err(named("read", &source))?;
            symlink(link, &target).map_err(named("make", &target))?;
            continue;
        }
        if kind.is_dir() {
            directory(&target, 0o755)?;
        } else if kind.is_file() {
            empty_file(&target)?;
        } else {
            continue;
        }
        // A dead network mount at the top must not stop every Run; it is left out, which is safe.
        // What is the kernel's stays as it is in any case.
        let writable = (plan.writable && name != "sys") || (plan.hosts_tmp && name == "tmp");
        let access = if writable { Access::Writable } else { Access::ReadOnly };
        if let Err(error) = bind_tree(&source, &target, access) {
            missing.push(format!("the sandbox lacks {}: {error}", source.display()));
        }
    }
    Ok(())
}

fn cover_hidden(root: &Path, hidden: &[PathBuf]) -> Result<(), RootError> {
    for path in hidden {
        // A path that does not exist hides nothing; one behind a link is covered where it really is.
        let Ok(real) = fs::canonicalize(path) else { continue };
        let Ok(relative) = real.strip_prefix("/") else { continue };
        if let Some(target) = mounts::beneath(root, relative)? {
            cover(root, &target, &real)?;
        }
    }
    Ok(())
}

fn proc_and_run(root: &Path) -> Result<(), RootError> {
    let proc = root.join("proc");
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", &proc, "proc", flags, None).map_err(named("mount", &proc))?;
    let run = root.join("run");
    mount_tmpfs(&run, c"mode=0755,size=1m")?;
    // /etc/resolv.conf is often a link into /run.
    let resolv = fs::canonicalize("/etc/resolv.conf").ok().and_then(|file| Some(file.parent()?.to_owned()));
    let mut wanted = vec![PathBuf::from("/run/systemd/resolve")];
    wanted.extend(resolv.filter(|parent| parent != Path::new("/run")));
    wanted.sort();
    wanted.dedup();
    for source in wanted.iter().filter(|path| path.is_dir()) {
        let Ok(relative) = source.strip_prefix("/run") else { continue };
        let target = run.join(relative);
        directories(&target)?;
        bind(source, &target, Access::ReadOnly)?;
    }
    Ok(())
}

fn places(root: &Path, plan: &RootPlan, missing: &mut Vec<String>) -> Result<(), RootError> {
    for place in &plan.places {
        let target = inside(root, &place.target);
        directories(&target)?;
        bind(&place.source, &target, if place.writable { Access::Writable } else { Access::ReadOnly })?;
    }
    if let Some(overlay) = &plan.overlay {
        let target = inside(root, Path::new(fixed::VENV));
        directories(&target)?;
        if let Err(error) = mounts::overlay(overlay, &target) {
            missing.push(format!("the environment cannot be written to: {error}"));
            bind(&overlay.lower, &target, Access::ReadOnly)?;
        }
    }
    stage_program(root, &plan.stage)
}

/// A copy, not a mount: an upgrade may have removed our own file by now, and what is removed cannot be mounted.
fn stage_program(root: &Path, stage: &Path) -> Result<(), RootError> {
    let target = inside(root, Path::new(fixed::STAGE));
    let copied = fs::File::open(stage).and_then(|mut from| {
        let mut to = fs::File::create_new(&target)?;
        io::copy(&mut from, &mut to)
    });
    copied.map_err(named("copy the stage program from", stage))?;
    chmod(&target, 0o755)
}

/// The host's passwd and group, and the payload's user.
fn passwd(root: &Path, identity: &Identity) -> Result<(), RootError> {
    let own = root.join("clearml/etc");
    directories(&own)?;
    let (user, uid, gid) = (&identity.user, identity.uid, identity.gid);
    let lines = [
        ("passwd", uid, format!("{user}:x:{uid}:{gid}::{}:/bin/sh\n", fixed::HOME)),
        ("group", gid, format!("{user}:x:{gid}:\n")),
    ];
    for (name, id, line) in lines {
        let host = fs::read_to_string(Path::new("/etc").join(name)).unwrap_or_default();
        let others = host.lines().filter(|line| {
            let mut fields = line.split(':');
            fields.next() != Some(user) && fields.nth(1) != Some(id.to_string().as_str())
        });
        let mut text: String = others.map(|line| format!("{line}\n")).collect();
        text.push_str(&line);
        let file = own.join(name);
        write_readable(&file, &text)?;
        mounts::bind_beneath(root, &Path::new("etc").join(name), &file, Access::ReadOnly)?;
    }
    Ok(())
}

fn pivot(root: &Path) -> Result<(), RootError> {
    mounts::seal(root)?;
    std::env::set_current_dir(root).map_err(named("enter", root))?;
    // Both at the same place: the old root lies on top of the new one for a moment, and needs no directory in it.
    rustix::process::pivot_root(".", ".").map_err(named("pivot to", root))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(named("leave the host's root for", root))?;
    std::env::set_current_dir("/").map_err(named("enter", Path::new("/")))
}

fn inside(root: &Path, target: &Path) -> PathBuf {
    root.join(target.strip_prefix("/").unwrap_or(target))
}

fn directory(path: &Path, mode: u32) -> Result<(), RootError> {
    // The umask of the shim is 077, and these must be passable.
    fs::DirBuilder::new().mode(mode).create(path).map_err(named("make", path))?;
    chmod(path, mode)
}

fn directories(path: &Path) -> Result<(), RootError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        directories(parent)?;
    }
    directory(path, 0o755)
}

fn empty_file(path: &Path) -> Result<(), RootError> {
    fs::File::create_new(path).map(drop).map_err(named("make", path))
}

fn write_readable(path: &Path, text: &str) -> Result<(), RootError> {
    let written = fs::File::create_new(path).and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(named("write", path))?;
    chmod(path, 0o644)
}

fn chmod(path: &Path, mode: u32) -> Result<(), RootError> {
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(path, permissions).map_err(named("set the mode of", path))
}
