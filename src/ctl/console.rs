//! stdout for data, stderr for talk.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use serde_json::Value;

use super::args::Output;
use super::failure::Failure;
use super::render::text;

/// Where a command speaks.
#[derive(Debug)]
pub(super) struct Console {
    pub(super) output: Output,
    /// Whether stdout is a terminal, which obeys what it is sent.
    pub(super) terminal: bool,
    /// Whether it may be coloured (NO_COLOR).
    pub(super) colour: bool,
}

impl Console {
    pub(super) fn new(output: Output) -> Self {
        let terminal = io::stdout().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { output, terminal, colour: terminal && !no_colour }
    }

    /// A rendered piece of data, with a newline.
    pub(super) fn data(&self, rendered: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(rendered.as_bytes()).and_then(|()| stdout.write_all(b"\n"));
        written.and_then(|()| stdout.flush()).map_err(Failure::Output)
    }

    /// Bytes as they are.
    pub(super) fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(Failure::Output)
    }

    /// One JSON document, indented.
    pub(super) fn document(&self, document: &Value) -> Result<(), Failure> {
        self.data(&text::json(&format!("{document:#}")))
    }

    /// One JSON document of many, on one line.
    pub(super) fn line(&self, document: &Value) -> Result<(), Failure> {
        self.data(&text::json(&document.to_string()))
    }

    /// Something for people, on stderr.
    pub(super) fn say(&self, message: &str) {
        // stderr may be closed; nothing could be said about that.
        let _ = writeln!(io::stderr().lock(), "{}", text::safe(message));
    }

    /// Says what went wrong and gives the exit code.
    pub(super) fn fail(&self, failure: &Failure) -> ExitCode {
        if let Failure::Output(error) = failure
            && error.kind() == io::ErrorKind::BrokenPipe
        {
            // The reader has had enough (`| head`).
            return ExitCode::SUCCESS;
        }
        let (what, next) = failure.words();
        self.say(&format!("error: {what}"));
        self.say(&format!("hint: {next}"));
        ExitCode::from(failure.exit_code())
    }
}
