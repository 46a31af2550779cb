//! The one loop that waits for a stage: its output, its answer, what init says, signals, and the clock of a stop.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::journal::Journal;
use super::tree::Tree;
use super::word::Word;
use super::{Shim, log};
use crate::domain::handover::{End, StopRequest, VERSION, file};
use crate::domain::stop::{Escalation, StopReason, StopStep};
use crate::sys::durable::{self, ReadError};

/// Longest answer of a stage: a frozen list of thousands of lines fits.
const LONGEST_REPORT: usize = 4 << 20;
/// Read at once from the output.
const CHUNK: usize = 256 << 10;

/// Reads of [`CHUNK`] that empty a pipe of 1 MiB, however the bytes lie in it.
const LAST_READS: usize = 300;

/// A stop that is being carried out.
#[derive(Debug)]
pub(super) struct Stopping {
    /// Why it was begun.
    pub why: Why,
    escalation: Escalation,
}

/// Why a stop was begun.
#[derive(Debug)]
pub(super) enum Why {
    /// Somebody, or the clock, asks for it.
    Asked(StopRequest),
    /// The Run fills the disk.
    DiskFull {
        /// For the person who reads the task's status.
        reason: String,
    },
}

/// How a stage's processes went.
#[derive(Debug)]
pub(super) struct Outcome {
    /// How the first process ended.
    pub end: End,
    /// What the stage answered; as hostile as anything else of the payload.
    pub report: Vec<u8>,
    /// Why it did not come up.
    pub failed: Option<String>,
}

impl Shim {
    /// Waits until no process of the tree lives.
    pub(super) fn watch(&mut self, tree: Tree) -> Outcome {
        let mut ears = Ears::of(&tree);
        let mut buffer = vec![0; CHUNK];
        let end = loop {
            self.look_at_clock();
            let disk = self.look_at_disk();
            let wait_ms = earlier(earlier(self.press(&tree), self.time_left()), earlier(self.journal_due_in(), disk));
            let journal = self.journal.as_ref().and_then(Journal::waits_for);
            if let Err(error) = ears.wait(&self.inbox, journal, wait_ms) {
                // Nothing to be done but to look again; never in a hot loop.
                log(&format!("cannot wait: {error}"));
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            self.read_inbox();
            ears.output = ears.output.filter(|pipe| self.hear(pipe, &mut buffer) != Heard::End);
            ears.collect(&mut buffer);
            self.heed(&tree, &mut ears);
            self.tend_journal();
            if let Some(end) = tree.reap() {
                break end;
            }
        };
        tree.clear(self.cgroup.as_ref());
        // All writers are gone. Were one not (a descriptor sent to another process of the host), it must not hold us:
        // an empty pipe ends this, and so do more bytes than a pipe can have held.
        for _ in 0..LAST_READS {
            if ears.output.is_none_or(|pipe| self.hear(pipe, &mut buffer) != Heard::Something) {
                break;
            }
        }
        ears.collect(&mut buffer);
        self.heed(&tree, &mut ears);
        let now = self.now_ms();
        if let Some(journal) = &mut self.journal {
            journal.end_line(now);
        }
        Outcome { end: ears.inner.unwrap_or(end), report: ears.report_bytes, failed: ears.failed }
    }

    /// Looks at what the signals say, without waiting.
    pub(super) fn read_inbox(&mut self) {
        let news = self.inbox.read();
        if news.stopped {
            self.stop_for(StopReason::HostShutdown);
        }
        if news.nudged {
            self.look_at_stop();
        }
    }

    /// Reads `stop.json`, if it is there.
    pub(super) fn look_at_stop(&mut self) {
        match durable::read_json::<StopRequest>(&self.directory.join(file::STOP)) {
            Ok(request) => {
                let grace_ms = request.grace_ms;
                self.begin_stop(Why::Asked(request), grace_ms);
            }
            Err(ReadError::Missing) => {}
            Err(error) => log(&format!("{}: {error}; the stop is not carried out", file::STOP)),
        }
    }

    /// Stops the Run when its time is up.
    pub(super) fn look_at_clock(&mut self) {
        if self.time_left() == Some(0) {
            self.stop_for(StopReason::TimeLimit);
        }
    }

    /// Milliseconds until then; none without a limit, and none once a stop has begun.
    fn time_left(&self) -> Option<u64> {
        let limit_ms = self.spec.limits.time?.seconds().saturating_mul(1000);
        self.stop.is_none().then(|| limit_ms.saturating_sub(self.now_ms()))
    }

    fn stop_for(&mut self, reason: StopReason) {
        let grace_ms = self.spec.stop_grace_ms;
        self.begin_stop(Why::Asked(StopRequest { version: VERSION, reason, grace_ms }), grace_ms);
    }

    pub(super) fn begin_stop(&mut self, why: Why, grace_ms: u64) {
        let now = self.now_ms();
        match &mut self.stop {
            Some(stopping) => stopping.escalation.hasten(now, grace_ms),
            None => self.stop = Some(Stopping { why, escalation: Escalation::begin(now, grace_ms) }),
        }
    }

    /// Does what the stop asks for now; how long there is nothing to do.
    fn press(&mut self, tree: &Tree) -> Option<u64> {
        let now = self.now_ms();
        let stopping = self.stop.as_mut()?;
        loop {
            match stopping.escalation.next(now) {
                StopStep::Terminate => tree.terminate(),
                StopStep::Wait { ms } => return Some(ms),
                StopStep::Kill => {
                    self.killed = true;
                    tree.kill(self.cgroup.as_ref());
                    // Again, until the first process has been reaped.
                    return Some(50);
                }
            }
        }
    }

    /// Reads the next output.
    fn hear(&mut self, pipe: impl AsFd, buffer: &mut [u8]) -> Heard {
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(0) => Heard::End,
            Ok(count) => {
                self.take(&buffer[..count]);
                Heard::Something
            }
            Err(Errno::AGAIN | Errno::INTR) => Heard::Nothing,
            Err(_) => Heard::End,
        }
    }

