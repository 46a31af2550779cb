//! clearmld's own settings: `clearmld.toml`, beside clearml.conf or in /etc/clearmld. All are optional.
//! [`settings`](super::settings) has the keys, their defaults and meanings.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::hocon::{Kind, Position, Value};
use super::origin::{ConfigError, Origin, Sourced};
use super::reader::Reader;
use super::settings;
use crate::domain::journal::Limits;
use crate::domain::withheld;

/// clearmld's own settings.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnConfig {
    /// The payload's user, where a Worker names none.
    pub run_as: String,
    /// Uids for payloads whose user the host does not know.
    pub uids: std::ops::RangeInclusive<u32>,
    /// From SIGTERM to SIGKILL.
    pub stop_grace: Duration,
    /// Bytes of output of one Run.
    pub spool_budget: u64,
    /// Bytes of the state directory's disk that Runs leave free; none for what is usual.
    pub disk_reserve: Option<u64>,
    /// Bytes of memory that all Runs together leave to the system; none for what is usual.
    pub memory_reserve: Option<u64>,
    /// Processors that they leave.
    pub cpus_reserve: u32,
    /// How much of a Run's output goes to the journal; none for none.
    pub journal: Option<Limits>,
    /// Between two polls of the queues, when all is well.
    pub poll_interval: Duration,
    /// Between two status reports of a worker.
    pub report_interval: Duration,
    /// What installs packages.
    pub installer: InstallerChoice,
    /// How long a settled Run's directory is kept.
    pub keep_runs_for: Duration,
    /// How many are kept at most.
    pub keep_runs: u64,
    /// Instead of the system's host name.
    pub host_name: Option<String>,
    /// None: they are not served.
    pub metrics: Option<MetricsChoice>,
    /// An NVML that is not the system's; or CLEARMLD_NVML_LIBRARY.
    pub nvml_library: Option<PathBuf>,
    /// Whether a GPU is lent that a process computes on which belongs to no Run.
    pub lend_gpus_in_use: bool,
    /// Commands of such processes that do not count.
    pub ignored_gpu_programs: Vec<String>,
    /// Whether [`Config::for_payload`](super::Config::for_payload) has the storage credentials of section `sdk`.
    pub payload_sees_sdk_secrets: bool,
    /// Where workers are declared.
    pub workers_dir: Option<Sourced<PathBuf>>,
}

/// Where metrics are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricsChoice {
    /// On a unix socket beside the control socket, for the same operators.
    Unix,
    /// On loopback, for every user and task of this host.
    Loopback(SocketAddr),
}

/// What installs packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstallerChoice {
    /// uv, which is found or installed.
    Uv,
    /// venv and pip of the interpreter.
    Pip,
}

/// The key of the merged tree that holds clearmld.toml.
pub(super) const SECTION: &str = "clearmld";

/// Reads clearmld.toml into a value of its own.
pub(super) fn parse(text: &str, path: &Path) -> Result<Value, Vec<ConfigError>> {
    let file: Arc<Path> = Arc::from(path);
    let at = |offset: usize| {
        let line = text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1;
        Position { file: Arc::clone(&file), line: u32::try_from(line).unwrap_or(u32::MAX), column: 0 }
    };
    let (table, broken) = DeTable::parse_recoverable(text);
    let mut errors: Vec<ConfigError> = broken
        .iter()
        .map(|error| ConfigError {
            origin: Origin::File(at(error.span().map_or(0, |span| span.start))),
            key: None,
            // The first line: the rest would show the text round it, which may be a secret.
            problem: format!("{}; correct the TOML", error.message().lines().next().unwrap_or_default()),
        })
        .collect();
    let mut fields = BTreeMap::new();
    for (key, value) in table.get_ref() {
        let name = key.get_ref().to_string();
        let at = at(key.span().start);
        let kind = match value.get_ref() {
            DeValue::String(text) => Kind::Text(text.to_string()),
            DeValue::Boolean(value) => Kind::Bool(*value),
            DeValue::Integer(number) => Kind::Integer(number.as_str().to_owned()),
            DeValue::Float(number) => Kind::Text(number.as_str().to_owned()),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => Kind::List(Vec::new()),
        };
        if settings::find(&name).is_none() {
            let known: Vec<&str> = settings::SETTINGS.iter().map(|setting| setting.key).collect();
            let problem = format!("there is no such setting; known are {}", known.join(", "));
            errors.push(ConfigError { origin: Origin::File(at), key: Some(name), problem });
            continue;
        }
        fields.insert(name, Value { kind, at });
    }
    if errors.is_empty() { Ok(Value { kind: Kind::Object(fields), at: at(0) }) } else { Err(errors) }
}

