//! The disk of the state directory.

use std::path::Path;

use super::Ground;
use crate::domain::diagnosis::Finding;

const CHECK: &str = "disk";
/// With less the daemon takes no tasks (see the engine).
const NONE: u64 = 32 << 20;
/// Code and environment of one larger task.
const SHORT: u64 = 4 << 30;
const FEW_INODES: u64 = 10_000;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    path: String,
    kind: i64,
    read_only: bool,
    bytes_free: u64,
    bytes: u64,
    inodes_free: u64,
    /// 0 where the file system makes them as it needs them.
    inodes: u64,
}

pub(super) fn look(ground: &Ground) -> Vec<Finding> {
    vec![match facts(&ground.state_dir) {
        Ok(facts) => verdict(&facts),
        Err(error) => {
            let path = ground.state_dir.display();
            Finding::failed(CHECK, format!("{path} cannot be looked at: {error}"), format!("`ls -ld {path}`"))
        }
    }]
}

fn facts(path: &Path) -> rustix::io::Result<Facts> {
    let space = rustix::fs::statvfs(path)?;
    Ok(Facts {
        path: path.display().to_string(),
        kind: rustix::fs::statfs(path)?.f_type,
        read_only: space.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY),
        bytes_free: space.f_bavail.saturating_mul(space.f_frsize),
        bytes: space.f_blocks.saturating_mul(space.f_frsize),
        inodes_free: space.f_favail,
        inodes: space.f_files,
    })
}

/// What a file system is called, and why state should not be on it.
fn unfit(kind: i64) -> Option<(&'static str, &'static str)> {
    match kind & 0xffff_ffff {
        0x0102_1994 => Some(("tmpfs", "workers, runs and caches are gone after a reboot, and fill memory")),
        0x8584_58f6 => Some(("ramfs", "workers, runs and caches are gone after a reboot, and fill memory")),
        0x794c_7630 => Some(("overlay", "it is a container's own layer: gone with the container, and slow")),
        0x6969 => Some(("nfs", "root may have no rights there, and files cannot be given to the payload's user")),
        0xff53_4d42 | 0xfe53_4d42 => Some(("cifs", "files cannot be given to the payload's user")),
        0x6573_5546 => Some(("fuse", "it may not keep owners, modes and locks")),
        0x4d44 => Some(("vfat", "it keeps neither owners nor modes")),
        _ => None,
    }
}

fn verdict(facts: &Facts) -> Finding {
    let Facts { path, bytes_free, bytes, inodes_free, inodes, .. } = facts;
    let room = format!("{} MiB of {} MiB free on the disk of {path}", bytes_free >> 20, bytes >> 20);
    let look = format!("free space there (`du -xh -d2 {path} | sort -h | tail`), or move the state directory");
    if facts.read_only {
        return Finding::failed(
            CHECK,
            format!("the disk of {path} is read-only"),
            "`dmesg | tail`, then remount it rw",
        );
    }
    if *bytes_free < NONE {
        return Finding::failed(CHECK, format!("{room}: no task is taken"), look);
    }
    if *inodes > 0 && *inodes_free < FEW_INODES {
        let detail = format!("only {inodes_free} of {inodes} inodes are free on the disk of {path}");
        let make = if *inodes_free < 100 { Finding::failed } else { Finding::warning };
        return make(CHECK, detail, look);
    }
    if let Some((name, why)) = unfit(facts.kind) {
        let fix = "put the state directory on a local disk with ext4, xfs or btrfs (--state-dir, or a mount)";
        return Finding::warning(CHECK, format!("{path} is on {name}: {why}"), fix);
    }
    if *bytes_free < SHORT {
        return Finding::warning(CHECK, format!("{room}: environments are often larger"), look);
    }
    Finding::ok(CHECK, format!("{room}, {inodes_free} inodes free"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnosis::Verdict;

    fn roomy() -> Facts {
        let (bytes, inodes) = (100 << 30, 1 << 20);
        let path = "/var/lib/clearmld".into();
        Facts { path, kind: 0xef53, read_only: false, bytes_free: 50 << 30, bytes, inodes_free: inodes, inodes }
    }

    #[test]
    fn room_decides_first_in_bytes_then_in_inodes() {
        assert_eq!(verdict(&roomy()).verdict, Verdict::Ok);
        assert_eq!(verdict(&Facts { bytes_free: 1 << 20, ..roomy() }).verdict, Verdict::Failed);
        assert_eq!(verdict(&Facts { bytes_free: 1 << 30, ..roomy() }).verdict, Verdict::Warning);
        assert_eq!(verdict(&Facts { inodes_free: 5000, ..roomy() }).verdict, Verdict::Warning);
        assert_eq!(verdict(&Facts { inodes_free: 5, ..roomy() }).verdict, Verdict::Failed);
        assert_eq!(verdict(&Facts { inodes_free: 0, inodes: 0, ..roomy() }).verdict, Verdict::Ok, "as on btrfs");
        assert_eq!(verdict(&Facts { read_only: true, ..roomy() }).verdict, Verdict::Failed);
    }

    #[test]
    fn a_file_system_that_loses_or_confuses_state_is_named() {
        for (kind, name) in [(0x0102_1994, "tmpfs"), (0x6969, "nfs"), (0x794c_7630, "overlay"), (0x4d44, "vfat")] {
            let finding = verdict(&Facts { kind, ..roomy() });
            assert_eq!(finding.verdict, Verdict::Warning);
            assert!(finding.detail.contains(name), "{finding:?}");
        }
    }
}
