//! Where the daemon's own log goes: to the journal with structured fields when the journal is what reads our stderr,
//! to stderr otherwise. Which fields there are is in `docs/journal.md`.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::domain::journal::Entry;
use crate::domain::notice::{Notice, Priority};
use crate::sys::journal::{JournalSocket, SOCKET, Sent};

/// Target of audit records. No filter leaves them out.
const AUDIT: &str = "audit";

/// Begins to log. `RUST_LOG` chooses what; `info` without it. A second call does nothing.
pub fn begin() {
    let registry = tracing_subscriber::registry();
    let begun = match stderr_is_the_journal().then(|| Journal::at(Path::new(SOCKET))).flatten() {
        Some(journal) => registry.with(journal.with_filter(filter())).try_init(),
        None => {
            let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
            let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
            let tty = io::IsTerminal::is_terminal(&io::stderr());
            registry.with(layer.with_ansi(colour && tty).with_filter(filter())).try_init()
        }
    };
    if let Err(error) = begun {
        tracing::debug!(%error, "logging had begun already");
    }
}

fn filter() -> EnvFilter {
    let chosen = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,hyper=warn,h2=warn"));
    match "audit=info".parse() {
        Ok(always) => chosen.add_directive(always),
        Err(_) => chosen,
    }
}

/// `JOURNAL_STREAM` is `device:inode` of the socket that systemd gave us as stderr (systemd.exec(5)).
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Some((device, inode)) = stream.split_once(':') else { return false };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else { return false };
    device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino())
}

/// Bytes of entries that may wait for a journald that does not read: hours of a host's life.
const BACKLOG: usize = 1 << 20;
/// Between two looks whether it reads again, if the kernel does not tell.
const AGAIN: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// A layer that writes each event as an entry, and never waits: a journald that is stopped must not stop the engine.
/// (tracing-journald's socket blocks.)
#[derive(Debug)]
pub struct Journal {
    way: Arc<Mutex<Way>>,
}

#[derive(Debug)]
struct Way {
    socket: JournalSocket,
    backlog: VecDeque<Entry>,
    waiting: usize,
    /// Entries that found no room in the backlog.
    lost: u64,
    /// Whether somebody looks after the backlog.
    tended: bool,
}

impl Journal {
    /// To the socket at `path`; none if nobody listens there.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        let socket = JournalSocket::new(path);
        socket.connected().then(|| Self { way: Arc::new(Mutex::new(Way::to(socket))) })
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields { audit: event.metadata().target() == AUDIT, ..Fields::default() };
        event.record(&mut fields);
        let entry = fields.entry(event.metadata());
        let mut way = lock(&self.way);
        way.take(entry);
        if !way.backlog.is_empty() && !way.tended {
            let later = Arc::clone(&self.way);
            // Without a thread the next entry tries again.
            way.tended = thread::Builder::new().name("journal".to_owned()).spawn(move || tend(&later)).is_ok();
        }
    }
}

/// A thread that panicked with the lock left whole entries and numbers, fit for use.
fn lock(way: &Mutex<Way>) -> MutexGuard<'_, Way> {
    way.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until the backlog is with journald.
fn tend(way: &Mutex<Way>) {
    loop {
        let socket = lock(way).socket.descriptor().and_then(|socket| socket.try_clone_to_owned().ok());
        match socket {
            // How that ends is seen when the backlog is sent.
            Some(socket) => drop(poll(&mut [PollFd::new(&socket, PollFlags::OUT)], Some(&AGAIN))),
            None => thread::sleep(Duration::from_secs(1)),
        }
        let mut way = lock(way);
        way.send();
        if way.backlog.is_empty() {
            way.tended = false;
            return;
        }
    }
}

impl Way {
    fn to(socket: JournalSocket) -> Self {
        Self { socket, backlog: VecDeque::new(), waiting: 0, lost: 0, tended: false }
    }

    fn take(&mut self, entry: Entry) {
        self.send();
        if self.waiting > BACKLOG {
            self.lost += 1;
            return;
        }
        let lost = std::mem::take(&mut self.lost);
        for entry in (lost > 0).then(|| missing(lost)).into_iter().chain([entry]) {
            self.waiting += entry.as_bytes().len();
            self.backlog.push_back(entry);
        }
        self.send();
    }

    fn send(&mut self) {
        while let Some(entry) = self.backlog.front() {
            match self.socket.send(entry.as_bytes()) {
                Sent::Full => return,
                Sent::Taken => {}
                Sent::Lost => self.lost += 1,
            }
            self.waiting -= entry.as_bytes().len();
            self.backlog.pop_front();
        }
    }
}

fn missing(count: u64) -> Entry {
    let notice = Notice::EntriesLost;
    let text = format!("{count} entries of clearmld are missing here: journald did not read");
    said_by_us("clearmld", notice.priority(), &text)
        .with("MESSAGE_ID", notice.id())
        .with("CLEARML_ENTRIES", count.to_string())
}

fn said_by_us(identifier: &str, priority: Priority, message: &str) -> Entry {
    Entry::default()
        .with("PRIORITY", (priority as u8).to_string())
        .with("SYSLOG_IDENTIFIER", identifier)
        .with("MESSAGE", message)
}

/// An event, taken apart.
#[derive(Debug, Default)]
struct Fields {
    audit: bool,
    message: String,
    /// `error` or `reason`: for people it belongs to the message.
    why: Option<String>,
    notice: Option<Notice>,
    others: Entry,
}

impl Fields {
    fn put(&mut self, name: &str, value: &str) {
        match name {
            "message" => value.clone_into(&mut self.message),
            "MESSAGE_ID" => {
                self.notice = Notice::with_id(value);
                self.others.put(name, value);
            }
            // Already as they are in the journal; an empty one says nothing.
            name if name.starts_with(|c: char| c.is_ascii_uppercase()) => {
                if !value.is_empty() {
                    self.others.put(name, value);
                }
            }
            name => {
                if matches!(name, "error" | "reason") {
                    self.why = Some(value.to_owned());
                }
                let room = if self.audit { "CLEARML_AUDIT_" } else { "CLEARML_" };
                let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_").to_ascii_uppercase();
                self.others.put(&format!("{room}{name}"), value);
            }
        }
    }

    fn entry(self, metadata: &Metadata<'_>) -> Entry {
        let level = match *metadata.level() {
            Level::ERROR => Priority::Error,
            Level::WARN => Priority::Warning,
            Level::INFO => Priority::Info,
            Level::DEBUG | Level::TRACE => Priority::Debug,
        };
        let priority = self.notice.map_or(level, Notice::priority);
        let message = match self.why {
            Some(why) if !self.message.contains(&why) => format!("{}: {why}", self.message),
            Some(_) | None => self.message,
        };
        // log_audit and log_daemon of syslog(3): audit records go where the host keeps such things.
        let (identifier, facility) = if self.audit { ("clearmld-audit", "13") } else { ("clearmld", "3") };
        let mut entry = said_by_us(identifier, priority, &message).with("SYSLOG_FACILITY", facility);
        entry.append(&self.others);
        if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
            entry.put("CODE_FILE", file);
            entry.put("CODE_LINE", line.to_string());
        }
        entry
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests;
