//! What the tests of this directory are worth: a shim that is told to leave a protection out, and what they say then.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::attempts;
use super::host::{Host, Setting};
use super::hostile::Scene;
use super::leftovers::Left;

/// What `attempts` say when the shim is told to leave a protection out.
fn differences_without(relaxed: Value) -> Vec<String> {
    let setting = Setting { relaxed: Some(relaxed), gpus: true, ..Setting::default() };
    let host = Host::with(&setting);
    // Without a view of its own the payload comes to its files by their paths on the host.
    for directory in [host.state.clone(), host.state.join("runs")] {
        fs::set_permissions(directory, fs::Permissions::from_mode(0o711)).expect("set");
    }
    let scene = Scene::set(host);
    attempts::differences(&scene.tried())
}

fn all_named(differences: &[String], attempts: &[&str]) {
    for attempt in attempts {
        let named = differences.iter().any(|difference| difference.starts_with(&format!("{attempt}: ")));
        assert!(named, "`{attempt}` fails all the same: {differences:#?}");
    }
}

#[test]
fn without_the_filter_of_system_calls_the_table_says_what_succeeds() {
    let differences = differences_without(json!({ "sandbox": { "relaxed": ["seccomp"] } }));
    let succeeds = [
        "make a namespace (user): succeeded",
        "make a user namespace, and a namespace in it (mount): succeeded",
        "start a child in a user namespace: succeeded",
        "start a child by clone3, whose flags no filter can see: succeeded",
        "search its user's keyring: ",
        "open an io_uring: ",
        "handle page faults: succeeded",
        "open the kernel's ciphers: ",
        "make a 32-bit system call: succeeded",
    ];
    for wanted in succeeds {
        assert!(differences.iter().any(|line| line.starts_with(wanted)), "{wanted}: {differences:#?}");
    }
}

#[test]
fn without_covers_and_with_all_devices_the_table_says_what_is_seen() {
    let devices = ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-modeset"];
    let differences = differences_without(json!({ "hidden": [], "devices": devices }));
    all_named(
        &differences,
        &[
            "list the daemon's state directory",
            "read a clearml.conf that everybody may read",
            "connect to the control socket",
            "open a GPU that is not its own",
            "open it through its own root",
            "find a device in /dev that is neither harmless nor lent",
        ],
    );
}

#[test]
fn without_namespaces_the_table_says_what_is_reached() {
    let differences = differences_without(json!({ "isolation": "subreaper" }));
    all_named(
        &differences,
        &[
            "find a process of the daemon or of a shim",
            "find another run's processes",
            "kill a process of the host",
            "attach another run's System V shared memory",
            "open another run's message queue",
            "open a GPU that is not its own",
            "write to a directory of the host that everybody may write to",
            "write to a file of the host that everybody may write to",
            "connect to a socket in /run that everybody may connect to",
        ],
    );
}

#[test]
fn without_the_filter_those_in_namespaces_of_their_own_are_left_as_little() {
    let setting = Setting { relaxed: Some(json!({ "sandbox": { "relaxed": ["seccomp"] } })), ..Setting::default() };
    Left::behind(Host::with(&setting), "exit", true).nobody();
}
