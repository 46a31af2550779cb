//! The figures of our cgroups, as the kernel shows them.

use std::fs;
use std::path::{Path, PathBuf};

/// What is read of each.
const FILES: [&str; 9] = [
    "cgroup.controllers",
    "cgroup.events",
    "cpu.max",
    "cpu.stat",
    "io.stat",
    "memory.current",
    "memory.events",
    "memory.max",
    "pids.current",
];
/// Slices, units, and what a shim makes below its own.
const DEEPEST: usize = 5;

/// All cgroups with clearml in their path, below the first cgroup v2 tree that is mounted.
pub(super) fn figures() -> String {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let Some(top) = mountinfo.lines().find_map(mount) else { return "no cgroup v2 tree is mounted\n".to_owned() };
    let mut text = format!("tree {}\n", top.display());
    walk(&top, 0, &mut text);
    text
}

fn mount(line: &str) -> Option<PathBuf> {
    let (before, after) = line.split_once(" - ")?;
    (after.split(' ').next() == Some("cgroup2")).then_some(())?;
    before.split(' ').nth(4).map(PathBuf::from)
}

fn walk(directory: &Path, depth: usize, text: &mut String) {
    if depth > DEEPEST {
        return;
    }
    if depth == 0 || directory.to_string_lossy().contains("clearml") {
        text.push_str(&format!("\n# {}\n", directory.display()));
        for name in FILES {
            if let Ok(content) = fs::read_to_string(directory.join(name)) {
                text.push_str(&format!("{name}: {}\n", content.trim_end().replace('\n', "\n    ")));
            }
        }
    }
    let mut below: Vec<PathBuf> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    below.sort();
    for directory in below {
        walk(&directory, depth + 1, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_found_among_other_mounts() {
        assert_eq!(mount("9 8 0:2 / /x rw - ext4 /dev/vda rw"), None);
        let line = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(mount(line), Some("/sys/fs/cgroup".into()));
    }
}
