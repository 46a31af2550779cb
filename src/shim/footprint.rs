//! What a Run has on the disk: its trees, the files of shared caches that changed since it began, and files that no name
//! leads to any more, but a process of it has open. Nothing here is trusted: the payload may live and change it
//! meanwhile, may nest deeper than any table of descriptors, and follows no rule of ours.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};

use super::descendants;
use super::walk::open_directory;
use crate::domain::disk::Footprint;

/// What `st_blocks` counts in.
const BLOCK: u64 = 512;
/// File systems in memory (linux/magic.h): the limit of memory holds them.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x9584_58f6];

/// A measurement. A file with several names, or that is found in several ways, counts once.
#[derive(Debug, Default)]
pub(super) struct Measurement {
    seen: HashSet<(u64, u64)>,
    sum: Footprint,
}

/// A directory on the way down.
#[derive(Debug)]
struct Level {
    identity: (u64, u64),
    below: Vec<CString>,
}

impl Measurement {
    /// What has been found.
    #[must_use]
    pub(super) fn sum(&self) -> Footprint {
        self.sum
    }

    /// Counts what is below `top`: all of it, or what has changed since that second. What cannot be read is left out.
    pub(super) fn tree(&mut self, top: &Path, since: Option<i64>) {
        let Ok(name) = CString::new(top.as_os_str().as_bytes()) else { return };
        let Ok(mut here) = open_directory(CWD, &name) else { return };
        let Ok(first) = self.level(&here, since) else { return };
        let device = first.identity.0;
        let mut levels = vec![first];
        while let Some(level) = levels.last_mut() {
            if let Some(name) = level.below.pop() {
                // It may be gone or be something else by now; what is mounted on it is not ours.
                let Ok(below) = open_directory(&here, &name) else { continue };
                let Ok(level) = self.level(&below, since) else { continue };
                if level.identity.0 == device {
                    levels.push(level);
                    here = below;
                }
                continue;
            }
            levels.pop();
            let Some(parent) = levels.last() else { return };
            // One descriptor for any depth: back up by `..`, unless the directory has been moved elsewhere meanwhile.
            match up(&here, parent.identity) {
                Some(directory) => here = directory,
                None => return,
            }
        }
    }

    /// Counts the entries of a directory.
    fn level(&mut self, directory: &OwnedFd, since: Option<i64>) -> io::Result<Level> {
        let mut below = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let name: &CStr = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let Ok(stat) = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if since.is_none_or(|since| stat.st_ctime >= since) {
                self.count(&stat);
            }
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                below.push(name.to_owned());
            }
        }
        let stat = fstat(directory)?;
        Ok(Level { identity: (stat.st_dev, stat.st_ino), below })
    }

    /// Counts files without a name that a descendant of this process has open: nobody finds them in a tree.
    pub(super) fn unnamed(&mut self, device: u64) {
        for (pid, _) in descendants::of(std::process::id()) {
            let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
            for path in open.flatten().map(|entry| entry.path()) {
                let Ok(stat) = rustix::fs::stat(&path) else { continue };
                let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                // Through a layer it has the layer's device.
                if is_file && stat.st_nlink == 0 && (stat.st_dev == device || !in_memory(&path)) {
                    self.count(&stat);
                }
            }
        }
    }

    fn count(&mut self, stat: &Stat) {
        // Directories have several names by nature, and are met once.
        let several = stat.st_nlink != 1 && FileType::from_raw_mode(stat.st_mode) != FileType::Directory;
        if several && !self.seen.insert((stat.st_dev, stat.st_ino)) {
            return;
        }
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
        self.sum.bytes = self.sum.bytes.saturating_add(blocks.saturating_mul(BLOCK));
        self.sum.files = self.sum.files.saturating_add(1);
    }
}

/// The device that `path` is on.
#[must_use]
pub(super) fn device_of(path: &Path) -> Option<u64> {
    Some(fs::symlink_metadata(path).ok()?.dev())
}

fn up(directory: &OwnedFd, wanted: (u64, u64)) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let parent = openat(directory.as_fd(), c"..", flags, Mode::empty()).ok()?;
    let stat = fstat(&parent).ok()?;
    ((stat.st_dev, stat.st_ino) == wanted).then_some(parent)
}

fn in_memory(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|system| IN_MEMORY.contains(&system.f_type))
}

#[cfg(test)]
mod tests {
    use std::fs::hard_link;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::sys::durable;

    const MIB: usize = 1 << 20;

    fn measured(top: &Path, since: Option<i64>) -> Footprint {
        let mut measurement = Measurement::default();
        measurement.tree(top, since);
        measurement.sum()
    }

    fn mib(footprint: Footprint) -> u64 {
        footprint.bytes >> 20
    }

    #[test]
    fn a_file_counts_once_whatever_its_names_and_links_lead_nowhere() {
        let place = tempfile::tempdir().expect("a directory");
        let (tree, outside) = (place.path().join("tree"), place.path().join("outside"));
        fs::create_dir_all(tree.join("a/b")).expect("made");
        fs::create_dir_all(&outside).expect("made");
        durable::write(&outside.join("large"), &vec![1; 8 * MIB], 0o644).expect("written");
        durable::write(&tree.join("a/b/file"), &vec![1; 3 * MIB], 0o644).expect("written");
        hard_link(tree.join("a/b/file"), tree.join("again")).expect("linked");
        symlink(&outside, tree.join("out")).expect("linked");
        symlink("..", tree.join("a/round")).expect("linked");
        let sum = measured(&tree, None);
        assert_eq!((mib(sum), sum.files), (3, 5), "{sum:?}");
        assert_eq!(measured(&tree.join("nowhere"), None), Footprint::default());
    }

    #[test]
    fn of_a_shared_tree_only_what_has_changed_since_counts() {
        let tree = tempfile::tempdir().expect("a directory");
        durable::write(&tree.path().join("old"), &vec![1; 2 * MIB], 0o644).expect("written");
        let now = fs::symlink_metadata(tree.path().join("old")).expect("there").ctime();
        assert_eq!(measured(tree.path(), Some(now + 1)), Footprint::default());
        assert_eq!(mib(measured(tree.path(), Some(now))), 2);
    }

    #[test]
    fn what_is_nested_deeper_than_a_path_can_say_is_found() {
        let place = tempfile::tempdir().expect("a directory");
        let top = place.path().join("tree");
        fs::create_dir(&top).expect("made");
        let name = CString::new("d".repeat(200)).expect("no NUL");
        let mut here = open_directory(CWD, &CString::new(top.as_os_str().as_bytes()).expect("no NUL")).expect("opened");
        for _ in 0..40 {
            rustix::fs::mkdirat(&here, &name, Mode::from_raw_mode(0o755)).expect("made");
            here = open_directory(&here, &name).expect("opened");
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC;
        let file = openat(&here, c"hidden", flags, Mode::from_raw_mode(0o644)).expect("made");
        rustix::io::write(&file, &vec![1; MIB]).expect("written");
        assert_eq!(measured(&top, None).files, 41);
        crate::sys::removal::remove_tree(&top).expect("removed");
    }
}
