//! A Run's output in the journal: a datagram socket of the test's own in the place of journald.

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clearmld::domain::handover::{End, GitCredential, JournalSpec, Secrets, VERSION, file};
use clearmld::domain::ids::WorkerName;
use clearmld::domain::journal::entry::decode;
use clearmld::domain::notice::Notice;
use clearmld::sys::durable;

use super::stand::{Run, Script, Stand, until};

type Entry = BTreeMap<String, String>;

struct Journald {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Journald {
    fn open(stand: &Stand) -> Self {
        let path = stand.state.path().join("journal.socket");
        let socket = UnixDatagram::bind(&path).expect("bound");
        socket.set_nonblocking(true).expect("set");
        Self { path, socket }
    }

    /// What has come so far.
    fn read(&self, entries: &mut Vec<Entry>) {
        let mut buffer = vec![0; 1 << 18];
        while let Ok(count) = self.socket.recv(&mut buffer) {
            let fields = decode(&buffer[..count]).expect("well-formed");
            let count = fields.len();
            let entry: Entry = fields
                .into_iter()
                .map(|(name, value)| (name, String::from_utf8(value).expect("every value is UTF-8")))
                .collect();
            assert_eq!(entry.len(), count, "a field twice: {entry:?}");
            entries.push(entry);
        }
    }
}

fn with_journal(mut run: Run, journald: &Journald) -> Run {
    run.spec.journal = Some(JournalSpec {
        socket: journald.path.clone(),
        worker: WorkerName::new("host:gpu0").expect("a name"),
        queue: "default".into(),
        lines_per_second: 20,
        budget: 16 << 20,
    });
    run
}

/// Carries a Run out while its journal is read, as journald does.
fn carry_out(run: &Run, journald: &Journald) -> (End, Vec<Entry>) {
    let mut shim = run.start();
    let mut entries = Vec::new();
    until("the shim's end", || {
        journald.read(&mut entries);
        shim.process.try_wait().expect("asked").is_some()
    });
    journald.read(&mut entries);
    (shim.record().end, entries)
}

fn messages(entries: &[Entry]) -> Vec<&str> {
    entries.iter().map(|entry| entry["MESSAGE"].as_str()).collect()
}

#[test]
fn each_line_is_an_entry_with_the_fields_of_its_run_and_stage() {
    let stand = Stand::new();
    let journald = Journald::open(&stand);
    let script =
        Script { source: "echo fetching", program: "echo one; echo; printf 'two'; exit 3", ..Script::default() };
    let run = with_journal(stand.run("r1", &script), &journald);
    let (end, entries) = carry_out(&run, &journald);
    assert_eq!((end, messages(&entries)), (End::Exited { code: 3 }, vec!["fetching", "one", "two"]));
    let wanted = [
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "clearml-task"),
        ("CLEARML_TASK_ID", "t1"),
        ("CLEARML_RUN_ID", "r1"),
        ("CLEARML_WORKER", "host:gpu0"),
        ("CLEARML_QUEUE", "default"),
        ("OBJECT_SYSTEMD_UNIT", "clearml-run-r1.service"),
    ];
    for entry in &entries {
        for (name, value) in wanted {
            assert_eq!(entry.get(name).map(String::as_str), Some(value), "{name} in {entry:?}");
        }
    }
    let stages: Vec<&str> = entries.iter().map(|entry| entry["CLEARML_STAGE"].as_str()).collect();
    assert_eq!(stages, ["source", "program", "program"]);
}

#[test]
fn hostile_output_is_only_ever_the_message_of_an_entry() {
    let stand = Stand::new();
    let journald = Journald::open(&stand);
    let program = r"printf 'x\nPRIORITY=0\nMESSAGE\n\377\0\0\0\0\0\0\0CLEARML_TASK_ID=forged\n\033[31mred\033[0m\n10%%\r20%%\r30%%\n'";
    let run = with_journal(stand.program(program), &journald);
    let (_, entries) = carry_out(&run, &journald);
    assert!(entries.iter().all(|entry| entry["CLEARML_TASK_ID"] == "t1" && entry["PRIORITY"] == "6"), "{entries:?}");
    let said = messages(&entries);
    assert_eq!((said[0], said[1], said[2]), ("x", "PRIORITY=0", "MESSAGE"));
    assert!(said[3].ends_with("CLEARML_TASK_ID=forged") && said[3].starts_with('\u{fffd}'), "{said:?}");
    assert_eq!(said[4..], ["red", "30%"]);
}

