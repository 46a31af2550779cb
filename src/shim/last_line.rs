//! The last line of the output that was not blank: often the error that a person wants to read first.

/// Most bytes of a line that are kept while it grows.
const KEPT: usize = 2048;
/// Most characters of the answer.
const SHOWN: usize = 500;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct LastLine {
    whole: Vec<u8>,
    growing: Vec<u8>,
}

impl LastLine {
    /// Looks at the next bytes. A carriage return ends a line as a newline does: progress bars end in one.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let Some(last_end) = bytes.iter().rposition(end) else {
            self.grow(bytes);
            return;
        };
        let mut lines = bytes[..last_end].rsplitn(usize::MAX, end).peekable();
        while let Some(line) = lines.next() {
            // The first line in the chunk goes on from what was there before.
            if lines.peek().is_none() {
                self.grow(line);
                if !blank(&self.growing) {
                    self.whole = std::mem::take(&mut self.growing);
                }
            } else if !blank(line) {
                self.whole = line[..line.len().min(KEPT)].to_vec();
                break;
            }
        }
        self.growing.clear();
        self.grow(&bytes[last_end + 1..]);
    }

    /// The line, if there is any.
    #[must_use]
    pub(super) fn get(&self) -> Option<String> {
        let line = if blank(&self.growing) { &self.whole } else { &self.growing };
        let text: String = String::from_utf8_lossy(line).trim().chars().take(SHOWN).collect();
        (!text.is_empty()).then_some(text)
    }

    fn grow(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.growing.len());
        self.growing.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

fn blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn last(chunks: &[&[u8]]) -> Option<String> {
        let mut line = LastLine::default();
        chunks.iter().for_each(|chunk| line.feed(chunk));
        line.get()
    }

    #[test]
    fn the_last_words_are_found_behind_blank_lines_and_across_chunks() {
        assert_eq!(last(&[b"a\nValue", b"Error: x\n\n", b"  \n"]), Some("ValueError: x".into()));
        assert_eq!(last(&[b"10%\r20%\r"]), Some("20%".into()));
        assert_eq!(last(&[b"\n\n"]), None);
        assert_eq!(last(&[b"a\nno end"]), Some("no end".into()));
    }

    #[test]
    fn a_line_without_end_takes_no_memory() {
        let mut line = LastLine::default();
        (0..1000).for_each(|_| line.feed(&[b'x'; 10_000]));
        assert_eq!(line.get().map(|text| text.len()), Some(SHOWN));
        assert!(line.growing.len() <= KEPT);
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_answer_is_the_same(text in "[ab \n\r]{0,60}", cuts in proptest::collection::vec(0usize..60, 0..6)) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut line = LastLine::default();
            let mut at = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                line.feed(&text.as_bytes()[at..cut]);
                at = cut;
            }
            let wanted = text.rsplit(['\n', '\r']).map(str::trim).find(|part| !part.is_empty());
            let found = line.get();
            prop_assert_eq!(found.as_deref(), wanted);
        }
    }
}