    /// Acts on what init has said so far.
    fn heed(&mut self, tree: &Tree, ears: &mut Ears<'_>) {
        let Some(end) = ears.word_bytes.iter().rposition(|&byte| byte == b'\n') else { return };
        let lines: Vec<u8> = ears.word_bytes.drain(..=end).collect();
        for word in Word::all(&lines) {
            match word {
                Word::Missing { what } => self.lacks(what),
                Word::Started { pid } => {
                    self.progress.pid = tree.outer_pid(pid);
                    self.write_progress();
                }
                Word::Failed { reason } => ears.failed = Some(reason),
                Word::Ended { end } => ears.inner = Some(end),
            }
        }
    }

    fn journal_due_in(&self) -> Option<u64> {
        self.journal.as_ref()?.due_in(self.now_ms())
    }

    fn tend_journal(&mut self) {
        let now = self.now_ms();
        if let Some(journal) = &mut self.journal {
            journal.tick(now);
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The earlier of two times, of which each may be never.
fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    Something,
    Nothing,
    End,
}

/// The pipes of a tree, as far as they are open, and what has come through them.
#[derive(Debug)]
struct Ears<'a> {
    output: Option<&'a OwnedFd>,
    report: Option<&'a OwnedFd>,
    words: Option<&'a OwnedFd>,
    report_bytes: Vec<u8>,
    word_bytes: Vec<u8>,
    failed: Option<String>,
    inner: Option<End>,
}

impl<'a> Ears<'a> {
    fn of(tree: &'a Tree) -> Self {
        Self {
            output: Some(&tree.output),
            report: Some(&tree.report),
            words: Some(&tree.words),
            report_bytes: Vec::new(),
            word_bytes: Vec::new(),
            failed: None,
            inner: None,
        }
    }

    /// Until something can be read, or written to the journal, or so long.
    fn wait(&self, inbox: &impl AsFd, journal: Option<BorrowedFd<'_>>, ms: Option<u64>) -> io::Result<()> {
        let mut descriptors = vec![PollFd::from_borrowed_fd(inbox.as_fd(), PollFlags::IN)];
        // A pipe that has hung up is left out, or this would return at once for ever.
        for pipe in [self.output, self.report, self.words].into_iter().flatten() {
            descriptors.push(PollFd::new(pipe, PollFlags::IN));
        }
        descriptors.extend(journal.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::OUT)));
        let timeout = ms.map(|ms| Timespec {
            tv_sec: i64::try_from(ms / 1000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(ms % 1000 * 1_000_000).unwrap_or(0),
        });
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn collect(&mut self, buffer: &mut [u8]) {
        self.report = self.report.filter(|pipe| gather(pipe, &mut self.report_bytes, buffer));
        self.words = self.words.filter(|pipe| gather(pipe, &mut self.word_bytes, buffer));
    }
}

/// Reads what is there, but not for ever; whether more may come. What is beyond the limit is read and forgotten.
fn gather(pipe: impl AsFd, into: &mut Vec<u8>, buffer: &mut [u8]) -> bool {
    for _ in 0..16 {
        match rustix::io::read(&pipe, &mut *buffer) {
            Ok(0) => return false,
            Ok(count) => {
                let room = LONGEST_REPORT.saturating_sub(into.len());
                into.extend_from_slice(&buffer[..count.min(room)]);
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return true,
            Err(_) => return false,
        }
    }
    true
}
