//! A program's output on a terminal: text, line ends and colours pass; everything else that a terminal would obey
//! (titles, clipboard, cursor, modes, answers) does not.

use super::text::turns;

/// Longest escape sequence that is waited for; a longer one is dropped as it comes.
const LONGEST_SEQUENCE: usize = 64;

/// Remembers what was cut between two chunks.
#[derive(Debug, Default)]
pub(in crate::ctl) struct Filter {
    /// Bytes of a character that has not ended.
    partial: Vec<u8>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After `ESC [`: the parameters so far.
    Control(String),
    /// Inside OSC, DCS, PM, APC or SOS: up to BEL or ST.
    Swallow,
    /// Inside the same, after an ESC.
    SwallowEscape,
    /// After `ESC` and an intermediate such as `(`: one more character.
    OneMore,
}

impl Filter {
    /// What of `bytes` may be written to a terminal.
    pub(in crate::ctl) fn pass(&mut self, bytes: &[u8]) -> String {
        self.partial.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.partial);
        let mut out = String::with_capacity(pending.len());
        let mut rest = pending.as_slice();
        loop {
            let (valid, after) = match std::str::from_utf8(rest) {
                Ok(text) => (text, &[][..]),
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    let valid = std::str::from_utf8(valid).unwrap_or_default();
                    match error.error_len() {
                        // The character may be completed by the next chunk.
                        None => {
                            self.partial = after.to_vec();
                            (valid, &[][..])
                        }
                        Some(broken) => {
                            self.feed_all(valid, &mut out);
                            self.feed('\u{FFFD}', &mut out);
                            rest = &after[broken..];
                            continue;
                        }
                    }
                }
            };
            self.feed_all(valid, &mut out);
            if after.is_empty() {
                return out;
            }
            rest = after;
        }
    }

    fn feed_all(&mut self, text: &str, out: &mut String) {
        for character in text.chars() {
            self.feed(character, out);
        }
    }

    fn feed(&mut self, character: char, out: &mut String) {
        self.state = match std::mem::take(&mut self.state) {
            State::Text => match character {
                '\u{1b}' => State::Escape,
                '\u{9b}' => State::Control(String::new()),
                '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => State::Swallow,
                '\n' | '\r' | '\t' => {
                    out.push(character);
                    State::Text
                }
                _ => {
                    if !character.is_control() && !turns(character) {
                        out.push(character);
                    }
                    State::Text
                }
            },
            State::Escape => match character {
                '[' => State::Control(String::new()),
                ']' | 'P' | 'X' | '^' | '_' => State::Swallow,
                ' '..='/' => State::OneMore,
                '\u{1b}' => State::Escape,
                _ => State::Text,
            },
            State::Control(mut parameters) => match character {
                'm' if colours(&parameters) => {
                    out.push_str("\u{1b}[");
                    out.push_str(&parameters);
                    out.push('m');
                    State::Text
                }
                ' '..='?' => {
                    if parameters.len() < LONGEST_SEQUENCE {
                        parameters.push(character);
                    }
                    State::Control(parameters)
                }
                '\u{1b}' => State::Escape,
                // A line end is never part of a sequence; a program that was cut off must not swallow the next line.
                '\n' => {
                    out.push(character);
                    State::Text
                }
                _ => State::Text,
            },
            State::Swallow => match character {
                '\u{07}' | '\u{9c}' => State::Text,
                '\u{1b}' => State::SwallowEscape,
                '\n' => {
                    out.push(character);
                    State::Text
                }
                _ => State::Swallow,
            },
            State::SwallowEscape => match character {
                '\\' => State::Text,
                '\u{1b}' => State::SwallowEscape,
                _ => State::Swallow,
            },
            State::OneMore => match character {
                ' '..='/' => State::OneMore,
                _ => State::Text,
            },
        };
    }
}

/// Whether they are those of SGR, whole.
fn colours(parameters: &str) -> bool {
    parameters.len() < LONGEST_SEQUENCE && parameters.bytes().all(|byte| byte.is_ascii_digit() || b";:".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pass(bytes: &[u8]) -> String {
        Filter::default().pass(bytes)
    }

    #[test]
    fn text_line_ends_and_colours_pass() {
        let text = "a\tb\r\n\u{1b}[1;31mrot\u{1b}[0m 模型\u{1b}[m";
        assert_eq!(pass(text.as_bytes()), text);
    }

    #[test]
    fn titles_clipboard_cursor_and_questions_do_not_pass() {
        for sequence in [
            "\u{1b}]0;title\u{07}",
            "\u{1b}]52;c;cm0gLXJm\u{1b}\\",
            "\u{1b}[2J",
            "\u{1b}[6n",
            "\u{1b}[?1049h",
            "\u{1b}[>4;2m",
            "\u{1b}P+q544e\u{1b}\\",
            "\u{9b}2J",
            "\u{1b}(0",
            "\u{1b}c",
            "\u{08}\u{07}\u{7f}\u{202e}",
        ] {
            assert_eq!(pass(format!("a{sequence}b").as_bytes()), "ab", "{sequence:?}");
        }
    }

    #[test]
    fn a_sequence_that_never_ends_takes_only_its_line() {
        assert_eq!(pass(b"\x1b]0;never\nnext\n"), "\nnext\n");
        assert_eq!(pass(b"\x1b[1;2\nnext\n"), "\nnext\n");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(pass(b"a\xff\x9bb"), "a\u{fffd}\u{fffd}b");
    }

    proptest! {
        #[test]
        fn where_the_chunks_are_cut_makes_no_difference(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0x1b), Just(b'['), Just(b'm'), Just(b']')], 0..80),
            cut in 0usize..80,
        ) {
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            let mut filter = Filter::default();
            let mut parts = filter.pass(first);
            parts.push_str(&filter.pass(second));
            prop_assert_eq!(parts, pass(&bytes));
        }

        #[test]
        fn only_colours_are_left_of_any_escapes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let out = pass(&bytes);
            for (at, _) in out.match_indices('\u{1b}') {
                let sequence = &out[at + 1..];
                let end = sequence.find('m').expect("an SGR ends in m");
                prop_assert!(sequence.starts_with('[') && colours(&sequence[1..end]));
            }
            let allowed = ['\n', '\r', '\t', '\u{1b}'];
            let obeyed = out.chars().find(|character| character.is_control() && !allowed.contains(character));
            prop_assert_eq!(obeyed, None);
        }
    }
}
