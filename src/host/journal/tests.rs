use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::domain::journal::entry::decode;

struct Journald {
    socket: UnixDatagram,
    directory: tempfile::TempDir,
}

impl Journald {
    fn open() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let socket = UnixDatagram::bind(directory.path().join("socket")).expect("bound");
        socket.set_nonblocking(true).expect("set");
        Self { socket, directory }
    }

    fn layer(&self) -> Journal {
        Journal::at(&self.directory.path().join("socket")).expect("somebody listens")
    }

    fn read(&self) -> Option<BTreeMap<String, String>> {
        let mut buffer = [0; 4096];
        let count = self.socket.recv(&mut buffer).ok()?;
        let fields = decode(&buffer[..count]).expect("well-formed");
        Some(fields.into_iter().map(|(name, value)| (name, String::from_utf8(value).expect("UTF-8"))).collect())
    }
}

fn has(entry: &BTreeMap<String, String>, wanted: &[(&str, &str)]) {
    for (name, value) in wanted {
        assert_eq!(entry.get(*name).map(String::as_str), Some(*value), "{name} in {entry:?}");
    }
}

#[test]
fn a_notice_has_its_id_its_priority_and_its_fields_and_an_empty_field_is_none() {
    let journald = Journald::open();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(journald.layer()), || {
        tracing::info!(
            MESSAGE_ID = Notice::DiskFull.id(),
            CLEARML_TASK_ID = "t1",
            CLEARML_CAUSE = "",
            "run_exited: gone\nPRIORITY=0"
        );
    });
    let entry = journald.read().expect("an entry");
    has(&entry, &[("MESSAGE_ID", Notice::DiskFull.id()), ("PRIORITY", "3"), ("CLEARML_TASK_ID", "t1")]);
    has(&entry, &[("SYSLOG_IDENTIFIER", "clearmld"), ("MESSAGE", "run_exited: gone\nPRIORITY=0")]);
    assert!(!entry.contains_key("CLEARML_CAUSE"));
}

#[test]
fn why_something_failed_is_in_the_message_and_in_a_field() {
    let journald = Journald::open();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(journald.layer()), || {
        tracing::warn!(error = %io::Error::other("no room"), "an old run cannot be removed");
    });
    let entry = journald.read().expect("an entry");
    has(&entry, &[("MESSAGE", "an old run cannot be removed: no room"), ("PRIORITY", "4")]);
    has(&entry, &[("CLEARML_ERROR", "no room")]);
}

#[test]
fn audit_records_are_told_apart_and_no_filter_leaves_them_out() {
    let journald = Journald::open();
    let filter = EnvFilter::new("error").add_directive("audit=info".parse().expect("a directive"));
    let log = tracing_subscriber::registry().with(journald.layer().with_filter(filter));
    tracing::subscriber::with_default(log, || {
        tracing::info!("not this");
        tracing::info!(target: "audit", MESSAGE_ID = Notice::Audit.id(), uid = 7, rpc = "Host.Drain", "Host.Drain: ok");
    });
    let entry = journald.read().expect("an entry");
    has(&entry, &[("SYSLOG_IDENTIFIER", "clearmld-audit"), ("CLEARML_AUDIT_UID", "7"), ("PRIORITY", "5")]);
    has(&entry, &[("CLEARML_AUDIT_RPC", "Host.Drain")]);
    assert_eq!(journald.read(), None);
}

#[test]
fn a_journald_that_does_not_read_delays_nobody_and_gets_what_was_kept_with_the_rest_counted() {
    let journald = Journald::open();
    let began = Instant::now();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(journald.layer()), || {
        for number in 0..20_000 {
            tracing::warn!("{number}");
        }
    });
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let mut entries = Vec::new();
    let end = Instant::now() + Duration::from_secs(20);
    // Nobody logs any more: what was kept comes by itself.
    while entries.len() < 2000 && Instant::now() < end {
        entries.extend(std::iter::from_fn(|| journald.read()));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(entries.len() >= 2000, "{}", entries.len());
    let numbers: Vec<u32> = entries.iter().filter_map(|entry| entry["MESSAGE"].parse().ok()).collect();
    assert!(numbers.iter().copied().eq(0..u32::try_from(numbers.len()).expect("few")), "in order and without a gap");
}

#[test]
fn entries_that_found_no_room_are_counted_in_one_that_does() {
    let journald = Journald::open();
    let mut entries = Vec::new();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(journald.layer()), || {
        for _ in 0..20_000 {
            tracing::warn!("x");
        }
        let end = Instant::now() + Duration::from_secs(20);
        while !entries.iter().any(|entry: &BTreeMap<_, _>| entry["MESSAGE"] == "again") && Instant::now() < end {
            entries.extend(std::iter::from_fn(|| journald.read()));
            tracing::warn!("again");
        }
    });
    let taken = entries.iter().filter(|entry| entry["MESSAGE"] == "x").count();
    let told: Vec<_> = entries.iter().filter(|entry| entry.contains_key("CLEARML_ENTRIES")).collect();
    has(told[0], &[("MESSAGE_ID", Notice::EntriesLost.id()), ("PRIORITY", "4")]);
    let lost: usize = told.iter().map(|entry| entry["CLEARML_ENTRIES"].parse::<usize>().expect("a number")).sum();
    assert!(lost >= 20_000 - taken && taken > 0 && lost > 0, "{lost} and {taken}");
}
