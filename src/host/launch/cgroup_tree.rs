//! Where this host has a cgroup v2 tree, and who is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A mounted cgroup v2 tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::host) struct Tree {
    mount: PathBuf,
    /// What of the tree is mounted there, as /proc/PID/cgroup counts.
    root: PathBuf,
}

impl Tree {
    /// The first one of this mount namespace, on a pure v2 host as on one that keeps its controllers in v1.
    pub(in crate::host) fn find() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/mountinfo").ok()?)
    }

    fn parse(mountinfo: &str) -> Option<Self> {
        mountinfo.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            (after.split(' ').next() == Some("cgroup2")).then_some(())?;
            let mut fields = before.split(' ').skip(3);
            let (root, mount) = (fields.next()?, fields.next()?);
            Some(Self { mount: mount.into(), root: root.into() })
        })
    }

    /// Where the cgroup of a process is, by its line in /proc/PID/cgroup.
    pub(in crate::host) fn of(&self, process: &str) -> Option<PathBuf> {
        self.locate(&fs::read_to_string(Path::new("/proc").join(process).join("cgroup")).ok()?)
    }

    fn locate(&self, text: &str) -> Option<PathBuf> {
        let path = Path::new(text.lines().find_map(|line| line.strip_prefix("0::"))?);
        // A process outside of what is mounted here has a path with `..` in it.
        let below = path.strip_prefix(&self.root).ok().filter(|path| !path.starts_with(".."))?;
        Some(self.mount.join(below))
    }

    /// The top of what is mounted.
    pub(in crate::host) fn top(&self) -> &Path {
        &self.mount
    }
}

/// Kills everything in a Run's cgroup, and removes it, unless systemd is faster: the shipped unit sees the tree
/// read-only, and there it is systemd who does all of this.
pub(super) async fn sweep(run: &Path) -> io::Result<()> {
    // Ten seconds: what does not die by then is in an uninterruptible call, and is told.
    for _ in 0..500 {
        // Asked first: removing what is gone fails in its own way where the tree is read-only.
        if !run.exists() {
            return Ok(());
        }
        if kill(run).is_err() {
            kill_one_by_one(run);
        }
        match remove(run) {
            Ok(()) => return Ok(()),
            // Of an earlier boot (a container's tree may survive that), and nobody is in it.
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem && !populated(run) => return Ok(()),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    remove(run)
}

fn populated(run: &Path) -> bool {
    fs::read_to_string(run.join("cgroup.events")).is_ok_and(|text| text.lines().any(|line| line == "populated 1"))
}

/// cgroup.kill takes the whole tree below; it is there from Linux 5.14 on.
fn kill(run: &Path) -> io::Result<()> {
    let mut file = fs::File::options().write(true).open(run.join("cgroup.kill"))?;
    io::Write::write_all(&mut file, b"1")
}

fn kill_one_by_one(run: &Path) {
    for directory in ["payload", "shim", ""] {
        let procs = run.join(directory).join("cgroup.procs");
        let Ok(text) = fs::read_to_string(&procs) else { continue };
        for line in text.lines() {
            let Some(pid) = line.parse().ok().and_then(Pid::from_raw) else { continue };
            let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            // Held now: if the pid is in the list still, the pidfd means what is listed.
            if fs::read_to_string(&procs).is_ok_and(|text| text.lines().any(|other| other == line)) {
                let _ = pidfd_send_signal(&pidfd, Signal::KILL);
            }
        }
    }
}

fn remove(run: &Path) -> io::Result<()> {
    for directory in [run.join("payload"), run.join("shim"), run.to_owned()] {
        match fs::remove_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_found_on_pure_and_on_mixed_hosts_and_in_containers() {
        let pure = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        let tree = Tree::parse(pure).expect("found");
        assert_eq!(tree.locate("0::/a.slice/b\n".trim_end()), Some("/sys/fs/cgroup/a.slice/b".into()));
        let mixed = "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
                     41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";
        let tree = Tree::parse(mixed).expect("found");
        assert_eq!(tree.locate("1:cpu:/x\n0::/"), Some("/sys/fs/cgroup/unified".into()));
        let container = "9 8 0:2 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw";
        let tree = Tree::parse(container).expect("found");
        assert_eq!(tree.locate("0::/docker/abc/x"), Some("/sys/fs/cgroup/x".into()));
        assert_eq!(tree.locate("0::/../other"), None);
        assert_eq!(Tree::parse("9 8 0:2 / /x rw - ext4 /dev/vda rw"), None);
    }
}
