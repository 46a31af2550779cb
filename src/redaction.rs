//! Takes secrets out of text that leaves the host: by how they look, and by what they are where that is known. Pure. It
//! would rather take too much than too little.

use std::borrow::Cow;
use std::fmt;

use regex::{Captures, Regex};
use secrecy::{ExposeSecret, SecretString};

/// What stands where a secret stood.
pub const REDACTED: &str = "****";
/// A shorter value would be found everywhere.
const SHORTEST: usize = 6;

/// How a pattern's finding is replaced.
type Replace = fn(&Captures<'_>) -> String;

/// What is taken out. Its `Debug` shows no value.
pub struct Redaction {
    patterns: Vec<(Regex, Replace)>,
    values: Vec<SecretString>,
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

impl Default for Redaction {
    fn default() -> Self {
        Self::knowing(std::iter::empty())
    }
}

fn whole(_: &Captures<'_>) -> String {
    REDACTED.to_owned()
}

/// What is before and after stays.
fn inner(found: &Captures<'_>) -> String {
    let part = |index| found.get(index).map_or("", |part| part.as_str());
    format!("{}{REDACTED}{}", part(1), part(2))
}

/// A value keeps its quotes, and gets some where its name has them: JSON stays JSON.
fn setting(found: &Captures<'_>) -> String {
    let part = |name| found.name(name).map_or("", |part| part.as_str());
    let (name, value) = (part("name"), part("value"));
    let quote = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => quote.to_string(),
        Some(_) | None if name.contains('"') => "\"".to_owned(),
        Some(_) | None => String::new(),
    };
    format!("{name}{quote}{REDACTED}{quote}")
}

/// By how they look.
const PATTERNS: [(&str, Replace); 11] = [
    (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)", whole),
    (r"(?i)(\bauthorization\\?[\x22']?\s*[:=]\s*\\?[\x22']?)[^\r\n\x22']+()", inner),
    (r"(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9+/=._~-]{8,}()", inner),
    // A web token.
    (r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*)?", whole),
    // User and password of a URL; a password may hold an @.
    (r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#\x22'<>]*(@)", inner),
    // Of GitHub, GitLab, Hugging Face, AWS, Slack, PyPI, npm, Google, Vault, language model services.
    (
        r"\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|gl(?:pat|rt|dt)-[\w-]{16,}|hf_[A-Za-z0-9]{16,}|(?:AKIA|ASIA)[0-9A-Z]{16}|xox[a-z]-[\w-]{10,}|pypi-[\w-]{16,}|npm_[A-Za-z0-9]{16,}|AIza[\w-]{20,}|hv[bs]\.[\w-]{16,}|sk-[\w-]{16,})",
        whole,
    ),
    // What a setting, a variable, a field or an option of that name is set to.
    (
        r#"(?i)(?P<name>[\w.-]*(?:(?:secret|password|passwd|passphrase|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|credential|signature)[\w-]*|[_.-]pass|\bpass|\bpwd|\bsig)\\?["']?\s*[:=]\s*)(?P<value>"(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;}\]"']+)"#,
        setting,
    ),
    (r"(?i)((?:^|\s)--?[\w-]*(?:secret|password|token|api-?key|access-?key)[\w-]*\s+)[^\s-]\S*()", inner),
    (r"(?i)(\b(?:set-)?cookie\s*:\s*)[^\r\n]+()", inner),
    // curl, and .netrc.
    (r"((?:^|\s)(?:-u|--user)\s+[^\s:]+:)\S+()", inner),
    (r"(?i)(\blogin\s+\S+\s+password\s+)\S+()", inner),
];

impl Redaction {
    /// Also takes out these values, wherever they stand.
    #[must_use]
    pub fn knowing(values: impl IntoIterator<Item = SecretString>) -> Self {
        let patterns = PATTERNS.iter().filter_map(|(pattern, replace)| Some((Regex::new(pattern).ok()?, *replace)));
        let mut values: Vec<SecretString> =
            values.into_iter().filter(|value| value.expose_secret().chars().count() >= SHORTEST).collect();
        // A value that holds another goes first, or a part of it would stay.
        values.sort_by_key(|value| std::cmp::Reverse(value.expose_secret().len()));
        Self { patterns: patterns.collect(), values }
    }

    /// The text without them.
    #[must_use]
    pub fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for value in &self.values {
            let plain = value.expose_secret();
            for form in [Cow::Borrowed(plain), percent(plain, true), percent(plain, false), json(plain)] {
                if text.contains(form.as_ref()) {
                    text = text.replace(form.as_ref(), REDACTED);
                }
            }
        }
        for (pattern, replace) in &self.patterns {
            if let Cow::Owned(changed) = pattern.replace_all(&text, *replace) {
                text = changed;
            }
        }
        text
    }
}

/// As in a URL, whose hexadecimal digits come in both cases.
fn percent(text: &str, upper: bool) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encode = |byte: u8| match (plain(byte), upper) {
        (true, _) => char::from(byte).to_string(),
        (false, true) => format!("%{byte:02X}"),
        (false, false) => format!("%{byte:02x}"),
    };
    Cow::Owned(text.bytes().map(encode).collect())
}

