//! Running git, uv and pip: their output goes to the task's log with secrets taken out, and their last words into the
//! reason when they fail.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use secrecy::ExposeSecret;

use crate::domain::handover::Secrets;

/// Lines kept of a tool's output, for the reason of its failure.
const KEPT: usize = 40;
/// Bytes of one line; a longer one is passed on in pieces.
const LONGEST: u64 = 64 << 10;
/// Most that an answer may have.
const ANSWER: u64 = 16 << 20;
/// A build may leave a process behind that holds the pipe; its output is not waited for beyond this.
const LINGER: Duration = Duration::from_secs(2);

/// Why a tool did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    /// It could not be started.
    #[error("{name} cannot be started: {source}")]
    NotStarted {
        /// Which tool.
        name: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It failed.
    #[error("{name} {end}")]
    Failed {
        /// Which tool.
        name: &'static str,
        /// `exited with code 1`.
        end: String,
        /// Its last lines, redacted, none blank.
        last: Vec<String>,
    },
}

impl ToolError {
    /// Whether a full disk or quota was the reason.
    pub(super) fn disk_full(&self) -> bool {
        match self {
            Self::NotStarted { source, .. } => is_disk_full(source),
            Self::Failed { last, .. } => last.iter().any(|line| {
                let line = line.to_ascii_lowercase();
                line.contains("no space left on device") || line.contains("disk quota exceeded")
            }),
        }
    }

    /// From the last line that `starts` the tool's explanation to the end, as one line.
    pub(super) fn explanation(&self, starts: impl Fn(&str) -> bool) -> String {
        let Self::Failed { last, .. } = self else { return self.to_string() };
        let from = last.iter().rposition(|line| starts(line.trim_start())).unwrap_or(last.len().saturating_sub(1));
        let text = last[from..].iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ");
        if text.is_empty() { self.to_string() } else { text.chars().take(700).collect() }
    }

    /// The last lines that match, or else the very last, as one line.
    pub(super) fn last_words(&self, separator: &str, wanted: impl Fn(&str) -> bool) -> String {
        let Self::Failed { last, .. } = self else { return self.to_string() };
        let mut chosen: Vec<&str> = last.iter().map(String::as_str).filter(|line| wanted(line)).collect();
        if chosen.is_empty() {
            chosen.extend(last.last().map(String::as_str));
        }
        let from = chosen.len().saturating_sub(8);
        let text = chosen[from..].iter().map(|line| line.trim()).collect::<Vec<_>>().join(separator);
        if text.is_empty() { self.to_string() } else { text.chars().take(700).collect() }
    }
}

/// Whether the error is a full disk or quota.
pub(super) fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Takes secrets out of text.
#[derive(Debug, Clone, Default)]
pub(super) struct Redactor(Arc<[Hidden]>);

#[derive(Clone)]
struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Redactor {
    pub(super) fn new(secrets: &Secrets) -> Self {
        let mut hidden: Vec<String> = Vec::new();
        for credential in &secrets.git {
            let password = credential.password.expose_secret();
            hidden.push(password.to_owned());
            hidden.push(percent_encoded(password));
        }
        for url in &secrets.index_urls {
            hidden.extend(userinfo(url.expose_secret()).map(str::to_owned));
            hidden
                .extend(userinfo(url.expose_secret()).and_then(|info| info.split_once(':')).map(|(_, p)| p.to_owned()));
        }
        // Shorter words would make the log unreadable and are no secrets.
        hidden.retain(|text| text.len() >= 4);
        hidden.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self(hidden.into_iter().map(Hidden).collect())
    }

    pub(super) fn redact(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, Hidden(secret)| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), "***") } else { text }
        })
    }
}

/// What stands between `://` and `@`.
pub(super) fn userinfo(url: &str) -> Option<&str> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split('/').next()?;
    authority.rsplit_once('@').map(|(info, _)| info)
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// One call of a tool.
#[derive(Debug)]
pub(super) struct Tool {
    name: &'static str,
    command: Command,
    redactor: Redactor,
    quiet: bool,
}

impl Tool {
    /// `program` with no environment but `variables`.
    pub(super) fn new(
        name: &'static str,
        program: &Path,
        variables: &BTreeMap<String, String>,
        redactor: &Redactor,
    ) -> Self {
        let mut command = Command::new(program);
        command.env_clear().envs(variables).stdin(Stdio::null());
        Self { name, command, redactor: redactor.clone(), quiet: false }
    }

