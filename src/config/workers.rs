//! Declared workers: each `*.toml` of the directory workers.d is one worker. The keys are the options of
//! `clearmlctl worker add`; packaging/workers.d/example.toml.disabled has them all. Everything that is wrong with a file is told at
//! once, and is no other file's business.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::de::{DeTable, DeValue};

use super::hocon;
use crate::domain::declared::DeclaredFile;
use crate::domain::gpu::GpuClaim;
use crate::domain::hours::Timetable;
use crate::domain::lending::{InvalidLending, Lending, Share};
use crate::domain::limits::Limits;
use crate::domain::worker::WorkerDraft;

/// More files are a mistake: a directory that is not meant.
const MOST_FILES: usize = 1024;
/// Most queues of one worker, and the longest name of one, as at the control socket.
const MOST_QUEUES: usize = 64;
const LONGEST_NAME: usize = 256;

/// Reads all files, in the order of their names. A directory that is not there has none.
///
/// # Errors
/// When the directory cannot be read: then nobody knows what is declared.
pub fn read(directory: &Path) -> Result<Vec<DeclaredFile>, String> {
    let failed = |error: io::Error| {
        format!("{}: the declared workers cannot be read: {error}; they stay as they are", directory.display())
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    if paths.len() > MOST_FILES {
        return Err(failed(io::Error::other(format!("there are more than {MOST_FILES} files"))));
    }
    paths.sort();
    Ok(paths.iter().map(|path| one(path)).collect())
}

fn one(path: &Path) -> DeclaredFile {
    let said = match hocon::read_limited(path) {
        Ok(text) => parse(&text),
        Err(problem) => Err(vec![problem]),
    };
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    DeclaredFile { path: path.display().to_string(), stem, said }
}

/// What a file says.
///
/// # Errors
/// Everything that is wrong with it: line, key, reason, next step.
pub fn parse(text: &str) -> Result<WorkerDraft, Vec<String>> {
    let (table, broken) = DeTable::parse_recoverable(text);
    let mut keys = Keys { text, table: table.get_ref(), asked: Vec::new(), errors: Vec::new() };
    for error in &broken {
        let problem = format!("{}; correct the TOML", error.message().lines().next().unwrap_or_default());
        keys.errors.push(format!("line {}: {problem}", keys.line(error.span().map_or(0, |span| span.start))));
    }
    let cpu_only = keys.flag("cpu_only");
    let gpus: Option<GpuClaim> = keys.parsed("gpus");
    if cpu_only && gpus.is_some() {
        keys.wrong("cpu_only", "it contradicts `gpus`; keep one of them");
    }
    let (share, dynamic) = (keys.parsed::<Share>("share"), keys.flag("dynamic_gpus"));
    let mut queues = keys.names("queues");
    let lending = Lending::of(share, dynamic, &mut queues).unwrap_or_else(|error| {
        keys.wrong(if matches!(error, InvalidLending::Both) { "share" } else { "queues" }, error);
        Lending::Whole
    });
    let timetable = keys.timetable();
    let draft = WorkerDraft {
        name: keys.parsed("name"),
        queues,
        lending,
        gpus: if cpu_only { Some(GpuClaim::None) } else { gpus },
        user: keys.parsed::<Line>("user").map(|line| line.0),
        limits: Limits {
            memory: keys.parsed("memory"),
            cpus: keys.parsed("cpus"),
            pids: keys.parsed("pids"),
            time: keys.parsed("time_limit"),
            disk: keys.parsed("disk"),
        },
        timetable,
        order_fairness: keys.flag("order_fairness"),
        create_queue: keys.flag("create_queue"),
        requeue_on_host_loss: keys.flag("requeue_on_host_loss"),
    };
    keys.unknown();
    if keys.errors.is_empty() { Ok(draft) } else { Err(keys.errors) }
}

/// The keys of a file, taken one by one.
struct Keys<'a> {
    text: &'a str,
    table: &'a DeTable<'a>,
    asked: Vec<&'static str>,
    errors: Vec<String>,
}

