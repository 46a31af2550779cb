//! The small words of pyhocon's grammar: characters, numbers, escapes, keywords.

use super::tree::Node;

pub(super) fn is_key_character(c: char) -> bool {
    // pyparsing's alphanums + alphas8bit + "._- /"
    c.is_ascii_alphanumeric() || "._- /".contains(c) || ('À'..='ÿ').contains(&c) && c != '×' && c != '÷'
}

/// `\s` of Python's `re`, which knows four separators more than Rust.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

pub(super) fn is_unquoted(c: char) -> bool {
    !is_space(c) && !"^`+?!@*&\"[{]}#,=$\\".contains(c)
}

pub(super) fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c != '\\' {
            result.push(c);
            continue;
        }
        match characters.next() {
            Some('n') => result.push('\n'),
            Some('r') => result.push('\r'),
            Some('t') => result.push('\t'),
            Some(known @ ('\\' | '=' | '#' | '!' | '"')) => result.push(known),
            Some(other) => result.extend(['\\', other]),
            None => result.push('\\'),
        }
    }
    result
}

/// The length of the number at the start, if what follows lets it be one.
pub(super) fn number_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let whole = digits(sign);
    let mut end = sign + whole;
    let fraction = if bytes.get(end) == Some(&b'.') { digits(end + 1) } else { 0 };
    if fraction > 0 {
        end += 1 + fraction;
    }
    if whole + fraction == 0 {
        return None;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let exponent_sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + exponent_sign);
        if exponent > 0 {
            end += 1 + exponent_sign + exponent;
        }
    }
    let after = text[end..].trim_start_matches([' ', '\t']);
    let ends = text.len() == end || after.starts_with(['$', '}', ']', ',', '#', '\n', '\r']) || after.starts_with("//");
    ends.then_some(end)
}

pub(super) fn number(text: &str) -> Node {
    if text.contains(['.', 'e', 'E']) {
        // The pattern above is a part of what `f64` reads.
        return text.parse().map_or_else(|_| Node::Text(text.to_owned()), Node::Float);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.trim_start_matches('+')),
    };
    match digits.trim_start_matches('0') {
        "" => Node::Integer("0".to_owned()),
        significant => Node::Integer(format!("{sign}{significant}")),
    }
}

pub(super) fn at_keyword(text: &str, word: &str) -> bool {
    let (head, tail) = match text.split_at_checked(word.len()) {
        Some(parts) => parts,
        None => return false,
    };
    // pyparsing's Keyword: no identifier goes on behind it.
    head.eq_ignore_ascii_case(word) && !tail.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$')
}

/// The length of the quoted text at the start, with its quotes.
pub(super) fn quoted_length(text: &str, is_key: bool) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some(at + 1),
            '\n' => return None,
            '\r' if is_key => return None,
            '\\' if characters.next().is_none_or(|(_, escaped)| escaped == '\n') => return None,
            _ => {}
        }
    }
    None
}