/// As inside of a JSON text.
fn json(text: &str) -> Cow<'_, str> {
    let quoted = serde_json::Value::from(text).to_string();
    Cow::Owned(quoted.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_one() {
        assert_eq!(Redaction::default().patterns.len(), PATTERNS.len());
    }

    #[test]
    fn secrets_go_by_how_they_look_and_what_is_round_them_stays() {
        let cases = [
            ("git_pass: hunter2x, git_user: me", "git_pass: ****, git_user: me"),
            (r#"{"secret_key": "a\"b c", "x": 1}"#, r#"{"secret_key": "****", "x": 1}"#),
            (r#"{"token_budget": 5, "x": 1}"#, r#"{"token_budget": "****", "x": 1}"#),
            ("CLEARML_API_SECRET_KEY=abc def", "CLEARML_API_SECRET_KEY=**** def"),
            ("Authorization: Basic dXNlcjpwYXNz", "Authorization: ****"),
            (r#""authorization": "Bearer abcdefgh12", "x""#, r#""authorization": "****", "x""#),
            ("sent Bearer abc.def-123456 to it", "sent Bearer **** to it"),
            ("https://user:p@ss@host/x?y=1", "https://****@host/x?y=1"),
            ("see https://host/x@y", "see https://host/x@y"),
            ("a eyJhbGciOiJI.eyJzdWIi.c2lnbmF0dXJl b", "a **** b"),
            ("push with ghp_0123456789abcdefABCDEF now", "push with **** now"),
            ("X-Api-Key: abcdef; x", "X-Api-Key: ****; x"),
            ("run --api-key=abcdef x", "run --api-key=**** x"),
            ("GET /b?sig=ab%2Fcd&x", "GET /b?sig=****"),
            ("Cookie: session=abc; other=d", "Cookie: ****"),
            ("curl -u me:hunter2x https://host", "curl -u me:**** https://host"),
            ("machine host login me password hunter2x", "machine host login me password ****"),
            ("key sk-proj-0123456789abcdef0123 end", "key **** end"),
            ("run --password hunter2x --user me", "run --password **** --user me"),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nrest", "****\nrest"),
        ];
        for (text, wanted) in cases {
            assert_eq!(Redaction::default().apply(text), wanted);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "state_dir: /var/lib/clearmld",
            "12 tasks passed: ok",
            "a compass: north",
            "a-secret-place in the hills",
            "http://host:8008/",
            "-u clearmld --boot",
        ] {
            assert_eq!(Redaction::default().apply(text), text);
        }
    }

    #[test]
    fn a_known_value_goes_wherever_it_stands_in_any_spelling() {
        let known = ["pa/ss \"word", "pa/ss"].map(|value| SecretString::from(value.to_owned()));
        let redaction = Redaction::knowing(known);
        for text in ["x pa/ss \"word y", "x pa%2Fss%20%22word y", "x pa%2fss%20%22word y", r#"x pa/ss \"word y"#] {
            assert_eq!(redaction.apply(text), "x **** y");
        }
        let short = Redaction::knowing([SecretString::from("root".to_owned())]);
        assert_eq!(short.apply("/root/x"), "/root/x");
        assert!(!format!("{redaction:?}").contains("word"));
    }
}
