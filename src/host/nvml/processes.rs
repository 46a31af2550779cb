//! Who a process is that computes on a GPU. It may end at any moment: then little is known of it.

use procfs::process::Process;

use crate::domain::inventory::GpuProcess;

/// Deeper trees are nobody's.
const DEEPEST: usize = 64;

pub(super) fn describe(pid: u32, memory: Option<u64>) -> GpuProcess {
    let process = open(pid);
    let stat = process.as_ref().and_then(|process| process.stat().ok());
    let uid = process.as_ref().and_then(|process| process.uid().ok());
    let parents = std::iter::successors(parent(pid), |pid| parent(*pid)).take(DEEPEST).collect();
    GpuProcess { pid, name: stat.map(|stat| stat.comm).unwrap_or_default(), uid, memory, ancestors: parents }
}

fn open(pid: u32) -> Option<Process> {
    Process::new(i32::try_from(pid).ok()?).ok()
}

fn parent(pid: u32) -> Option<u32> {
    let parent = open(pid)?.stat().ok()?.ppid;
    u32::try_from(parent).ok().filter(|parent| *parent > 0)
}
