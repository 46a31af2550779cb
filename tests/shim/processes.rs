//! Whoever runs on this machine; for the tests of tests/sandbox, too.

use std::fs;
use std::path::Path;

/// Processes of the host that have `marker` in their arguments.
pub(crate) fn with_argument(marker: &str) -> Vec<u32> {
    fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let line = fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).split('\0').any(|argument| argument == marker)
        })
        .collect()
}
