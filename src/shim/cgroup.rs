//! The Run's part of the cgroup v2 tree: `shim` with this process, `payload` with everything that must end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::domain::handover::Usage;
use crate::domain::limits::{Limits, usual_pids};

/// Counts what the limit of this very cgroup was the reason for, not those below it (Linux 5.2).
const SHARED_EVENTS: &str = "memory.events.local";

/// See the module.
#[derive(Debug)]
pub(super) struct Cgroup {
    payload: PathBuf,
    /// That of all Runs of the host, and how often its limit had been reached when this one began.
    shared: PathBuf,
    shared_hits: u64,
}

impl Cgroup {
    /// Makes both below `run` and moves this process into `shim`, so that `payload` can have controllers.
    ///
    /// # Errors
    /// When `run` is no cgroup v2 directory, or may not be changed.
    pub(super) fn enter(run: &Path) -> io::Result<Self> {
        let (own, payload) = (run.join("shim"), run.join("payload"));
        for directory in [&own, &payload] {
            match fs::create_dir(directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        put(&own.join("cgroup.procs"), "0")?;
        // A controller that is not there only means figures or limits that are not there.
        for controller in ["+memory", "+pids", "+cpu", "+io"] {
            let _ = put(&run.join("cgroup.subtree_control"), controller);
        }
        let shared = run.parent().unwrap_or(run).to_owned();
        let shared_hits = keyed(&shared.join(SHARED_EVENTS), "oom").unwrap_or(0);
        Ok(Self { payload, shared, shared_hits })
    }

    /// Sets the payload's limits. The shim beside it has none.
    ///
    /// # Errors
    /// When one that was asked for cannot be set: a Run without it would not be what was declared.
    pub(super) fn limit(&self, limits: &Limits) -> io::Result<()> {
        // One that is out of memory ends whole: half of a training job is no job.
        let _ = put(&self.payload.join("memory.oom.group"), "1");
        if let Some(memory) = limits.memory {
            self.set("memory.max", &memory.bytes().to_string())?;
            // Absent where the kernel has no swap at all.
            if self.payload.join("memory.swap.max").exists() {
                self.set("memory.swap.max", "0")?;
            }
        }
        if let Some(cpus) = limits.cpus {
            self.set("cpu.max", &cpus.quota())?;
        }
        match limits.pids {
            Some(pids) => self.set("pids.max", &pids.count().to_string()),
            None if self.counts_processes() => self.set("pids.max", &usual_pids(kernel_has()).to_string()),
            None => Ok(()),
        }
    }

    fn set(&self, file: &'static str, text: &str) -> io::Result<()> {
        let path = self.payload.join(file);
        put(&path, text).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot write {text} to {}: {error}", path.display()))
        })
    }

    /// Whether the kernel counts processes here.
    #[must_use]
    pub(super) fn counts_processes(&self) -> bool {
        self.payload.join("pids.max").exists()
    }

    /// What a process writes `0` to in order to join `payload`.
    ///
    /// # Errors
    /// When the cgroup is gone.
    pub(super) fn door(&self) -> io::Result<File> {
        OpenOptions::new().write(true).open(self.payload.join("cgroup.procs"))
    }

    /// Whether the kernel kills a whole cgroup at once (Linux 5.14).
    #[must_use]
    pub(super) fn kills_at_once(&self) -> bool {
        self.payload.join("cgroup.kill").exists()
    }

    /// Whether the kernel counts memory here.
    #[must_use]
    pub(super) fn counts_memory(&self) -> bool {
        self.payload.join("memory.events").exists()
    }

    /// Sends SIGKILL to every process of the payload.
    pub(super) fn kill(&self) {
        if put(&self.payload.join("cgroup.kill"), "1").is_err() {
            self.signal_each(Signal::KILL);
        }
    }

    /// Lets no process of the payload run, or lets them run again. A SIGKILL reaches them all the same.
    ///
    /// # Errors
    /// Where the kernel cannot (before Linux 5.2).
    pub(super) fn freeze(&self, frozen: bool) -> io::Result<()> {
        put(&self.payload.join("cgroup.freeze"), if frozen { "1" } else { "0" })
    }

    /// Kills until nobody is left; what cannot die (in an uninterruptible call) is waited for.
    pub(super) fn empty(&self) {
        let mut pause = Duration::from_millis(1);
        while self.populated() {
            self.kill();
            sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    /// What the kernel counted for the payload; zero where it did not.
    #[must_use]
    pub(super) fn usage(&self) -> Usage {
        let figure = |name: &str| fs::read_to_string(self.payload.join(name)).ok().and_then(|t| t.trim().parse().ok());
        Usage {
            cpu_micros: self.keyed("cpu.stat", "usage_usec").unwrap_or(0),
            user_micros: self.keyed("cpu.stat", "user_usec").unwrap_or(0),
            system_micros: self.keyed("cpu.stat", "system_usec").unwrap_or(0),
            throttled_micros: self.keyed("cpu.stat", "throttled_usec").unwrap_or(0),
            peak_memory: figure("memory.peak").unwrap_or(0),
            memory_limit: figure("memory.max").unwrap_or(0),
            oom_kills: self.keyed("memory.events", "oom_kill").unwrap_or(0),
            limit_hits: self.keyed("memory.events", "oom").unwrap_or(0),
            shared_limit: self.shared_limit(),
            read_bytes: self.over_all_disks("rbytes="),
            written_bytes: self.over_all_disks("wbytes="),
            refused_forks: self.keyed("pids.events", "max").unwrap_or(0),
        }
    }

    /// The limit of all Runs together, if it was reached since this one began.
    fn shared_limit(&self) -> u64 {
        let hits = keyed(&self.shared.join(SHARED_EVENTS), "oom").unwrap_or(0);
        if hits == self.shared_hits {
            return 0;
        }
        fs::read_to_string(self.shared.join("memory.max")).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }

    /// A line of io.stat is a disk: `8:0 rbytes=1 wbytes=2 …`.
    fn over_all_disks(&self, key: &str) -> u64 {
        let text = fs::read_to_string(self.payload.join("io.stat")).unwrap_or_default();
        text.split_whitespace().filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok()).sum()
    }

    /// Removes `payload`. The Run's own directory is the launcher's to remove: this process is in it.
    pub(super) fn remove(&self) {
        let _ = fs::remove_dir(&self.payload);
    }

    fn populated(&self) -> bool {
        // A cgroup that is gone has nobody in it.
        self.keyed("cgroup.events", "populated").is_some_and(|count| count != 0)
    }

    fn keyed(&self, file: &str, key: &str) -> Option<u64> {
        keyed(&self.payload.join(file), key)
    }

    fn signal_each(&self, signal: Signal) {
        let Ok(text) = fs::read_to_string(self.payload.join("cgroup.procs")) else { return };
        for pid in text.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
            let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
            // The pidfd is held: if the pid is still in the list now, it is this process.
            let still = fs::read_to_string(self.payload.join("cgroup.procs"))
                .is_ok_and(|text| text.lines().any(|line| line == pid.as_raw_nonzero().to_string()));
            if still {
                let _ = pidfd_send_signal(&pidfd, signal);
            }
        }
    }
}

fn keyed(path: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Processes and threads that this kernel can have.
pub(super) fn kernel_has() -> u64 {
    let most = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let both = ["/proc/sys/kernel/pid_max", "/proc/sys/kernel/threads-max"];
    both.into_iter().filter_map(most).min().unwrap_or(0)
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}
