//! Removing a tree that a payload made. It may be deeper than any stack or table of descriptors, may lie to whoever
//! walks it, and may have directories that nobody may enter. So nothing here recurses: what is in a directory is moved
//! up to the top of the tree before the directory goes, and no link is ever followed.
//!
//! Another process of the payload's user may still have directories of it open (a run that has been sent their
//! descriptors). Root takes each directory away from its owner before it looks into it, so that nothing can appear in
//! it any more; who goes on making directories below those is left behind after [`MOST_MOVED`] of them.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Gid, Mode, OFlags, Uid, chmod, chownat, openat, renameat, unlinkat};
use rustix::io::Errno;

/// Names of the top that are dealt with between two looks at it.
const BATCH: usize = 256;
/// How often a directory is emptied anew when something keeps appearing in it.
const MOST_ROUNDS: usize = 16;
/// Directories that are moved up before a tree is given up as one that somebody keeps growing; minutes of work.
const MOST_MOVED: u64 = 2_000_000;

/// Removes the directory at `path` with everything below it; one that is not there is removed already.
///
/// # Errors
/// When the disk fails, or something of it may not be removed; much of the rest is gone then.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    remove_bounded(path, MOST_MOVED)
}

fn remove_bounded(path: &Path, most_moved: u64) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let top = match enter(CWD, &name) {
        Err(Errno::NOENT) => return Ok(()),
        top => top?,
    };
    let mut up = Up { top, next: 0, most_moved };
    // What was moved up is found here again: the top itself is the list of what is still to be done.
    loop {
        let names = up.first_names()?;
        if names.is_empty() {
            return Ok(unlinkat(CWD, &name, AtFlags::REMOVEDIR)?);
        }
        let outcomes: Vec<io::Result<()>> = names.iter().map(|name| up.remove(name)).collect();
        if outcomes.iter().all(Result::is_err) {
            return outcomes.into_iter().collect();
        }
    }
}

/// The top of the tree, and the next name for what is moved up to it.
struct Up {
    top: OwnedFd,
    next: u64,
    most_moved: u64,
}

impl Up {
    fn first_names(&self) -> io::Result<Vec<CString>> {
        let names = Dir::read_from(&self.top)?.map(|entry| Ok(entry?.file_name().to_owned()));
        names.filter(|name| !name.as_ref().is_ok_and(|name| is_dots(name))).take(BATCH).collect()
    }

