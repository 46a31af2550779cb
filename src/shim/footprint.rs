//! What a Run has on the disk: its trees, the files of shared caches that changed since it began, and files that no name
//! leads to any more, but a process of it has open. Nothing here is trusted: the payload may live and change it
//! meanwhile, may nest deeper than any table of descriptors, and follows no rule of ours.

use std::collections::HashSet;
use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Stat, fstat, statat};
use rustix::io::Errno;

use super::descendants;
use super::walk::open_directory;
use crate::domain::disk::Footprint;

/// What `st_blocks` counts in.
const BLOCK: u64 = 512;
/// File systems in memory (linux/magic.h): the limit of memory holds them.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x9584_58f6];

/// What the names of directories that are still to be looked into may take, in memory.
const MOST_HELD: usize = 32 << 20;
/// What a name takes beside its bytes.
const A_NAME: usize = 48;
/// How the kernel ends the name of a file that has none.
const DELETED: &[u8] = b" (deleted)";

/// How much a measurement may cost: the shim does nothing else meanwhile.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    pub time: Duration,
    pub entries: u64,
}

/// A measurement of what is on one device. A file with several names, or that is found in several ways, counts once, and
/// so does a directory that moves about.
#[derive(Debug)]
pub(super) struct Measurement {
    device: u64,
    until: Instant,
    entries: u64,
    complete: bool,
    seen: HashSet<(u64, u64)>,
    sum: Footprint,
}

/// A way through a tree. It holds two descriptors, however deep it goes.
#[derive(Debug)]
struct Walk {
    top: OwnedFd,
    here: OwnedFd,
    levels: Vec<Level>,
    since: Option<i64>,
    /// What the names of all levels take.
    held: usize,
}

/// A directory on the way down.
#[derive(Debug)]
struct Level {
    name: CString,
    identity: (u64, u64),
    below: Vec<CString>,
}

// === impl Measurement ===

impl Measurement {
    /// Nothing yet, of what is on `device`.
    #[must_use]
    pub(super) fn of(device: u64, effort: Effort) -> Self {
        Self {
            device,
            until: Instant::now() + effort.time,
            entries: effort.entries,
            complete: true,
            seen: HashSet::new(),
            sum: Footprint::default(),
        }
    }

    /// What has been found, and whether that is all.
    #[must_use]
    pub(super) fn sum(&self) -> (Footprint, bool) {
        (self.sum, self.complete)
    }

    /// Counts what is below `top`, or is `top`: all of it, or what has changed since that second. What cannot be read is
    /// left out.
    pub(super) fn tree(&mut self, top: &Path, since: Option<i64>) {
        let Ok(name) = CString::new(top.as_os_str().as_bytes()) else { return };
        if let Ok(top) = open_directory(CWD, &name) {
            let Some(mut walk) = Walk::begin(top, since, self) else { return };
            while walk.step(self) {}
        } else if let Ok(stat) = statat(CWD, &name, AtFlags::SYMLINK_NOFOLLOW)
            && stat.st_dev == self.device
        {
            self.count(&stat, since);
        }
    }

    /// Counts files without a name that a descendant of this process has open: nobody finds them in a tree.
    pub(super) fn unnamed(&mut self) {
        for (pid, _) in descendants::of(std::process::id()) {
            let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
            for path in open.flatten().map(|entry| entry.path()) {
                if !self.spend() {
                    return;
                }
                // Only what looks like it is asked: the server of a file that is far away may not answer.
                if !is_deleted(&path) {
                    continue;
                }
                let Ok(stat) = rustix::fs::stat(&path) else { continue };
                let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                // Through a layer it has the layer's device.
                if is_file && stat.st_nlink == 0 && (stat.st_dev == self.device || !in_memory(&path)) {
                    self.count(&stat, None);
                }
            }
        }
    }

