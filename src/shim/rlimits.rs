//! Resource limits of the payload's first process, which all others inherit. The Run as a whole is limited by its cgroup.
//!
//! | limit | value | why |
//! |---|---|---|
//! | CORE | 0 | a core file holds the task's token, and can be as large as all of its memory |
//! | NOFILE | 65536, hard 1048576 | loaders pass tensors as descriptors; 1024 ends in "Too many open files" |
//! | MEMLOCK | unlimited | RDMA and io buffers are pinned; what is pinned counts for the cgroup's memory all the same |
//! | NPROC | as the cgroup's pids.max | only where no pids controller holds a fork bomb; counted by user, not by Run |
//!
//! Everything else is as the host has it. An ordinary user's shim cannot raise a hard limit, and leaves it.

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};

const OPEN_FILES: rlim_t = 65_536;
/// fs.nr_open of a stock kernel; a host with a lower one keeps its own.
const MOST_OPEN_FILES: rlim_t = 1 << 20;

/// Sets them. `processes` only where nothing else limits their number.
///
/// # Errors
/// When a limit that protects the host cannot be set.
pub(super) fn apply(processes: Option<u32>) -> Result<(), Errno> {
    let root = nix::unistd::geteuid().is_root();
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let raised = hard.max(MOST_OPEN_FILES);
    if !(root && setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, raised).is_ok()) {
        setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES.min(hard), hard)?;
    }
    if root {
        // Without the right (a container's root), the host's own limit stays.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY);
        if let Some(processes) = processes {
            let (_, hard) = getrlimit(Resource::RLIMIT_NPROC)?;
            let most = rlim_t::from(processes).min(hard);
            setrlimit(Resource::RLIMIT_NPROC, most, most)?;
        }
    }
    Ok(())
}
