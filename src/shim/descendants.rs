//! Every descendant of this process, for where there is no pid namespace: as a subreaper it inherits all orphans, so
//! that nobody can leave the tree by forking twice or by a session of its own.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::sys::identity::Stat;

/// Every process that /proc lists, by pid.
#[must_use]
pub(super) fn processes() -> BTreeMap<u32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, Stat::read(pid).ok()?))
        })
        .collect()
}

/// The living descendants of `ancestor`.
#[must_use]
pub(super) fn of(ancestor: u32) -> Vec<(u32, Stat)> {
    let mut children: BTreeMap<u32, Vec<(u32, Stat)>> = BTreeMap::new();
    for (pid, stat) in processes() {
        children.entry(stat.parent).or_default().push((pid, stat));
    }
    let mut found = Vec::new();
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        for (pid, stat) in children.remove(&parent).unwrap_or_default() {
            parents.push(pid);
            if stat.state != b'Z' {
                found.push((pid, stat));
            }
        }
    }
    found
}

/// Sends `signal` once to every descendant, also to those that are forked meanwhile.
pub(super) fn signal_each(ancestor: u32, signal: Signal) {
    let mut signalled = Vec::new();
    // A process that forks faster than /proc is read is met by the kill, which is repeated until nobody is left.
    for _ in 0..16 {
        let fresh: Vec<_> = of(ancestor).into_iter().filter(|process| !signalled.contains(process)).collect();
        if fresh.is_empty() {
            return;
        }
        for (pid, stat) in fresh {
            if let Some(pidfd) = open(pid, stat) {
                let _ = pidfd_send_signal(&pidfd, signal);
            }
            signalled.push((pid, stat));
        }
    }
}

fn open(pid: u32, stat: Stat) -> Option<OwnedFd> {
    let pidfd = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()?;
    (Stat::read(pid).ok()?.start_ticks == stat.start_ticks).then_some(pidfd)
}

/// The pid, as we see it, of the child of `init` that calls itself `inner`.
#[must_use]
pub(super) fn outer_pid(init: u32, inner: u32) -> Option<u32> {
    processes().into_iter().filter(|(_, stat)| stat.parent == init).map(|(pid, _)| pid).find(|pid| {
        fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"));
            line.and_then(|line| line.split_ascii_whitespace().last()) == Some(inner.to_string().as_str())
        })
    })
}