    fn count(&mut self, stat: &Stat, since: Option<i64>) {
        if since.is_some_and(|since| stat.st_ctime < since) {
            return;
        }
        // Directories have several names by nature, and are met once.
        let several = stat.st_nlink != 1 && FileType::from_raw_mode(stat.st_mode) != FileType::Directory;
        if several && !self.seen.insert((stat.st_dev, stat.st_ino)) {
            return;
        }
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
        self.sum.bytes = self.sum.bytes.saturating_add(blocks.saturating_mul(BLOCK));
        self.sum.files = self.sum.files.saturating_add(1);
    }

    /// Whether one thing more may be looked at.
    fn spend(&mut self) -> bool {
        let may = self.entries > 0 && Instant::now() < self.until;
        if may {
            self.entries -= 1;
        } else {
            self.give_up();
        }
        may
    }

    fn give_up(&mut self) {
        (self.entries, self.complete) = (0, false);
    }
}

// === impl Walk ===

impl Walk {
    fn begin(top: OwnedFd, since: Option<i64>, measurement: &mut Measurement) -> Option<Self> {
        let here = open_directory(&top, c".").ok()?;
        let again = open_directory(&top, c".").ok()?;
        let mut walk = Self { top, here, levels: Vec::new(), since, held: 0 };
        walk.enter(again, CString::default(), measurement);
        Some(walk)
    }

    /// One directory further down or up; whether there is more.
    fn step(&mut self, measurement: &mut Measurement) -> bool {
        let Some(level) = self.levels.last_mut() else { return false };
        if !measurement.spend() {
            return false;
        }
        if let Some(name) = level.below.pop() {
            self.held -= name.count_bytes() + A_NAME;
            // It may be gone or be something else by now.
            if let Ok(below) = open_directory(&self.here, &name) {
                self.enter(below, name, measurement);
            }
            return true;
        }
        self.levels.pop();
        let Some(parent) = self.levels.last() else { return false };
        match open_directory(&self.here, c"..").ok().filter(|above| identity(above) == Some(parent.identity)) {
            Some(above) => self.here = above,
            // It has been moved elsewhere meanwhile.
            None => return self.enter_again(measurement),
        }
        true
    }

    /// Counts the entries of a directory and goes on in it. What is mounted there is not ours.
    fn enter(&mut self, directory: OwnedFd, name: CString, measurement: &mut Measurement) {
        let Some(identity) = identity(&directory) else { return };
        if identity.0 != measurement.device || !measurement.seen.insert(identity) {
            return;
        }
        let Ok(entries) = Dir::read_from(&directory) else { return };
        let mut below = Vec::new();
        for entry in entries.map_while(Result::ok) {
            let name: &CStr = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if !measurement.spend() {
                break;
            }
            let Ok(stat) = statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            measurement.count(&stat, self.since);
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                self.held += name.count_bytes() + A_NAME;
                below.push(name.to_owned());
            }
            if self.held > MOST_HELD {
                measurement.give_up();
            }
        }
        self.levels.push(Level { name, identity, below });
        self.here = directory;
    }

    /// Back to where it was, from the top: as far as that is still the same way. What is lost with the rest of it may
    /// be met elsewhere, or not.
    fn enter_again(&mut self, measurement: &mut Measurement) -> bool {
        let Ok(mut here) = open_directory(&self.top, c".") else { return false };
        for depth in 1..self.levels.len() {
            let level = &self.levels[depth];
            let found = if measurement.spend() { open_directory(&here, &level.name).ok() } else { None };
            let Some(found) = found.filter(|found| identity(found) == Some(level.identity)) else {
                measurement.complete = false;
                let lost = self.levels.drain(depth..).flat_map(|level| level.below);
                self.held -= lost.map(|name| name.count_bytes() + A_NAME).sum::<usize>();
                break;
            };
            here = found;
        }
        self.here = here;
        true
    }
}

