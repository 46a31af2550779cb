//! What the kernel can do for shims and sandboxes.

use std::fs;
use std::path::Path;

use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::Ground;
use crate::domain::diagnosis::Finding;

const CHECK: &str = "kernel";
/// Major and minor.
const OLDEST: (u32, u32) = (5, 10);
const NAMESPACES: [&str; 4] = ["pid", "mnt", "ipc", "uts"];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    release: String,
    pidfd: Result<(), String>,
    namespaces_missing: Vec<&'static str>,
    seccomp: bool,
    overlay: bool,
}

pub(super) fn look(_: &Ground) -> Vec<Finding> {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let there = |name: &&str| Path::new("/proc/self/ns").join(name).exists();
    let facts = Facts {
        release: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        pidfd: pidfd_open(getpid(), PidfdFlags::empty()).map(drop).map_err(|error| error.to_string()),
        namespaces_missing: NAMESPACES.into_iter().filter(|name| !there(name)).collect(),
        seccomp: text("/proc/self/status").lines().any(|line| line.starts_with("Seccomp:")),
        overlay: text("/proc/filesystems").lines().any(|line| line.ends_with("\toverlay")),
    };
    vec![verdict(&facts)]
}

fn verdict(facts: &Facts) -> Finding {
    const NEWER: &str = "boot a kernel of the distribution (Linux 5.10 or newer)";
    let release = &facts.release;
    if let Err(reason) = &facts.pidfd {
        return Finding::failed(
            CHECK,
            format!("Linux {release}: pidfd_open: {reason}; shims cannot be watched"),
            NEWER,
        );
    }
    if !facts.namespaces_missing.is_empty() {
        let missing = facts.namespaces_missing.join(", ");
        return Finding::failed(CHECK, format!("Linux {release} has no namespaces of kind {missing}"), NEWER);
    }
    if !facts.seccomp {
        return Finding::warning(
            CHECK,
            format!("Linux {release} has no seccomp: system calls are not filtered"),
            NEWER,
        );
    }
    if numbers(release).is_some_and(|found| found < OLDEST) {
        return Finding::warning(CHECK, format!("Linux {release} is older than what clearmld is tested on"), NEWER);
    }
    let overlay = if facts.overlay { "overlay" } else { "overlay when it is first mounted" };
    Finding::ok(CHECK, format!("Linux {release}: pidfd, namespaces, seccomp, {overlay}"))
}

fn numbers(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnosis::Verdict;

    fn whole() -> Facts {
        Facts {
            release: "6.1.0-56-cloud-amd64".into(),
            pidfd: Ok(()),
            namespaces_missing: Vec::new(),
            seccomp: true,
            overlay: false,
        }
    }

    #[test]
    fn an_overlay_that_is_not_loaded_yet_is_no_fault() {
        assert_eq!(verdict(&whole()).verdict, Verdict::Ok);
    }

    #[test]
    fn what_shims_cannot_do_without_is_a_failure_and_age_a_warning() {
        assert_eq!(verdict(&Facts { pidfd: Err("ENOSYS".into()), ..whole() }).verdict, Verdict::Failed);
        assert_eq!(verdict(&Facts { namespaces_missing: vec!["pid"], ..whole() }).verdict, Verdict::Failed);
        assert_eq!(verdict(&Facts { seccomp: false, ..whole() }).verdict, Verdict::Warning);
        assert_eq!(verdict(&Facts { release: "4.18.0-553.el8".into(), ..whole() }).verdict, Verdict::Warning);
        assert_eq!(verdict(&Facts { release: "5.10.0".into(), ..whole() }).verdict, Verdict::Ok);
    }
}