pub(super) fn read(reader: &mut Reader<'_>) -> OwnConfig {
    let number = |reader: &mut Reader<'_>, key: &str, allowed, default: u64| match reader.integer(key, None, allowed) {
        Some(found) => found.value,
        None => {
            reader.describe(key, default.to_string(), &Origin::Default);
            default
        }
    };
    let run_as = reader.text("clearmld.run_as", None);
    if let Some(root) = run_as.as_ref().filter(|user| user.value == "root" || user.value == "0") {
        let problem = "a payload never runs as root; name an ordinary user, such as clearml-run";
        reader.error(root.origin.clone(), "clearmld.run_as", problem);
    }
    let uid = |uid: u64| u32::try_from(uid).unwrap_or(u32::MAX);
    let first = reader.integer("clearmld.uid_first", None, 1000..=4_000_000_000);
    let last = reader.integer("clearmld.uid_last", None, 1000..=4_000_000_000);
    let uids = match (&first, &last) {
        (Some(first), Some(last)) => uid(first.value)..=uid(last.value),
        (Some(first), None) => uid(first.value)..=uid(first.value + 999),
        (None, Some(last)) => uid(last.value.saturating_sub(999).max(1000))..=uid(last.value),
        (None, None) => 900_000..=900_999,
    };
    if let Some(last) = last.filter(|_| uids.is_empty()) {
        reader.error(last.origin, "clearmld.uid_last", "it is smaller than uid_first; swap them");
    }
    let installer = match reader.text("clearmld.installer", None) {
        None => InstallerChoice::Uv,
        Some(found) if found.value == "uv" => InstallerChoice::Uv,
        Some(found) if found.value == "pip" => InstallerChoice::Pip,
        Some(found) => {
            reader.error(found.origin, "clearmld.installer", "it is neither uv nor pip; write one of them");
            InstallerChoice::Uv
        }
    };
    let lines = number(reader, "clearmld.journal_lines_per_second", 0..=10_000, 20);
    let poll = Some("CLEARML_AGENT_QUEUE_POLL_FREQ_SEC");
    let report = Some("CLEARML_AGENT_STATUS_REPORT_FREQ_SEC");
    let library = reader.text("clearmld.nvml_library", Some("CLEARMLD_NVML_LIBRARY"));
    if let Some(found) = library.as_ref().filter(|found| !found.value.starts_with('/')) {
        let problem = "it is no absolute path; write one, such as /usr/lib64/libnvidia-ml.so.1";
        reader.error(found.origin.clone(), "clearmld.nvml_library", problem);
    }
    OwnConfig {
        run_as: run_as.map_or_else(|| "clearml-run".to_owned(), |found| found.value),
        uids,
        stop_grace: reader.seconds("clearmld.stop_grace_seconds", None, 0.0..=86_400.0, 10.0).value,
        spool_budget: number(reader, "clearmld.spool_budget_mib", 1..=1 << 20, 1024) << 20,
        disk_reserve: mebibytes(reader, "clearmld.reserve_disk_mib"),
        memory_reserve: mebibytes(reader, "clearmld.reserve_memory_mib"),
        cpus_reserve: u32::try_from(number(reader, "clearmld.reserve_cpus", 0..=4096, 0)).unwrap_or(0),
        journal: journal(lines, number(reader, "clearmld.journal_budget_mib", 1..=1 << 20, 16)),
        poll_interval: reader.seconds("clearmld.poll_interval_seconds", poll, 0.1..=3600.0, 1.0).value,
        report_interval: reader.seconds("clearmld.report_interval_seconds", report, 1.0..=600.0, 30.0).value,
        installer,
        keep_runs_for: Duration::from_secs(number(reader, "clearmld.keep_runs_days", 0..=3650, 7) * 86_400),
        keep_runs: number(reader, "clearmld.keep_runs", 0..=1_000_000, 200),
        host_name: reader.text("clearmld.host_name", None).map(|found| found.value),
        metrics: metrics(reader),
        nvml_library: library.map(|found| PathBuf::from(found.value)),
        lend_gpus_in_use: reader.boolean("clearmld.lend_gpus_in_use", None, false).value,
        ignored_gpu_programs: ignored_gpu_programs(reader),
        payload_sees_sdk_secrets: reader.boolean("clearmld.payload_sees_sdk_secrets", None, false).value,
        workers_dir: workers_dir(reader),
    }
}

/// None where nothing is written.
fn mebibytes(reader: &mut Reader<'_>, key: &str) -> Option<u64> {
    Some(reader.integer(key, None, 0..=1 << 30)?.value << 20)
}

fn journal(lines_per_second: u64, budget_mib: u64) -> Option<Limits> {
    let lines_per_second = u32::try_from(lines_per_second).unwrap_or(u32::MAX);
    (lines_per_second > 0).then_some(Limits { lines_per_second, budget: budget_mib << 20 })
}

fn workers_dir(reader: &mut Reader<'_>) -> Option<Sourced<PathBuf>> {
    const KEY: &str = "clearmld.workers_dir";
    let found = reader.text(KEY, None)?;
    if !found.value.starts_with('/') {
        reader.error(found.origin, KEY, "it is no absolute path; begin it with /");
        return None;
    }
    Some(Sourced { value: PathBuf::from(found.value), origin: found.origin })
}

/// Names joined by commas: clearmld.toml has no lists.
fn ignored_gpu_programs(reader: &mut Reader<'_>) -> Vec<String> {
    const KEY: &str = "clearmld.ignored_gpu_programs";
    let Some(found) = reader.text(KEY, None) else { return withheld::USUAL.iter().map(ToString::to_string).collect() };
    let names: Vec<String> =
        found.value.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    if let Some(path) = names.iter().find(|name| name.contains('/')) {
        let problem = format!("`{path}` is a path; write the command's name alone, as `ps -o comm` shows it");
        reader.error(found.origin, KEY, problem);
    }
    names
}

fn metrics(reader: &mut Reader<'_>) -> Option<MetricsChoice> {
    let found = reader.text("clearmld.metrics", None)?;
    if found.value == "unix" {
        return Some(MetricsChoice::Unix);
    }
    let problem = match found.value.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => return Some(MetricsChoice::Loopback(address)),
        Ok(_) => {
            "it is no loopback address, and metrics have no password: anybody in that network could read them; write \
             \"unix\" or 127.0.0.1:PORT, and let a scraper on this host or a proxy with a password pass them on"
        }
        Err(_) => "it is neither \"unix\" nor an address with a port; write \"unix\" or \"127.0.0.1:9108\"",
    };
    reader.error(found.origin, "clearmld.metrics", problem);
    None
}
