//! A place in a text that moves forward, with pyhocon's ideas of blanks, line ends and comments.

use std::path::Path;
use std::sync::Arc;

use super::{HoconError, Position};

pub(super) struct Cursor<'a> {
    text: &'a str,
    pos: usize,
    /// Where each line begins; a position is asked for often, and counting from the start would be quadratic.
    lines: Vec<usize>,
    file: Arc<Path>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str, file: Arc<Path>) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { text, pos: 0, lines, file }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.pos..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn advance(&mut self, bytes: usize) {
        self.pos += bytes;
    }

    pub(super) fn mark(&self) -> usize {
        self.pos
    }

    pub(super) fn return_to(&mut self, mark: usize) {
        self.pos = mark;
    }

    pub(super) fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.pos += token.len();
        }
        found
    }

    pub(super) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.pos += end;
        &rest[..end]
    }

    pub(super) fn blanks(&mut self) -> &'a str {
        self.take_while(|c| c == ' ' || c == '\t')
    }

    /// Skips blanks, line ends, comments and, where they separate, commas.
    pub(super) fn skip_between(&mut self, commas: bool) {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r') || (commas && c == ','));
            if !self.at_comment() {
                return;
            }
            self.take_while(|c| c != '\n' && c != '\r');
        }
    }

    pub(super) fn at_comment(&self) -> bool {
        self.rest().starts_with('#') || self.rest().starts_with("//")
    }

    pub(super) fn position(&self) -> Position {
        let line = self.lines.partition_point(|start| *start <= self.pos);
        let start = line.checked_sub(1).and_then(|index| self.lines.get(index)).copied().unwrap_or(0);
        let column = self.text.get(start..self.pos).map_or(0, |before| before.chars().count()) + 1;
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Position { file: Arc::clone(&self.file), line: narrow(line), column: narrow(column) }
    }

    pub(super) fn error(&self, problem: impl Into<String>) -> Box<HoconError> {
        Box::new(HoconError { at: self.position(), problem: problem.into() })
    }

    /// What stands here, for messages: one character only, since more could be a secret.
    pub(super) fn here(&self) -> String {
        self.peek().map_or_else(|| "the end of the file".to_owned(), |c| format!("{c:?}"))
    }
}