    pub(super) fn args<S: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.command.args(words);
        self
    }

    pub(super) fn within(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// A question whose failure is an answer too: nothing of its stderr goes to the log.
    pub(super) fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// Runs it; its output goes to the log.
    pub(super) fn run(self) -> Result<(), ToolError> {
        self.feed(Vec::new())
    }

    /// Runs it with `input` on its stdin.
    pub(super) fn feed(mut self, input: Vec<u8>) -> Result<(), ToolError> {
        if !input.is_empty() {
            self.command.stdin(Stdio::piped());
        }
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(|source| ToolError::NotStarted { name: self.name, source })?;
        if let Some(mut stdin) = child.stdin.take() {
            // A tool that does not read to the end says itself why.
            thread::spawn(move || stdin.write_all(&input));
        }
        let tail = Tail::default();
        let out = child.stdout.take().map(|pipe| self.pump(pipe, &tail));
        let err = child.stderr.take().map(|pipe| self.pump(pipe, &tail));
        let status = child.wait().map_err(|source| ToolError::NotStarted { name: self.name, source })?;
        for done in [out, err].into_iter().flatten() {
            let _ = done.recv_timeout(LINGER);
        }
        self.end(status, &tail)
    }

    /// Runs it and gives what it says on stdout.
    pub(super) fn read(mut self) -> Result<String, ToolError> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().map_err(|source| ToolError::NotStarted { name: self.name, source })?;
        let tail = Tail::default();
        let err = child.stderr.take().map(|pipe| self.pump(pipe, &tail));
        let mut answer = Vec::new();
        let read = child.stdout.take().map_or(Ok(0), |pipe| pipe.take(ANSWER).read_to_end(&mut answer));
        let status =
            read.and_then(|_| child.wait()).map_err(|source| ToolError::NotStarted { name: self.name, source })?;
        if let Some(done) = err {
            let _ = done.recv_timeout(LINGER);
        }
        self.end(status, &tail)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    fn end(&self, status: ExitStatus, tail: &Tail) -> Result<(), ToolError> {
        if status.success() {
            return Ok(());
        }
        let end = match status.code() {
            Some(code) => format!("exited with code {code}"),
            None => format!("was ended by a signal ({status})"),
        };
        Err(ToolError::Failed { name: self.name, end, last: tail.lines() })
    }

    fn pump(&self, pipe: impl Read + Send + 'static, tail: &Tail) -> Receiver<()> {
        let (done, ended) = mpsc::sync_channel(1);
        let (redactor, tail, quiet) = (self.redactor.clone(), tail.clone(), self.quiet);
        thread::spawn(move || {
            pump(BufReader::new(pipe), &redactor, &tail, quiet);
            let _ = done.send(());
        });
        ended
    }
}

fn pump(mut pipe: impl BufRead, redactor: &Redactor, tail: &Tail, quiet: bool) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match pipe.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = redactor.redact(&String::from_utf8_lossy(&line));
        if !quiet {
            let mut out = io::stdout().lock();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
        tail.push(&text);
    }
}

#[derive(Debug, Clone, Default)]
struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, text: &str) {
        let text = text.trim_end().rsplit('\r').next().unwrap_or_default();
        if text.trim().is_empty() {
            return;
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(text.chars().take(500).collect());
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(code: &str, hidden: &str) -> Tool {
        let redactor = Redactor([Hidden(hidden.to_owned())].into_iter().collect());
        Tool::new("sh", Path::new("/bin/sh"), &BTreeMap::new(), &redactor).args(["-c", code])
    }

    #[test]
    fn the_last_words_of_a_failed_tool_hold_no_secret() {
        let error = shell("echo fine; echo 'fatal: hunter2 is wrong' >&2; exit 3", "hunter2").run().expect_err("fails");
        assert_eq!(error.to_string(), "sh exited with code 3");
        assert_eq!(error.last_words("; ", |line| line.starts_with("fatal:")), "fatal: *** is wrong");
        assert!(!error.disk_full());
    }

    #[test]
    fn a_full_disk_is_known_by_what_the_tool_says() {
        let error = shell("echo 'write: No space left on device' >&2; exit 1", "-----").run().expect_err("fails");
        assert!(error.disk_full());
    }

    #[test]
    fn a_process_that_is_left_behind_does_not_hold_the_stage() {
        let begin = std::time::Instant::now();
        shell("sleep 30 & exit 0", "-----").run().expect("ends");
        assert!(begin.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_tool_sees_no_variable_but_those_it_is_given() {
        let answer = shell("env", "-----").read().expect("read");
        assert!(!answer.contains("HOME="), "{answer}");
    }
}
