//! Root's code in directories that a payload still moves about in: by descriptors that one run has given another.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::json;

use super::host::Host;
use super::hostile::{calls, with_world};

const RACING: &str = include_str!("racing.py");
const FILES: u32 = 20;

/// Name, content, mode and owner of each file of it.
fn state_of(directory: &Path) -> Vec<(String, String, u32, u32)> {
    let mut all: Vec<_> = fs::read_dir(directory)
        .expect("it is there")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let about = fs::metadata(&path).expect("there");
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("read"), about.mode(), about.uid())
        })
        .collect();
    let about = fs::metadata(directory).expect("there");
    all.push((".".into(), String::new(), about.mode(), about.uid()));
    all.sort();
    all
}

#[test]
fn the_removal_of_a_run_follows_no_link_that_another_run_puts_in_its_way() {
    let mut host = Host::new();
    let precious = host.place.path().join("precious");
    fs::create_dir(&precious).expect("made");
    fs::set_permissions(&precious, fs::Permissions::from_mode(0o711)).expect("set");
    for number in 0..FILES {
        fs::write(precious.join(format!("file{number}")), "precious").expect("written");
    }
    let before = state_of(&precious);
    host.worker("leaver", &["--cpu-only"]);
    host.worker("racer", &["--cpu-only"]);
    let name = format!("{}-race", host.nonce);
    let world = json!({ "calls": calls(), "name": name, "precious": precious, "seconds": 600 });
    let program = with_world(&world, &[RACING]);
    let leaver = host.submit("leaver", &program, &["leave"]);
    host.log_shows(&leaver, "leaver is ready");
    let racer = host.submit("racer", &program, &["race"]);
    host.log_shows(&racer, "swapped 200\n");
    let told = |host: &Host| host.json(&["task", "show", &leaver])["task"]["status"] == "completed";
    host.until("the server is told of the end", |host| told(host).then_some(()));
    let raced = host.run(&racer).expect("a run");
    assert_eq!(raced["phase"], "running", "who races does not hold up the end of the other: {}", host.daemon_log());
    let left = host.run(&leaver).expect("a run");
    let work = host.state.join("runs").join(left["id"].as_str().expect("an id")).join("work");
    host.until("the run's directories are gone", |_| (!work.exists()).then_some(()));
    host.ok(&["run", "stop", &racer]);
    host.settled(&racer);
    host.settled(&leaver);
    assert_eq!(state_of(&precious), before);
}
