//! The Run's output in the journal of its own unit, a line an entry: beside the spool and never before it. journald
//! stamps `_SYSTEMD_UNIT`, since the shim lives in the unit; but it asks for that when it reads an entry, and the shim
//! of a short Run may be gone by then. So `OBJECT_SYSTEMD_UNIT` says it too, which `journalctl -u` believes of root.
//!
//! Nothing here waits. What journald does not read yet is kept, up to [`BACKLOG`]; what is beyond that or beyond the
//! [`Gate`] is counted, and one line says how much it was.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use secrecy::ExposeSecret;

use crate::domain::handover::{JournalSpec, RunSpec, Secrets, Stage};
use crate::domain::ids::RunId;
use crate::domain::journal::{Entry, Gate, LeftOut, Limits, Lines};
use crate::domain::notice::{Notice, Priority};
use crate::sys::journal::{JournalSocket, Sent};

/// Bytes of entries that may wait for journald.
const BACKLOG: usize = 1 << 20;
/// How long a Run that has ended and is recorded may wait for a slow journald.
const LINGER: Duration = Duration::from_millis(500);

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    socket: JournalSocket,
    /// What every entry has.
    fields: Entry,
    run: RunId,
    stage: Stage,
    budget: u64,
    budget_said: bool,
    lines: Lines,
    gate: Gate,
    backlog: VecDeque<Entry>,
    waiting: usize,
}

impl Journal {
    /// None where the spec wants none.
    #[must_use]
    pub(super) fn open(spec: &RunSpec, secrets: &Secrets, now: u64) -> Option<Self> {
        let JournalSpec { socket, worker, queue, lines_per_second, budget } = spec.journal.as_ref()?;
        let fields = Entry::default()
            .with("CLEARML_TASK_ID", spec.task.as_str())
            .with("CLEARML_RUN_ID", spec.run.as_str())
            .with("CLEARML_WORKER", worker.as_str())
            .with("CLEARML_QUEUE", queue)
            .with("OBJECT_SYSTEMD_UNIT", spec.run.unit());
        let limits = Limits { lines_per_second: *lines_per_second, budget: *budget };
        Some(Self {
            socket: JournalSocket::new(socket),
            fields,
            run: spec.run.clone(),
            stage: Stage::Source,
            budget: *budget,
            budget_said: false,
            lines: Lines::new(blackened(secrets)),
            gate: Gate::new(limits, now),
            backlog: VecDeque::new(),
            waiting: 0,
        })
    }

    /// Takes the next output.
    pub(super) fn take(&mut self, stage: Stage, mut bytes: &[u8], now: u64) {
        self.stage = stage;
        while !bytes.is_empty() {
            if !self.gate.open(now) {
                let (lines, skipped) = self.lines.skip(bytes, now);
                self.gate.leave_out(lines, skipped);
                break;
            }
            self.say_gap();
            let (used, line) = self.lines.next(bytes, now);
            bytes = &bytes[used..];
            if let Some(line) = line {
                self.print(&line, now);
            }
        }
        self.send();
    }

    /// Does what time asks for: unfinished lines that have waited long enough, gaps that are over.
    pub(super) fn tick(&mut self, now: u64) {
        if self.gate.open(now) {
            self.say_gap();
        }
        if self.lines.due_in(now) == Some(0) {
            self.end_line(now);
        }
        self.send();
    }

    /// When [`Journal::tick`] has something to do, in milliseconds.
    #[must_use]
    pub(super) fn due_in(&self, now: u64) -> Option<u64> {
        [self.lines.due_in(now), self.gate.opens_in(now)].into_iter().flatten().min()
    }