    /// Removes an entry of the top, of whatever kind.
    fn remove(&mut self, name: &CStr) -> io::Result<()> {
        for _ in 0..MOST_ROUNDS {
            match unlink(&self.top, name) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => self.empty(&enter(&self.top, name)?)?,
                done => return Ok(done?),
            }
        }
        Err(Errno::NOTEMPTY.into())
    }

    /// Removes what is in `directory`, but for directories that are not empty: those are moved up.
    fn empty(&mut self, directory: &OwnedFd) -> io::Result<()> {
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_dots(name) {
                continue;
            }
            match unlink(directory, name) {
                Err(Errno::NOTEMPTY | Errno::EXIST) => self.take(directory, name)?,
                done => done?,
            }
        }
        Ok(())
    }

    /// Moves a directory to the top, under a name that nobody has.
    fn take(&mut self, parent: &OwnedFd, name: &CStr) -> io::Result<()> {
        // An ordinary user needs write permission on what is moved.
        drop(enter(parent, name)?);
        loop {
            if self.next >= self.most_moved {
                let reason = format!("it keeps growing: after {} directories there are more", self.most_moved);
                return Err(io::Error::other(reason));
            }
            let new_name = CString::new(format!(".clearmld-removed-{}", self.next))?;
            self.next += 1;
            match renameat(parent, name, &self.top, &new_name) {
                // A directory only ever replaces an empty one.
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                Ok(()) | Err(Errno::NOENT) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn is_dots(name: &CStr) -> bool {
    name == c"." || name == c".."
}

/// Removes a name, whatever it names; NOTEMPTY tells of a directory with something in it.
fn unlink(directory: &OwnedFd, name: &CStr) -> Result<(), Errno> {
    let removed = match unlinkat(directory, name, AtFlags::empty()) {
        // POSIX says PERM of a directory, Linux says ISDIR.
        Err(Errno::ISDIR | Errno::PERM) => unlinkat(directory, name, AtFlags::REMOVEDIR),
        other => other,
    };
    if removed == Err(Errno::NOENT) { Ok(()) } else { removed }
}

/// Opens a directory, whatever its mode, without following a link; it is root's from now on.
fn enter(parent: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = openat(parent, name, flags | OFlags::PATH, Mode::empty())?;
    let by_descriptor = format!("/proc/self/fd/{}", found.as_raw_fd());
    // Only root can. First, or its owner could undo the next step.
    let _ = chownat(&found, c"", Some(Uid::ROOT), Some(Gid::ROOT), AtFlags::EMPTY_PATH);
    // Only its owner and root can; who cannot is told by the next call.
    let _ = chmod(by_descriptor.as_str(), Mode::RWXU);
    openat(&found, c".", flags | OFlags::RDONLY, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::sys::durable;

    #[test]
    fn a_tree_deeper_than_the_stack_and_the_descriptors_is_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("tree");
        fs::create_dir(&path).expect("made");
        let mut at = enter(CWD, &CString::new(path.as_os_str().as_bytes()).expect("no NUL")).expect("opened");
        for _ in 0..3_000 {
            rustix::fs::mkdirat(&at, c"d", Mode::RWXU).expect("made");
            at = openat(&at, c"d", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).expect("opened");
        }
        let deep = path.clone();
        let removal = std::thread::Builder::new().stack_size(64 << 10).spawn(move || remove_tree(&deep));
        removal.expect("started").join().expect("no overflow").expect("removed");
        assert!(!path.exists());
        remove_tree(&path).expect("removed already");
    }

    #[test]
    fn a_tree_without_end_is_left_to_another_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let tree = directory.path().join("tree");
        fs::create_dir_all(tree.join("a/b/c/d/e/f/g")).expect("made");
        let error = remove_bounded(&tree, 3).expect_err("there are more than three");
        assert!(error.to_string().contains("keeps growing"), "{error}");
        remove_tree(&tree).expect("removed");
    }

    #[test]
    fn what_root_has_looked_into_is_no_longer_its_owners() {
        assert!(rustix::process::geteuid().is_root(), "files are given to another user here, which needs root");
        let directory = tempfile::tempdir().expect("a directory");
        std::os::unix::fs::chown(directory.path(), Some(64_321), Some(64_321)).expect("given");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).expect("opened");
        let name = CString::new(directory.path().as_os_str().as_bytes()).expect("no NUL");
        enter(CWD, &name).expect("opened");
        let about = fs::metadata(directory.path()).expect("there");
        let owner = (std::os::unix::fs::MetadataExt::uid(&about), about.permissions().mode() & 0o7777);
        assert_eq!(owner, (0, 0o700));
    }

    #[test]
    fn links_are_removed_and_not_followed_and_closed_or_wicked_directories_do_not_matter() {
        let directory = tempfile::tempdir().expect("a directory");
        let outside = directory.path().join("outside");
        fs::create_dir(&outside).expect("made");
        durable::write(&outside.join("kept"), b"x", 0o600).expect("written");
        let tree = directory.path().join("tree");
        fs::create_dir_all(tree.join("closed/a/b")).expect("made");
        fs::create_dir_all(tree.join(".clearmld-removed-0/full")).expect("made");
        durable::write(&tree.join(".clearmld-removed-1"), b"x", 0o600).expect("written");
        durable::write(&tree.join("closed/a/b/new\nline"), b"x", 0o600).expect("written");
        symlink(&outside, tree.join("closed/link")).expect("linked");
        for closed in ["closed/a/b", "closed/a", "closed"] {
            fs::set_permissions(tree.join(closed), PermissionsExt::from_mode(0o000)).expect("closed");
        }
        remove_tree(&tree).expect("removed");
        assert!(!tree.exists() && outside.join("kept").exists());
        symlink(&outside, &tree).expect("linked");
        assert!(remove_tree(&tree).is_err(), "a link is no tree");
        assert!(outside.join("kept").exists());
    }
}
