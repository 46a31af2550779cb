//! Who may know whom: reads the `use` lines and paths of every room and holds the direction that ARCHITECTURE.md draws.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms that it may name.
const MAY_USE: [(&str, &[&str]); 14] = [
    ("domain", &["domain"]),
    ("sys", &["sys", "domain"]),
    ("shim", &["shim", "payload", "domain", "sys"]),
    ("payload", &["payload", "domain", "sys"]),
    ("engine", &["engine", "domain", "fakes", "host::clock", "host::store"]),
    ("clearml", &["clearml", "engine::ports", "engine::handle", "domain", "sys"]),
    ("host", &["host", "engine::ports", "domain", "sys"]),
    ("failpoints", &["failpoints", "engine::World", "engine::ports", "domain", "sys"]),
    ("config", &["config", "domain"]),
    ("server", &["server", "domain", "sys"]),
    ("api", &["api", "engine", "domain", "redaction", "rpc"]),
    ("metrics", &["metrics", "engine", "domain"]),
    ("redaction", &["redaction"]),
    ("ctl", &["ctl", "redaction", "rpc", "sys::durable"]),
];

/// Crates that belong to one place.
const CRATES: [(&str, &[&str]); 11] = [
    ("tar", &["src/ctl/bundle"]),
    ("ratatui", &["src/ctl/top"]),
    ("crossterm", &["src/ctl/top"]),
    ("bollard", &["src/host/container"]),
    ("reqwest", &["src/clearml"]),
    ("axum", &["src/server", "src/clearml", "src/metrics"]),
    ("rusqlite", &["src/server"]),
    ("zbus", &["src/host/launch"]),
    ("nvml_wrapper", &["src/host/nvml", "src/sys/mig.rs", "src/sys/nvml.rs"]),
    ("tonic", &["src/api", "src/ctl", "src/rpc.rs"]),
    ("comfy_table", &["src/ctl"]),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of ours") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source");
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn all() -> Vec<PathBuf> {
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

fn relative(path: &Path) -> String {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("below us").display().to_string()
}

#[test]
fn a_room_names_only_the_rooms_below_it() {
    let mut wrong = Vec::new();
    for path in all() {
        let name = relative(&path);
        let rest = name.strip_prefix("src/").unwrap_or(&name);
        let room = rest.split(['/', '.']).next().unwrap_or_default();
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == room) else { continue };
        for (at, _) in code(&path).match_indices("crate::") {
            let text = code(&path);
            let target = &text[at + "crate::".len()..];
            let ok = allowed.iter().any(|allowed| {
                target
                    .strip_prefix(allowed)
                    .is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
            });
            if !ok {
                wrong.push(format!("{name}: crate::{}", target.lines().next().unwrap_or_default()));
            }
        }
    }
    assert!(wrong.is_empty(), "against ARCHITECTURE.md:\n{}", wrong.join("\n"));
}

#[test]
fn a_crate_is_used_only_where_it_belongs() {
    let mut wrong = Vec::new();
    for path in all() {
        let (name, text) = (relative(&path), code(&path));
        for (krate, places) in CRATES {
            let used = text.contains(&format!("{krate}::"));
            if used && !places.iter().any(|place| name.starts_with(place)) {
                wrong.push(format!("{name} uses {krate}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_is_in_its_own_room_and_no_file_grows_past_600_lines() {
    let mut wrong = Vec::new();
    for path in all() {
        let (name, text) = (relative(&path), code(&path));
        let unsafe_word = ["unsafe ", "{"].concat();
        if text.contains(&unsafe_word) && !name.starts_with("src/sys/") {
            wrong.push(format!("{name}: unsafe code"));
        }
        let lines = fs::read_to_string(&path).expect("a source").lines().count();
        if lines > 600 {
            wrong.push(format!("{name}: {lines} lines"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Events that are no news to an operator: they only show how far a Run or a change is.
const STEPS: [&str; 3] = ["run_prepared", "run_stage", "worker_pending"];

#[cfg(feature = "daemon")]
#[test]
fn every_event_of_the_engine_is_a_notice_with_an_entry_in_the_catalog() {
    use clearmld::domain::notice::Notice;
    let mut wrong = Vec::new();
    let mut found = 0;
    for path in all().into_iter().filter(|path| relative(path).starts_with("src/engine/core")) {
        let text = code(&path);
        for word in text.split('"').skip(1).step_by(2) {
            let event = ["worker_", "run_", "host_", "disk_", "server_", "queue_", "gpu_", "internal_"]
                .iter()
                .any(|room| word.starts_with(room))
                && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            if !event {
                continue;
            }
            found += 1;
            // How a Run ended is said by its cause.
            if Notice::named(word).is_none() && !STEPS.contains(&word) && word != "run_exited" {
                wrong.push(format!("{}: {word}", relative(&path)));
            }
        }
    }
    assert!(found > 15, "{found}");
    assert!(wrong.is_empty(), "not in src/domain/notice.rs, or else in STEPS here:\n{}", wrong.join("\n"));
}
