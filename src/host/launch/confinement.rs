//! What a Run's unit is denied: what neither the shim nor any program needs. The payload is confined further, by the
//! shim; but whatever is set here holds for the payload too, so it is only what no program misses.
//!
//! Not set, and why: `RestrictNamespaces`, `PrivateUsers`, `ProtectProc` (the shim makes namespaces and looks after
//! processes of the host), `ProtectControlGroups` (it has cgroups below its unit), `ProtectClock` and `PrivateDevices`
//! (they bring a device policy, which would take the GPUs), `MemoryDenyWriteExecute` (just-in-time compilers),
//! `RestrictSUIDSGID` (unpacking an archive sets such bits), `ProtectHostname` (sandboxes inside a program name
//! themselves), more of `RestrictAddressFamilies` (libraries of accelerators and hashes use what looks exotic),
//! `PrivateTmp` (every Run has a /tmp of its own).

use zbus::Variant;

/// CAP_ numbers of linux/capability.h.
const CAPABILITIES: [u32; 11] = [
    0,  // CHOWN: caches and directories of the Run become the payload's
    1,  // DAC_OVERRIDE: and are looked after
    3,  // FOWNER
    4,  // FSETID: overlayfs copies files with the rights of whoever mounted it
    5,  // KILL: the payload's processes
    6,  // SETGID: the payload's user
    7,  // SETUID
    8,  // SETPCAP: emptying the bounding set
    19, // SYS_PTRACE: /proc of other processes, that of PID 1 for the boot among them
    21, // SYS_ADMIN: namespaces and mounts
    24, // SYS_RESOURCE: a low oom_score_adj, and limits
];

/// Groups of systemd.exec(5), all of them known to systemd 247.
const SYSTEM_CALLS: [&str; 7] = ["@clock", "@cpu-emulation", "@module", "@obsolete", "@raw-io", "@reboot", "@swap"];

/// EPERM: what a program gets that tries all the same; it goes on without.
const REFUSED: i32 = 1;

/// Properties of a transient unit; all are known to systemd 247. `state` is the one place that is written to.
pub(super) fn properties(state: &str) -> Vec<(&'static str, Variant<'_>)> {
    let capabilities = CAPABILITIES.iter().fold(0_u64, |set, number| set | 1 << number);
    vec![
        ("CapabilityBoundingSet", Variant::from(capabilities)),
        ("NoNewPrivileges", Variant::from(true)),
        ("ProtectSystem", Variant::from("strict")),
        ("ReadWritePaths", Variant::from(vec![state])),
        ("ProtectHome", Variant::from("read-only")),
        ("ProtectKernelLogs", Variant::from(true)),
        ("ProtectKernelModules", Variant::from(true)),
        ("ProtectKernelTunables", Variant::from(true)),
        ("PrivateMounts", Variant::from(true)),
        // Raw packets need a right that no payload has, but in a user namespace of its own making.
        ("RestrictAddressFamilies", Variant::from((false, vec!["AF_PACKET"]))),
        ("RestrictRealtime", Variant::from(true)),
        ("LockPersonality", Variant::from(true)),
        ("KeyringMode", Variant::from("private")),
        ("SystemCallArchitectures", Variant::from(vec!["native"])),
        ("SystemCallFilter", Variant::from((false, SYSTEM_CALLS.to_vec()))),
        ("SystemCallErrorNumber", Variant::from(REFUSED)),
        ("CPUAccounting", Variant::from(true)),
        ("MemoryAccounting", Variant::from(true)),
        ("TasksAccounting", Variant::from(true)),
        ("IOAccounting", Variant::from(true)),
    ]
}
