use std::collections::BTreeMap;

use super::*;

const CATALOG: &str = include_str!("../../../systemd/clearmld.catalog");
/// Fields that an entry of ours, or journald, can have; see docs/journal.md.
const FIELDS: [&str; 17] = [
    "MESSAGE",
    "CLEARML_TASK_ID",
    "CLEARML_RUN_ID",
    "CLEARML_WORKER",
    "CLEARML_QUEUE",
    "CLEARML_CAUSE",
    "CLEARML_STAGE",
    "CLEARML_LINES",
    "CLEARML_BYTES",
    "CLEARML_ENTRIES",
    "CLEARML_AUDIT_UID",
    "CLEARML_AUDIT_PID",
    "CLEARML_AUDIT_EXE",
    "CLEARML_AUDIT_RPC",
    "CLEARML_AUDIT_WHAT",
    "CLEARML_AUDIT_RESULT",
    "CLEARML_AUDIT_UNRECORDED",
];

struct Entry<'a> {
    header: BTreeMap<&'a str, &'a str>,
    text: &'a str,
}

fn entries() -> BTreeMap<&'static str, Entry<'static>> {
    let (_, entries) = CATALOG.split_once("\n-- ").expect("a first entry");
    let mut found = BTreeMap::new();
    for entry in entries.split("\n-- ") {
        let (id, rest) = entry.split_once('\n').expect("an id on its own line");
        let (header, text) = rest.split_once("\n\n").expect("a blank line ends the header");
        let header = header.lines().map(|line| line.split_once(": ").expect("`Name: value`")).collect();
        assert!(found.insert(id, Entry { header, text: text.trim() }).is_none(), "{id} is there twice");
    }
    found
}

#[test]
fn ids_and_words_are_unique_and_well_formed() {
    for (at, notice) in Notice::ALL.iter().enumerate() {
        let id = notice.id();
        assert!(id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{notice:?}: {id}");
        for other in &Notice::ALL[at + 1..] {
            assert!(other.id() != id && other.word() != notice.word(), "{notice:?} and {other:?}");
        }
        assert_eq!((Notice::named(notice.word()), Notice::with_id(id)), (Some(*notice), Some(*notice)));
    }
}

#[test]
fn the_catalog_explains_each_notice_and_nothing_else() {
    let entries = entries();
    for notice in Notice::ALL {
        let entry = entries.get(notice.id()).unwrap_or_else(|| panic!("{notice:?} is not in the catalog"));
        let header = |name: &str| entry.header.get(name).copied();
        assert_eq!(header("Subject"), Some(notice.subject()), "{notice:?}");
        assert_eq!(header("Defined-By"), Some("clearmld"), "{notice:?}");
        assert_eq!(header("Documentation"), Some("man:clearmld(8)"), "{notice:?}");
        assert!(header("Support").is_some_and(|at| !at.is_empty()), "{notice:?}");
        assert!(entry.text.len() > 80, "{notice:?}: {}", entry.text);
    }
    assert_eq!(entries.len(), Notice::ALL.len(), "the catalog has an entry that nothing is");
}

#[test]
fn the_catalog_names_only_fields_that_there_are() {
    for (id, entry) in entries() {
        for field in entry.text.split('@').skip(1).step_by(2) {
            assert!(FIELDS.contains(&field), "{id}: @{field}@");
        }
        assert_eq!(entry.text.matches('@').count() % 2, 0, "{id}: an @ too many");
    }
}

#[test]
fn the_page_of_fields_names_them_all_and_every_notice() {
    let page = include_str!("../../../docs/journal.md");
    for field in FIELDS {
        assert!(page.contains(&format!("`{field}`")), "{field}");
    }
    for notice in Notice::ALL {
        let row = format!("| `{}` | `{}` | {} |", notice.word(), notice.id(), notice.priority() as u8);
        assert!(page.contains(&row), "docs/journal.md lacks the row\n{row} {} |", notice.subject());
    }
}

#[test]
fn a_stop_by_the_host_is_told_from_one_by_a_person_and_success_from_failure() {
    let stopped = |reason| Notice::of_end(&Cause::Stopped { reason });
    assert_eq!(stopped(StopReason::HostShutdown), Notice::RunHostShutdown);
    assert_eq!(stopped(StopReason::UserAbort), Notice::RunStopped);
    let exited = |code| Notice::of_end(&Cause::ExitCode { code, last_line: None });
    assert_eq!((exited(0), exited(1)), (Notice::RunCompleted, Notice::RunFailed));
    assert!(Notice::of_end(&Cause::Lost { reason: String::new() }).priority() < Priority::Notice);
}
