//! Text that a terminal must not obey.

/// Control characters and those that turn the direction of writing are escaped; newlines too, but in [`safe`].
pub(in crate::ctl) fn cell(text: &str) -> String {
    escape(text, |_| false)
}

/// As [`cell`], for text of many lines.
pub(in crate::ctl) fn safe(text: &str) -> String {
    escape(text, |character| character == '\n')
}

/// [`cell`], cut to so many characters.
pub(in crate::ctl) fn short(text: &str, most: usize) -> String {
    let mut kept: String = text.chars().take(most).collect();
    if kept.len() < text.len() {
        kept.pop();
        kept.push('…');
    }
    cell(&kept)
}

fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if !keep(character) && (character.is_control() || turns(character)) {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
    }
    out
}

/// Characters that change the order in which others are shown, or hide: U+200E.., U+202A.., U+2066.., U+FEFF.
pub(in crate::ctl) fn turns(character: char) -> bool {
    matches!(character, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// JSON leaves DEL, C1 and what turns the direction as they are; escaped they mean the same and a terminal is safe.
pub(in crate::ctl) fn json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for character in document.chars() {
        if character != '\n' && (character.is_control() || turns(character)) {
            // All of them are in the first plane, so four digits are enough.
            out.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            out.push(character);
        }
    }
    out
}

/// A word for a POSIX shell.
pub(in crate::ctl) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_=+./:,@%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert_eq!(cell("a\x1b[2Jb\nc\u{9b}1m\u{202e}"), r"a\u{1b}[2Jb\nc\u{9b}1m\u{202e}");
        assert_eq!(safe("a\nb\r"), "a\nb\\r");
        assert_eq!(cell("größer 模型"), "größer 模型");
    }

    #[test]
    fn a_document_keeps_its_meaning_and_loses_what_a_terminal_would_obey() {
        let value = serde_json::json!({"a": "x\u{9b}2J\u{7f}\u{202e}\u{1b}\ny"});
        let escaped = json(&format!("{value:#}"));
        assert!(!escaped.chars().any(|character| turns(character) || (character.is_control() && character != '\n')));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).ok(), Some(value));
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(short("äöü", 3), "äöü");
        assert_eq!(short("äöüß", 3), "äö…");
    }

    #[test]
    fn a_word_stays_one_word() {
        assert_eq!(quoted("--lr=0.1"), "--lr=0.1");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("$HOME"), "'$HOME'");
    }
}