impl Keys<'_> {
    fn line(&self, offset: usize) -> usize {
        self.text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
    }

    fn wrong(&mut self, key: &str, problem: impl fmt::Display) {
        let at = self.table.iter().find(|(name, _)| name.get_ref() == key).map_or(0, |(name, _)| name.span().start);
        self.errors.push(format!("line {}: {key}: {problem}", self.line(at)));
    }

    fn value(&mut self, key: &'static str) -> Option<&DeValue<'_>> {
        self.asked.push(key);
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value.get_ref())
    }

    /// A plain value whose type checks itself: a text, or a number as it is written.
    fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, key: &'static str) -> Option<T> {
        let value = self.value(key)?;
        let found = match plain(value) {
            Some(text) => text.parse().map_err(|error: T::Err| error.to_string()),
            None => Err(format!("it is {}; write one text or number", kind(value))),
        };
        found.map_err(|problem| self.wrong(key, problem)).ok()
    }

    fn flag(&mut self, key: &'static str) -> bool {
        match self.value(key) {
            None => false,
            Some(DeValue::Boolean(value)) => *value,
            Some(other) => {
                let problem = format!("it is {}; write true or false", kind(other));
                self.wrong(key, problem);
                false
            }
        }
    }

    /// A list of names, each once; one name stands for a list of it.
    fn names(&mut self, key: &'static str) -> Vec<String> {
        let items: Vec<Result<Line, String>> = match self.value(key) {
            None => return Vec::new(),
            Some(DeValue::Array(items)) => items.iter().map(|item| name(item.get_ref())).collect(),
            Some(one) => vec![name(one)],
        };
        let mut names: Vec<String> = Vec::new();
        for item in items {
            match item {
                Ok(Line(name)) if names.contains(&name) => {
                    self.wrong(key, format!("`{name}` is named twice; once will do"))
                }
                Ok(Line(name)) => names.push(name),
                Err(problem) => self.wrong(key, problem),
            }
        }
        if names.len() > MOST_QUEUES {
            self.wrong(key, format!("there are more than {MOST_QUEUES}; make more workers"));
        }
        names
    }

    fn timetable(&mut self) -> Timetable {
        let (uptime, downtime) = (self.names("uptime"), self.names("downtime"));
        Timetable::of(&uptime, &downtime).unwrap_or_else(|(key, error)| {
            self.wrong(key, error);
            Timetable::Always
        })
    }

    fn unknown(&mut self) {
        let unknown: Vec<String> = self.table.keys().map(|key| key.get_ref().to_string()).collect();
        let mut known = self.asked.clone();
        known.sort_unstable();
        for key in unknown.iter().filter(|key| !known.iter().any(|asked| asked == key)) {
            self.wrong(key, format!("there is no such key; known are {}", known.join(", ")));
        }
    }
}

fn name(value: &DeValue<'_>) -> Result<Line, String> {
    match value {
        DeValue::String(text) => text.parse(),
        other => Err(format!("there is {} in it; write names in quotes", kind(other))),
    }
}

