//! What a Run's unit is denied: what neither the shim nor any program needs. The payload is confined further, by the
//! shim; but whatever is set here holds for the payload too, so it is only what no program misses.
//!
//! Not set, and why: `RestrictNamespaces`, `PrivateUsers`, `ProtectProc` (the shim makes namespaces and looks after
//! processes of the host), `ProtectControlGroups` (it has cgroups below its unit), `ProtectClock` and `PrivateDevices`
//! (they bring a device policy of their own; this one is of the Run's devices), `MemoryDenyWriteExecute` (just-in-time compilers),
//! `RestrictSUIDSGID` (unpacking an archive sets such bits), `ProtectHostname` (sandboxes inside a program name
//! themselves), more of `RestrictAddressFamilies` (libraries of accelerators and hashes use what looks exotic),
//! `PrivateTmp` (every Run has a /tmp of its own).

use std::path::Path;

use zbus::Variant;

use crate::domain::handover::RunSpec;
use crate::domain::sandbox::{Access, Network, Part};

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

/// NET_ADMIN: for a loopback interface that is up, in a network that is the Run's own.
const NETWORK: u32 = 12;

/// Groups of systemd.exec(5), all of them known to systemd 247.
const SYSTEM_CALLS: [&str; 7] = ["@clock", "@cpu-emulation", "@module", "@obsolete", "@raw-io", "@reboot", "@swap"];

/// EPERM: what a program gets that tries all the same; it goes on without.
const REFUSED: i32 = 1;

/// Properties of a transient unit; all are known to systemd 247. `state` is written to, and what the Worker's definition
/// lets its tasks write.
pub(super) fn properties(state: &str, spec: &RunSpec) -> Vec<(&'static str, Variant<'static>)> {
    let own_network = (spec.sandbox.network == Network::None).then_some(NETWORK);
    let capabilities = CAPABILITIES.into_iter().chain(own_network).fold(0_u64, |set, number| set | 1 << number);
    let mut properties = vec![
        ("CapabilityBoundingSet", Variant::from(capabilities)),
        ("NoNewPrivileges", Variant::from(true)),
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
    ];
    if !spec.sandbox.relaxed.has(Part::ReadOnlyRoot) {
        properties.push(("ProtectSystem", Variant::from("strict")));
        properties.push(("ReadWritePaths", Variant::from(written(state, spec))));
        properties.push(("ProtectHome", Variant::from("read-only")));
    }
    properties
}

fn written(state: &str, spec: &RunSpec) -> Vec<String> {
    let text = |path: &Path| path.display().to_string();
    let mut paths = vec![state.to_owned()];
    let binds = spec.sandbox.binds.iter().filter(|bind| bind.access == Access::ReadWrite);
    // A place that has gone is the shim's to name: with `-`, systemd starts it.
    paths.extend(binds.map(|bind| format!("-{}", text(&bind.source))));
    if spec.sandbox.relaxed.has(Part::PrivateTmp) {
        paths.extend(["-/tmp", "-/var/tmp"].map(str::to_owned));
    }
    paths
}

/// The devices that the unit's cgroup may open: those that every program has, and the Run's own. No process in it can
/// take that back. systemd adds null, zero, full, random, urandom, tty and ptmx itself, on most versions.
pub(super) fn devices(spec: &RunSpec) -> Vec<(&'static str, Variant<'static>)> {
    let of_all =
        ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/ptmx", "char-pts"];
    let leased = spec.devices.iter().map(|node| node.display().to_string());
    let given = spec.sandbox.devices.iter().map(ToString::to_string);
    let allowed = of_all.map(str::to_owned).into_iter().chain(leased).chain(given);
    let allowed: Vec<(String, String)> = allowed.map(|node| (node, "rw".to_owned())).collect();
    vec![("DevicePolicy", Variant::from("closed")), ("DeviceAllow", Variant::from(allowed))]
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::sandbox::Sandbox;

    /// Of a Run that wants nothing.
    pub(in crate::host::launch) fn spec() -> RunSpec {
        let spec = json!({
            "version": 1, "run": "r", "task": "t",
            "identity": {"uid": 1, "gid": 1, "user": "u", "known_to_host": true},
            "isolation": "namespaces", "cgroup": null, "hidden": [],
            "caches": {"mirrors": "/m", "packages": "/p", "environments": "/e"},
            "tools": [], "stop_grace_ms": 1, "spool_budget": 1,
            "source": {"repository": null, "overlay": {"kind": "none"}},
            "environment": {
                "python": null, "requirements": {"kind": "nothing"}, "installer": {"kind": "pip"},
                "extra_index_urls": [], "extra_arguments": [], "system_site_packages": false, "python_search": []
            },
            "program": {
                "entry": {"kind": "python_file", "file": "x.py"}, "arguments": [], "working_dir": "", "variables": {}
            }
        });
        serde_json::from_value(spec).expect("a spec")
    }

    #[test]
    fn a_unit_may_open_and_write_what_its_run_is_given_and_nothing_else() {
        let spec = RunSpec {
            devices: vec!["/dev/nvidia1".into(), "/dev/nvidiactl".into()],
            sandbox: Sandbox::parse(
                &["/data".to_owned(), "/scratch:/fast:rw".to_owned()],
                &["/dev/infiniband/uverbs0".to_owned()],
                Some("none"),
                &["private-tmp".to_owned()],
            )
            .expect("a sandbox"),
            ..spec()
        };
        let find = |all: &[(&'static str, Variant<'static>)], name: &str| {
            all.iter().find(|(key, _)| *key == name).map(|(_, value)| format!("{value:?}"))
        };
        let given = devices(&spec);
        let allowed = find(&given, "DeviceAllow").expect("a list");
        for node in ["/dev/nvidia1", "/dev/nvidiactl", "/dev/infiniband/uverbs0", "/dev/null", "char-pts"] {
            assert!(allowed.contains(&format!("{node:?}")), "{node}: {allowed}");
        }
        assert!(!allowed.contains("nvidia0") && !allowed.contains("rwm"), "nothing is made there: {allowed}");
        let confined = properties("/var/lib/clearmld", &spec);
        let written = find(&confined, "ReadWritePaths").expect("a list");
        for path in ["/var/lib/clearmld", "-/scratch", "-/tmp", "-/var/tmp"] {
            assert!(written.contains(&format!("{path:?}")), "{path}: {written}");
        }
        assert!(!written.contains("/data"), "{written}");
        let capabilities = |spec: &RunSpec| find(&properties("/s", spec), "CapabilityBoundingSet");
        assert_ne!(capabilities(&spec), capabilities(&self::spec()), "a loopback interface takes a right");
        let open = Sandbox::parse(&[], &[], None, &["read-only-root".to_owned()]).expect("a sandbox");
        let open = properties("/s", &RunSpec { sandbox: open, ..spec });
        assert_eq!(find(&open, "ProtectSystem"), None);
    }
}