#[test]
fn a_flood_leaves_one_line_that_says_how_much_was_left_out() {
    let stand = Stand::new();
    let journald = Journald::open(&stand);
    let run = with_journal(stand.program("seq 1 200000; echo the end"), &journald);
    let began = Instant::now();
    let (end, entries) = carry_out(&run, &journald);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(end, End::Exited { code: 0 });
    let (told, lines): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(|entry| entry.contains_key("MESSAGE_ID"));
    assert_eq!((told.len(), lines.len()), (1, 1000));
    assert_eq!(lines.last().map(|entry| entry["MESSAGE"].as_str()), Some("1000"));
    assert_eq!(told[0]["MESSAGE_ID"], Notice::OutputLeftOut.id());
    // 199,000 numbers and the last line.
    assert_eq!(told[0]["CLEARML_LINES"], "199001");
    assert!(told[0]["MESSAGE"].contains("clearmlctl run logs r1"), "{:?}", told[0]);
    let spool = std::fs::read_to_string(run.directory.join(file::SPOOL)).expect("read");
    assert!(spool.ends_with("200000\nthe end\n"));
}

#[test]
fn an_unfinished_line_comes_after_a_while() {
    let stand = Stand::new();
    let journald = Journald::open(&stand);
    let mut run = with_journal(stand.program("printf loading; sleep 98791"), &journald);
    run.spec.stop_grace_ms = 0;
    let mut shim = run.start();
    let mut entries = Vec::new();
    until("the unfinished line", || {
        journald.read(&mut entries);
        messages(&entries) == ["loading"]
    });
    shim.stop(0);
    shim.record();
}

#[test]
fn a_journald_that_does_not_read_stops_no_program_and_nothing_is_missing_in_the_spool() {
    let stand = Stand::new();
    let journald = Journald::open(&stand);
    let mut run = with_journal(stand.program("seq 1 50000; exit 5"), &journald);
    // More than the socket and the backlog hold.
    let spec = run.spec.journal.as_mut().expect("set");
    spec.lines_per_second = 10_000;
    let began = Instant::now();
    let (record, output) = run.carry_out();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!((record.end, record.dropped), (End::Exited { code: 5 }, 0));
    assert!(output.lines().map(str::parse).eq((1..=50_000).map(Ok::<u32, _>)));
    let mut entries = Vec::new();
    journald.read(&mut entries);
    assert!(!entries.is_empty() && entries.len() < 50_000, "{}", entries.len());
}

#[test]
fn without_a_journald_everything_else_is_as_ever() {
    let stand = Stand::new();
    let journald = Journald::open(&stand);
    std::fs::remove_file(&journald.path).expect("removed");
    let run = with_journal(stand.program("seq 1 50000; exit 5"), &journald);
    let (record, output) = run.carry_out();
    assert_eq!((record.end, output.lines().count()), (End::Exited { code: 5 }, 50_000));
}

#[test]
fn the_token_and_passwords_do_not_reach_the_journal() {
    let stand = Stand::new();
    let journald = Journald::open(&stand);
    let program = "echo token=$CLEARML_AUTH_TOKEN; echo the password is git-passwort, index-passwort";
    let run = with_journal(stand.program(&format!("CLEARML_AUTH_TOKEN=geheimes-token\n{program}")), &journald);
    run.write_orders();
    let secrets = Secrets {
        version: VERSION,
        variables: [("CLEARML_AUTH_TOKEN".to_owned(), "geheimes-token".to_owned().into())].into(),
        git: vec![GitCredential { host: None, user: "u".into(), password: "git-passwort".to_owned().into() }],
        index_urls: vec!["https://u:index-passwort@host/simple".to_owned().into()],
        sdk_config: None,
    };
    durable::write_json(&run.directory.join(file::SECRETS), &secrets).expect("written");
    let mut shim = run.start_again();
    shim.record();
    let mut entries = Vec::new();
    journald.read(&mut entries);
    assert_eq!(messages(&entries), ["token=****", "the password is ****, ****"]);
}