fn plain(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A name of one line: not empty, not endless, nothing that a terminal would obey.
struct Line(String);

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "" => Err("it is empty; write a name, or remove the key".to_owned()),
            text if text.len() > LONGEST_NAME => Err(format!("it is longer than {LONGEST_NAME} bytes; shorten it")),
            text if text.chars().any(char::is_control) => Err("it holds control characters; remove them".to_owned()),
            text => Ok(Self(text.to_owned())),
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests write what an operator would")]
mod tests {
    use super::*;
    use crate::domain::ids::WorkerName;

    /// Keys of the example that contradict others of it.
    const EITHER: [&str; 3] = ["cpu_only", "dynamic_gpus", "downtime"];

    #[test]
    fn every_key_of_the_example_is_read() {
        let example = include_str!("../../packaging/workers.d/example.toml.disabled");
        assert_eq!(parse(example), Ok(WorkerDraft { queues: vec!["default".into()], ..WorkerDraft::default() }));
        // A key that is shown commented out has its usual value there, or one that is well-formed.
        let lines = example.lines().filter_map(|line| line.strip_prefix("#").filter(|line| !line.starts_with(' ')));
        let all: Vec<&str> = lines.filter(|line| !EITHER.iter().any(|key| line.starts_with(key))).collect();
        let draft = parse(&all.join("\n")).unwrap_or_else(|errors| panic!("{errors:#?}\n{all:#?}"));
        let keys: Vec<&str> = all.iter().filter_map(|line| line.split(" =").next()).collect();
        assert!(draft.requeue_on_host_loss && draft.name == WorkerName::new("host:gpu0").ok(), "{draft:?}");
        for key in parse("zzz = 1").expect_err("unknown")[0].split("known are ").nth(1).expect("a list").split(", ") {
            let shown = keys.contains(&key) || ["queues"].contains(&key) || EITHER.contains(&key);
            assert!(shown, "the example does not show {key}");
        }
    }

    #[test]
    fn a_fifo_is_refused_and_not_waited_for() {
        let directory = tempfile::tempdir().expect("a directory");
        nix::unistd::mkfifo(&directory.path().join("x.toml"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        let read = read(directory.path()).expect("read");
        assert!(read[0].said.as_ref().expect_err("refused")[0].contains("no regular file"), "{read:?}");
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_with_line_and_key() {
        let text = "name = 'a/b'\nqueues = ['x', 'x', 3]\ngpus = 'many'\n\ncpu_only = true\nuser = ' '\norder_fairness = 'yes'\ncolour = 1\nuptime = ['9-17 MON-FRI', '25 SUN']\n";
        let errors = parse(text).expect_err("wrong");
        let starts = |start: &str| errors.iter().any(|error| error.starts_with(start));
        for start in [
            "line 1: name: `a/b` is not a valid worker name",
            "line 2: queues: `x` is named twice",
            "line 2: queues: there is a number in it",
            "line 3: gpus: `many` names no GPU",
            "line 6: user: it is empty",
            "line 7: order_fairness: it is a text; write true or false",
            "line 9: uptime: `25 SUN`: `25` is no hour from 0 to 24; write hours and days",
            "line 8: colour: there is no such key; known are ",
        ] {
            assert!(starts(start), "no {start}: {errors:#?}");
        }
        let errors = parse("gpus = '0'\ncpu_only = true\n").expect_err("wrong");
        assert_eq!(errors, ["line 2: cpu_only: it contradicts `gpus`; keep one of them"]);
        let errors = parse("uptime = '9 MON'\ndowntime = '9 TUE'\n").expect_err("wrong");
        assert!(errors.len() == 1 && errors[0].starts_with("line 2: downtime: it contradicts `uptime`"), "{errors:?}");
        assert!(parse("name = \n").expect_err("wrong")[0].starts_with("line 1: "));
    }

    #[test]
    fn numbers_and_single_names_are_taken_as_they_are_meant() {
        let draft = parse("gpus = 0\nqueues = 'gpu'\n").expect("read");
        assert_eq!(draft.gpus.map(|gpus| gpus.to_string()), Some("0".into()));
        assert_eq!(draft.queues, ["gpu"]);
        let draft = parse("downtime = '8-18 MON-FRI'\n").expect("read");
        assert_eq!(draft.timetable.downtime(), ["8-18 MON-FRI"]);
        assert_eq!(parse("").map(|draft| draft == WorkerDraft::default()), Ok(true));
    }

    #[test]
    fn a_worker_with_dynamic_gpus_says_so_for_each_queue() {
        let draft = parse("dynamic_gpus = true\ngpus = '0-3'\nqueues = ['dual=2', 'any=1-4']\n").expect("read");
        assert_eq!(draft.queues, ["dual", "any"]);
        assert_eq!(draft.lending.portions().map(<[_]>::len), Some(2));
        let errors = parse("dynamic_gpus = true\nqueues = ['half=0.5']\n").expect_err("part of a GPU");
        assert!(errors[0].starts_with("line 2: queues: `0.5` is part of a GPU"), "{errors:?}");
        let errors = parse("dynamic_gpus = true\nqueues = ['a']\nshare = 2\n").expect_err("both");
        assert!(errors[0].starts_with("line 3: share: "), "{errors:?}");
    }

    #[test]
    fn only_toml_files_are_read_in_their_order_and_a_broken_one_stays_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in [
            ("b.toml", "queues = ['x']"),
            ("a.toml", "oops"),
            (".c.toml", ""),
            ("d.toml.disabled", ""),
            ("e.toml~", ""),
        ] {
            fs::write(directory.path().join(name), text).expect("written");
        }
        std::fs::create_dir(directory.path().join("f.toml")).expect("made");
        let files = read(directory.path()).expect("read");
        let seen: Vec<(&str, bool)> = files.iter().map(|file| (file.stem.as_str(), file.said.is_ok())).collect();
        assert_eq!(seen, [("a", false), ("b", true), ("f", false)]);
        assert_eq!(read(&directory.path().join("nowhere")), Ok(Vec::new()));
        assert!(read(&directory.path().join("a.toml")).is_err(), "what is no directory cannot be read");
    }
}
