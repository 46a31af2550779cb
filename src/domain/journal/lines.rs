//! A program's output as lines for the journal: whole ones, as a person would see them on a terminal, without secrets.

use crate::domain::log;

/// Most bytes of a line in one entry; a longer one becomes several.
const LONGEST: usize = 16 * 1024;
/// How long an unfinished line may wait for its end.
const PATIENCE_MS: u64 = 2_000;
/// The same for a line that is being overwritten: a progress bar.
const BAR_PATIENCE_MS: u64 = 30_000;
/// A shorter secret would blacken words that only happen to be the same.
const SHORTEST_SECRET: usize = 6;
const BLACKENED: &str = "****";

/// See the module. Time is milliseconds of any clock that only goes forward.
#[derive(Default)]
pub struct Lines {
    growing: Vec<u8>,
    /// Since when the line has been growing.
    since: u64,
    secrets: Vec<Vec<u8>>,
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("growing", &self.growing.len()).finish_non_exhaustive()
    }
}

impl Lines {
    /// Without these in any line.
    pub fn new(secrets: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut secrets: Vec<Vec<u8>> = secrets
            .into_iter()
            .filter(|secret| (SHORTEST_SECRET..LONGEST / 4).contains(&secret.len()) && !secret.contains(&b'\n'))
            .collect();
        // One may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { growing: Vec::new(), since: 0, secrets }
    }

    /// Takes the next bytes up to a line's end, or all if none ends in them; how many those were, and the line's text.
    /// Blank lines have none.
    pub fn next(&mut self, bytes: &[u8], now: u64) -> (usize, Option<String>) {
        let room = LONGEST - self.growing.len().min(LONGEST);
        let window = &bytes[..bytes.len().min(room)];
        if self.growing.is_empty() {
            self.since = now;
        }
        match window.iter().position(|&byte| byte == b'\n') {
            Some(end) => {
                self.growing.extend_from_slice(&window[..end]);
                (end + 1, self.flush())
            }
            None => {
                self.growing.extend_from_slice(window);
                self.overwrite();
                let full = self.growing.len() >= LONGEST;
                (window.len(), if full { self.cut() } else { None })
            }
        }
    }

    /// Passes over `bytes`; how many lines end in them, and how many bytes are not to come any more.
    pub fn skip(&mut self, bytes: &[u8], now: u64) -> (u64, u64) {
        let before = self.growing.len();
        let newlines = bytes.iter().filter(|&&byte| byte == b'\n').count();
        let rest = bytes.iter().rposition(|&byte| byte == b'\n').map_or(bytes, |end| &bytes[end + 1..]);
        if newlines > 0 {
            self.growing.clear();
            self.since = now;
        }
        // Less than a full line: the next byte must find room.
        let room = (LONGEST - 1).saturating_sub(self.growing.len());
        self.growing.extend_from_slice(&rest[..rest.len().min(room)]);
        let skipped = (before + bytes.len()).saturating_sub(self.growing.len());
        (u64::try_from(newlines).unwrap_or(u64::MAX), u64::try_from(skipped).unwrap_or(u64::MAX))
    }

    /// When the unfinished line has waited long enough, in milliseconds.
    #[must_use]
    pub fn due_in(&self, now: u64) -> Option<u64> {
        let patience = if self.growing.contains(&b'\r') { BAR_PATIENCE_MS } else { PATIENCE_MS };
        (!self.growing.is_empty()).then(|| self.since.saturating_add(patience).saturating_sub(now))
    }

    /// The unfinished line as it is.
    pub fn flush(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.growing);
        self.show(line)
    }

    /// The beginning of a line that is too long.
    fn cut(&mut self) -> Option<String> {
        let whole = log::whole_characters(&self.growing);
        let held = self.secrets.iter().filter_map(|secret| begun(&self.growing[..whole], secret)).max().unwrap_or(0);
        let rest = self.growing.split_off(whole - held);
        let line = std::mem::replace(&mut self.growing, rest);
        self.show(line)
    }

    /// Forgets what a carriage return has overwritten.
    fn overwrite(&mut self) {
        let end = self.growing.iter().rposition(|&byte| byte != b'\r').map_or(0, |last| last + 1);
        if let Some(last) = self.growing[..end].iter().rposition(|&byte| byte == b'\r') {
            self.growing.drain(..=last);
        }
        let end = self.growing.iter().rposition(|&byte| byte != b'\r').map_or(0, |last| last + 1);
        self.growing.truncate(end + 1);
    }

    fn show(&self, mut line: Vec<u8>) -> Option<String> {
        for secret in &self.secrets {
            while let Some(at) = find(&line, secret) {
                line.splice(at..at + secret.len(), BLACKENED.bytes());
            }
        }
        let mut text = legible(&log::render(&line));
        // What colours had split is whole now.
        for secret in self.secrets.iter().filter_map(|secret| std::str::from_utf8(secret).ok()) {
            text = text.replace(secret, BLACKENED);
        }
        (!text.trim().is_empty()).then_some(text)
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// How many of the last bytes may be the beginning of `secret`.
fn begun(bytes: &[u8], secret: &[u8]) -> Option<usize> {
    (1..secret.len().min(bytes.len())).rev().find(|&count| bytes.ends_with(&secret[..count]))
}

/// Without what a terminal would obey: colours and the like are dropped, other control characters replaced.
fn legible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\u{1b}' => match characters.next_if(|c| matches!(c, '[' | ']')) {
                // Control sequences end with a letter or so, operating system commands with BEL or ESC \.
                Some('[') => drop(characters.find(|c| matches!(c, '\u{40}'..='\u{7e}'))),
                Some(_) => {
                    if characters.find(|c| matches!(c, '\u{7}' | '\u{1b}')) == Some('\u{1b}') {
                        characters.next_if_eq(&'\\');
                    }
                }
                None => drop(characters.next()),
            },
            '\t' => out.push(c),
            c if c.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests;