    /// What to wait for when entries are kept back: it becomes writable.
    #[must_use]
    pub(super) fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        if self.backlog.is_empty() { None } else { self.socket.descriptor() }
    }

    /// Nothing continues the line any more.
    pub(super) fn end_line(&mut self, now: u64) {
        if let Some(line) = self.lines.flush() {
            self.print(&line, now);
        }
    }

    /// A sentence of the shim's own.
    pub(super) fn remark(&mut self, text: &str) {
        let entry = self.entry(Priority::Warning, "clearmld-shim", text);
        self.queue(entry);
        self.send();
    }

    /// The output is over.
    pub(super) fn end(&mut self, now: u64) {
        self.end_line(now);
        self.say_gap();
        self.send();
    }

    /// Gives a slow journald a moment for what is kept.
    pub(super) fn linger(mut self) {
        let began = Instant::now();
        while let Some(socket) = self.waits_for()
            && began.elapsed() < LINGER
        {
            let pause = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            let _ = poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::OUT)], Some(&pause));
            self.send();
        }
    }

    fn print(&mut self, line: &str, now: u64) {
        if self.waiting > BACKLOG {
            self.gate.shut();
        }
        if self.gate.admit(line.len(), now) {
            let entry = self.entry(Priority::Info, "clearml-task", line);
            self.queue(entry);
        } else {
            self.gate.leave_out(1, u64::try_from(line.len()).unwrap_or(u64::MAX));
        }
        if self.gate.spent() && !self.budget_said {
            self.budget_said = true;
            let text = format!(
                "[clearmld] the journal has had {} MiB of this run's output and gets no more; the whole is at \
                 `clearmlctl run logs {}`",
                self.budget >> 20,
                self.run
            );
            let entry = self.notice(&text);
            self.queue(entry);
        }
    }

    fn say_gap(&mut self) {
        if self.waiting > BACKLOG {
            return;
        }
        let Some(LeftOut { lines, bytes }) = self.gate.gap() else { return };
        let text = format!(
            "[clearmld] {lines} lines ({bytes} bytes) of the output were left out of the journal here; the whole is at \
             `clearmlctl run logs {}`",
            self.run
        );
        let entry =
            self.notice(&text).with("CLEARML_LINES", lines.to_string()).with("CLEARML_BYTES", bytes.to_string());
        self.queue(entry);
    }

    fn notice(&self, text: &str) -> Entry {
        let notice = Notice::OutputLeftOut;
        self.entry(notice.priority(), "clearml-task", text).with("MESSAGE_ID", notice.id())
    }

    fn entry(&self, priority: Priority, identifier: &str, text: &str) -> Entry {
        self.fields
            .clone()
            .with("CLEARML_STAGE", self.stage.as_str())
            .with("PRIORITY", (priority as u8).to_string())
            .with("SYSLOG_IDENTIFIER", identifier)
            .with("MESSAGE", text)
    }

    fn queue(&mut self, entry: Entry) {
        self.waiting += entry.as_bytes().len();
        self.backlog.push_back(entry);
    }

    fn send(&mut self) {
        while let Some(entry) = self.backlog.front() {
            let length = entry.as_bytes().len();
            match self.socket.send(entry.as_bytes()) {
                Sent::Full => return,
                Sent::Taken => {}
                Sent::Lost => self.gate.leave_out(1, u64::try_from(length).unwrap_or(u64::MAX)),
            }
            self.waiting -= length;
            self.backlog.pop_front();
        }
    }
}

/// What a program may print by mistake and nobody may read: everybody in group `systemd-journal` reads the journal.
fn blackened(secrets: &Secrets) -> Vec<Vec<u8>> {
    let token = secrets.variables.get("CLEARML_AUTH_TOKEN").map(ExposeSecret::expose_secret);
    let git = secrets.git.iter().map(|credential| credential.password.expose_secret());
    let indexes = secrets.index_urls.iter().filter_map(|url| password(url.expose_secret()));
    token.into_iter().chain(git).chain(indexes).map(|secret| secret.as_bytes().to_vec()).collect()
}

/// Of `scheme://user:password@host/…`.
fn password(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (user, _) = rest.split(['/', '?', '#']).next()?.rsplit_once('@')?;
    // A user alone is a token.
    Some(user.split_once(':').map_or(user, |(_, password)| password))
}

#[cfg(test)]
mod tests {
    use super::password;

    #[test]
    fn the_password_of_an_index_is_found() {
        for (url, wanted) in [
            ("https://u:secret@host/simple", Some("secret")),
            ("https://token@host", Some("token")),
            ("https://host/a@b", None),
            ("host", None),
        ] {
            assert_eq!(password(url), wanted, "{url}");
        }
    }
}