/// The device that `path` is on.
#[must_use]
pub(super) fn device_of(path: &Path) -> Option<u64> {
    Some(fs::symlink_metadata(path).ok()?.dev())
}

fn identity(directory: &OwnedFd) -> Option<(u64, u64)> {
    fstat(directory).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// Whether the file that this entry of /proc stands for has no name, as far as can be said without asking it.
fn is_deleted(path: &Path) -> bool {
    match rustix::fs::readlink(path, Vec::new()) {
        Ok(target) => target.as_bytes().ends_with(DELETED),
        // Deeper than a path can say.
        Err(error) => error == Errno::NAMETOOLONG,
    }
}

fn in_memory(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|system| IN_MEMORY.contains(&system.f_type))
}

#[cfg(test)]
mod tests {
    use std::fs::hard_link;
    use std::os::unix::fs::symlink;

    use rustix::fs::{Mode, OFlags, openat};

    use super::*;
    use crate::sys::durable;

    const MIB: usize = 1 << 20;

    const ENOUGH: Effort = Effort { time: Duration::from_secs(60), entries: 1 << 20 };

    fn of(top: &Path, effort: Effort) -> Measurement {
        Measurement::of(device_of(top).unwrap_or(0), effort)
    }

    fn measured(top: &Path, since: Option<i64>) -> Footprint {
        let mut measurement = of(top, ENOUGH);
        measurement.tree(top, since);
        let (sum, complete) = measurement.sum();
        assert!(complete);
        sum
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

    #[test]
    fn a_tree_that_is_too_large_is_measured_in_part_and_says_so() {
        let tree = tempfile::tempdir().expect("a directory");
        for number in 0..30 {
            fs::create_dir_all(tree.path().join(format!("d{number}/e"))).expect("made");
        }
        for (time, entries, most) in [(60, 20, 20), (0, 1 << 20, 0)] {
            let mut measurement = of(tree.path(), Effort { time: Duration::from_secs(time), entries });
            measurement.tree(tree.path(), None);
            let (sum, complete) = measurement.sum();
            assert!(!complete && sum.files == most, "{sum:?}");
        }
    }

    /// Walks, and moves `from` to `to` when the walk is in `from`.
    fn moved_meanwhile(top: &Path, from: &str, to: &str) -> (Footprint, bool) {
        let name = CString::new(top.as_os_str().as_bytes()).expect("no NUL");
        let mut measurement = of(top, ENOUGH);
        let opened = open_directory(CWD, &name).expect("opened");
        let mut walk = Walk::begin(opened, None, &mut measurement).expect("begun");
        let target = fs::symlink_metadata(top.join(from)).expect("there").ino();
        loop {
            let inside = walk.levels.last().is_some_and(|level| level.identity.1 == target);
            if inside && top.join(from).exists() {
                fs::rename(top.join(from), top.join(to)).expect("moved");
            }
            if !walk.step(&mut measurement) {
                return measurement.sum();
            }
        }
    }

    #[test]
    fn a_directory_that_is_moved_while_it_is_looked_at_hides_nothing_and_counts_once() {
        let place = tempfile::tempdir().expect("a directory");
        let top = place.path();
        for directory in ["a/b/c", "a/d", "e"] {
            fs::create_dir_all(top.join(directory)).expect("made");
            durable::write(&top.join(directory).join("file"), &vec![1; MIB], 0o644).expect("written");
        }
        assert_eq!(measured(top, None).files, 8);
        for (from, to) in [("a/b/c", "e/c"), ("e/c", "c"), ("c", "a/b/c")] {
            let (sum, complete) = moved_meanwhile(top, from, to);
            assert!(sum.files >= 8 && mib(sum) == 3 && complete, "{from}: {sum:?}");
        }
        // Here what is above the walk has gone as well.
        let (sum, complete) = moved_meanwhile(top, "a/b", "e/b");
        assert!(mib(sum) == 3 && sum.files >= 8 || !complete, "{sum:?}");
    }
}
