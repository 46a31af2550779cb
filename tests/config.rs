//! What our reader of HOCON makes of each input must be what ClearML's pyhocon makes of it.
//! `tests/config/reference.py` writes the expectations.

use std::path::{Path, PathBuf};

use clearmld::config::environment::Environment;
use clearmld::config::hocon;
use serde_json::Value;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config")
}

fn expected(part: &str) -> Value {
    let text = std::fs::read_to_string(directory().join("expected.json")).expect("expected.json is there");
    serde_json::from_str::<Value>(&text).expect("expected.json is JSON")[part].take()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a scratch file of a test")]
fn every_small_case_is_read_or_refused_as_pyhocon_does() {
    let mut differences = Vec::new();
    let scratch = tempfile::tempdir().unwrap();
    std::fs::copy(directory().join("shared.conf"), scratch.path().join("shared.conf")).unwrap();
    for case in expected("cases").as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        let path = scratch.path().join("case.conf");
        std::fs::write(&path, text).unwrap();
        let ours = hocon::read_file(&path, &Environment::default());
        match (case.get("value"), ours) {
            (Some(theirs), Ok(ours)) if ours.root.to_json() == *theirs => {}
            (None, Err(_)) => {}
            (theirs, ours) => {
                let ours = ours.map(|document| document.root.to_json());
                differences.push(format!("{text:?}\n  pyhocon: {theirs:?}\n  ours:    {ours:?}"));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn a_whole_clearml_conf_with_unquoted_urls_is_read_as_pyhocon_does() {
    for (name, theirs) in expected("files").as_object().unwrap() {
        let ours = hocon::read_file(&directory().join(name), &Environment::default()).unwrap();
        assert_eq!(ours.root.to_json(), *theirs, "{name}");
    }
}
