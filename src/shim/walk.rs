//! Changes to a tree of files that the payload made. Nothing in it is trusted: every step goes through descriptors and
//! never follows a link. No process of the payload lives while it is walked.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid, chownat, fchmod, fchown, mkdirat, openat, statat};

/// Deeper trees are refused: each level holds a descriptor.
const DEEPEST: usize = 200;

/// Makes a finished tree unchangeable for anybody but `owner`: no write bits, no set-user-id; owned by `owner`.
///
/// # Errors
/// When it is too deep or the disk fails.
pub(super) fn seal(root: &OwnedFd, owner: Option<(u32, u32)>) -> io::Result<()> {
    let owner = owner.map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid)));
    seal_directory(root.as_fd(), owner, 0)
}

fn seal_directory(directory: BorrowedFd<'_>, owner: Option<(Uid, Gid)>, depth: usize) -> io::Result<()> {
    for (name, kind) in entries(directory, depth)? {
        match kind {
            FileType::Directory => {
                let below = open_directory(directory, &name)?;
                seal_directory(below.as_fd(), owner, depth + 1)?;
            }
            FileType::RegularFile => seal_file(directory, &name, owner)?,
            FileType::Symlink => give(directory, &name, owner)?,
            // A socket, pipe or device is no part of an environment.
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => rustix::fs::unlinkat(directory, &name, AtFlags::empty())?,
        }
    }
    if let Some((uid, gid)) = owner {
        fchown(directory, Some(uid), Some(gid))?;
    }
    fchmod(directory, Mode::from_raw_mode(0o555))?;
    Ok(())
}

fn seal_file(directory: BorrowedFd<'_>, name: &CStr, owner: Option<(Uid, Gid)>) -> io::Result<()> {
    let before = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    // The bits first: a set-user-id file must never be root's, not even for a moment.
    let executable = before.st_mode & 0o111 != 0;
    let mode = Mode::from_raw_mode(if executable { 0o555 } else { 0o444 });
    let file = openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let named = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    rustix::fs::chmod(named, mode)?;
    give(directory, name, owner)
}

fn give(directory: BorrowedFd<'_>, name: &CStr, owner: Option<(Uid, Gid)>) -> io::Result<()> {
    if let Some((uid, gid)) = owner {
        chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

/// Makes in `copy` every directory that is in `original`, owned by `uid` and `gid`: what an overlay needs so that its
/// user may add files anywhere.
///
/// # Errors
/// When it is too deep or the disk is full.
pub(super) fn skeleton(original: &OwnedFd, copy: &OwnedFd, uid: u32, gid: u32) -> io::Result<()> {
    skeleton_directory(original.as_fd(), copy.as_fd(), (Uid::from_raw(uid), Gid::from_raw(gid)), 0)
}

fn skeleton_directory(
    original: BorrowedFd<'_>,
    copy: BorrowedFd<'_>,
    owner: (Uid, Gid),
    depth: usize,
) -> io::Result<()> {
    for (name, kind) in entries(original, depth)? {
        if kind == FileType::Directory {
            mkdirat(copy, &name, Mode::from_raw_mode(0o755))?;
            let below = open_directory(copy, &name)?;
            skeleton_directory(open_directory(original, &name)?.as_fd(), below.as_fd(), owner, depth + 1)?;
        }
    }
    fchown(copy, Some(owner.0), Some(owner.1))?;
    fchmod(copy, Mode::from_raw_mode(0o755))?;
    Ok(())
}

/// Opens a directory that is none of our making, without following a link.
///
/// # Errors
/// When it is no directory.
pub(super) fn open_directory(parent: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

fn entries(directory: BorrowedFd<'_>, depth: usize) -> io::Result<Vec<(CString, FileType)>> {
    if depth >= DEEPEST {
        return Err(io::Error::other(format!("directories are nested deeper than {DEEPEST}")));
    }
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        // Not every file system tells the type in the listing.
        let kind = match entry.file_type() {
            FileType::Unknown => FileType::from_raw_mode(statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode),
            known => known,
        };
        found.push((name.to_owned(), kind));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use super::*;
    use crate::sys::durable;

    fn open(path: &Path) -> OwnedFd {
        let name = CString::new(path.to_str().expect("text")).expect("no NUL");
        open_directory(rustix::fs::CWD, &name).expect("opened")
    }

    #[test]
    fn sealing_follows_no_link_and_leaves_no_set_user_id() {
        let directory = tempfile::tempdir().expect("a directory");
        let outside = directory.path().join("outside");
        durable::write(&outside, b"x", 0o644).expect("written");
        let tree = directory.path().join("tree");
        fs::create_dir_all(tree.join("bin")).expect("made");
        durable::write(&tree.join("bin/tool"), b"x", 0o644).expect("written");
        fs::set_permissions(tree.join("bin/tool"), PermissionsExt::from_mode(0o4777)).expect("set");
        symlink(&outside, tree.join("link")).expect("linked");
        symlink(directory.path(), tree.join("up")).expect("linked");
        seal(&open(&tree), None).expect("sealed");
        assert_eq!(fs::metadata(tree.join("bin/tool")).expect("there").mode() & 0o7777, 0o555);
        assert_eq!(fs::metadata(tree.join("bin")).expect("there").mode() & 0o7777, 0o555);
        assert_eq!(fs::metadata(&outside).expect("there").mode() & 0o200, 0o200);
        crate::sys::removal::remove_tree(&tree).expect("removed");
    }

    #[test]
    fn a_tree_deep_enough_to_exhaust_descriptors_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut path = directory.path().join("tree");
        for _ in 0..=DEEPEST {
            path.push("d");
        }
        fs::create_dir_all(&path).expect("made");
        assert!(seal(&open(&directory.path().join("tree")), None).is_err());
    }
}
