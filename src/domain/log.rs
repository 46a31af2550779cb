//! From the bytes that a program printed to the events that the server keeps: pure cutting, no clock.
//!
//! Lines are whole where they can be; what a carriage return overwrote is dropped, as on a terminal; what is no UTF-8
//! is replaced. An event covers a range of the spool, so that offset and stamp together make a resend the same event.

use serde::{Deserialize, Serialize};

/// Most bytes of spool in one event (clearml-agent's limit is 64 KiB of text).
pub const EVENT_BYTES: usize = 64 * 1024;

/// A piece of the spool, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What is sent; may be empty, when all of it was overwritten.
    pub text: String,
    /// Bytes of the spool that it covers.
    pub consumed: usize,
}

/// What is known of the delivery of a Run's output; kept in `runs/<run>/delivery.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// Everything before this offset of the spool is at the server.
    pub acknowledged: u64,
    /// The last stamp that was used, in milliseconds; stamps only grow.
    pub stamp: u64,
    /// Sent, but not known to have arrived.
    pub pending: Option<Pending>,
    /// Stamp of our own closing lines, once they are about to be sent.
    #[serde(default)]
    pub closing: Option<u64>,
}

/// A request that may or may not have arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Offset of its end.
    pub end: u64,
    /// Stamp and end offset of each of its events.
    pub events: Vec<(u64, u64)>,
}

/// Cuts the next piece off `bytes`. Whole lines come at once; a line without an end only if `flush` says so, or when it
/// is longer than an event may be. None when there is nothing to send yet.
#[must_use]
pub fn cut(bytes: &[u8], flush: bool) -> Option<Piece> {
    let window = &bytes[..bytes.len().min(EVENT_BYTES)];
    let end = match window.iter().rposition(|&byte| byte == b'\n') {
        Some(newline) => newline + 1,
        None if window.len() == EVENT_BYTES => whole_characters(window),
        None if flush => whole_characters(window),
        None => 0,
    };
    (end > 0).then(|| Piece { text: render(&window[..end]), consumed: end })
}

/// Where the last whole UTF-8 character ends; all of it, when what is cut off is no beginning of one.
pub(super) fn whole_characters(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(3);
    for start in (tail..bytes.len()).rev() {
        let need = match bytes[start] {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            0x80..=0xBF => continue,
            _ => break,
        };
        if bytes.len() - start < need && start > 0 {
            return start;
        }
        break;
    }
    bytes.len()
}

/// The text of a range of the spool, as [`cut`] gives it: a resend of the same range is the same text.
#[must_use]
pub fn render(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = match line.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (line, ""),
        };
        let line = line.trim_end_matches('\r');
        out.push_str(line.rsplit('\r').next().unwrap_or(line));
        out.push_str(end);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &[u8], flush: bool) -> Option<String> {
        cut(bytes, flush).map(|piece| piece.text)
    }

    #[test]
    fn a_progress_bar_leaves_its_last_state() {
        assert_eq!(text(b"10%\r20%\r30%\ndone\r\n", false), Some("30%\ndone\n".into()));
    }

    #[test]
    fn an_unfinished_line_waits_until_it_is_flushed() {
        assert_eq!(cut(b"loading", false), None);
        assert_eq!(text(b"loading", true), Some("loading".into()));
        assert_eq!(text(b"a\nloading", true), Some("a\n".into()));
    }

    #[test]
    fn a_character_is_never_cut_in_two_and_a_broken_one_is_replaced() {
        let euro = "x€".as_bytes();
        assert_eq!(cut(&euro[..3], true), Some(Piece { text: "x".into(), consumed: 1 }));
        assert_eq!(text(b"a\xffb\n", false), Some("a\u{fffd}b\n".into()));
        assert_eq!(text(b"\xe2\x82", true), Some("\u{fffd}".into()));
    }

    #[test]
    fn a_line_longer_than_an_event_is_sent_in_parts() {
        let bytes = vec![b'x'; EVENT_BYTES + 10];
        assert_eq!(cut(&bytes, false).map(|piece| piece.consumed), Some(EVENT_BYTES));
    }

    proptest! {
        #[test]
        fn whatever_is_printed_all_bytes_are_consumed_in_order(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20),
        ) {
            let all: Vec<u8> = chunks.concat();
            let mut at = 0;
            while let Some(piece) = cut(&all[at..], true) {
                prop_assert!(piece.consumed > 0);
                at += piece.consumed;
            }
            prop_assert_eq!(at, all.len());
        }

        #[test]
        fn text_without_carriage_returns_arrives_unchanged(lines in "[a-zé€\n]{0,400}") {
            let bytes = lines.as_bytes();
            let mut at = 0;
            let mut out = String::new();
            while let Some(piece) = cut(&bytes[at..], true) {
                out.push_str(&piece.text);
                at += piece.consumed;
            }
            prop_assert_eq!(out, lines);
        }
    }
}
