//! Takes typed values out of the merged tree and the environment, and keeps the account: every error, and every value
//! that was taken with its origin.

use std::ffi::OsStr;
use std::time::Duration;

use secrecy::SecretString;

use super::environment::Environment;
use super::hocon::{Kind, Value};
use super::origin::{ConfigError, Origin, Remark, Sourced};

/// A setting as `clearmlctl config` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// `api.api_server`.
    pub key: String,
    /// Printable; a secret is `****`.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

pub(super) struct Reader<'a> {
    root: &'a Value,
    pub(super) environment: &'a Environment,
    pub(super) errors: Vec<ConfigError>,
    pub(super) remarks: Vec<Remark>,
    pub(super) described: Vec<Described>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(root: &'a Value, environment: &'a Environment) -> Self {
        Self { root, environment, errors: Vec::new(), remarks: Vec::new(), described: Vec::new() }
    }

    pub(super) fn find(&self, key: &str) -> Option<&'a Value> {
        let path: Vec<&str> = key.split('.').collect();
        self.root.get(&path).filter(|value| !matches!(value.kind, Kind::Null))
    }

    pub(super) fn error(&mut self, origin: Origin, key: &str, problem: impl Into<String>) {
        self.errors.push(ConfigError { origin, key: Some(key.to_owned()), problem: problem.into() });
    }

    pub(super) fn remark(&mut self, origin: Origin, text: impl Into<String>) {
        self.remarks.push(Remark { origin, text: text.into() });
    }

    pub(super) fn describe(&mut self, key: &str, value: impl Into<String>, origin: &Origin) {
        self.described.push(Described { key: key.to_owned(), value: value.into(), origin: origin.clone() });
    }

    /// The raw text of a scalar: the variable before the file. Empty is as good as absent.
    fn raw(&mut self, key: &str, variable: Option<&str>) -> Option<Sourced<String>> {
        if let Some((name, value)) = variable.and_then(|variable| self.environment.twin(variable)) {
            let origin = Origin::Variable(name);
            return match OsStr::to_str(value) {
                Some(text) => Some(Sourced { value: text.trim().to_owned(), origin }),
                None => {
                    self.error(origin, key, "it is no UTF-8; set it again, or unset it");
                    None
                }
            };
        }
        let value = self.find(key)?;
        let origin = Origin::from(&value.at);
        match value.scalar_text() {
            Some(text) if text.is_empty() => None,
            Some(text) => Some(Sourced { value: text, origin }),
            None => {
                self.error(origin, key, format!("it is {}; write one plain value", value.kind.name()));
                None
            }
        }
    }

    pub(super) fn text(&mut self, key: &str, variable: Option<&str>) -> Option<Sourced<String>> {
        let found = self.raw(key, variable)?;
        if found.value.chars().any(char::is_control) {
            self.error(found.origin, key, "it has a control character in it; write it on one line");
            return None;
        }
        self.describe(key, mask_url(&found.value), &found.origin);
        Some(found)
    }

    pub(super) fn secret(&mut self, key: &str, variable: Option<&str>) -> Option<Sourced<SecretString>> {
        let found = self.raw(key, variable)?;
        self.describe(key, "****", &found.origin);
        Some(Sourced { value: SecretString::from(found.value), origin: found.origin })
    }

    pub(super) fn boolean(&mut self, key: &str, variable: Option<&str>, default: bool) -> Sourced<bool> {
        let found = self.raw(key, variable).and_then(|found| match truth(&found.value) {
            Some(value) => Some(Sourced { value, origin: found.origin }),
            None => {
                self.error(found.origin, key, "it is neither true nor false; write one of them");
                None
            }
        });
        let result = found.unwrap_or(Sourced { value: default, origin: Origin::Default });
        self.describe(key, result.value.to_string(), &result.origin);
        result
    }

    pub(super) fn integer(
        &mut self,
        key: &str,
        variable: Option<&str>,
        allowed: std::ops::RangeInclusive<u64>,
    ) -> Option<Sourced<u64>> {
        let found = self.raw(key, variable)?;
        match found.value.parse().ok().filter(|number| allowed.contains(number)) {
            Some(value) => {
                self.describe(key, found.value, &found.origin);
                Some(Sourced { value, origin: found.origin })
            }
            None => {
                let problem = format!("write a whole number from {} to {}", allowed.start(), allowed.end());
                self.error(found.origin, key, problem);
                None
            }
        }
    }

    /// Seconds, fractions allowed.
    pub(super) fn seconds(
        &mut self,
        key: &str,
        variable: Option<&str>,
        allowed: std::ops::RangeInclusive<f64>,
        default: f64,
    ) -> Sourced<Duration> {
        let found = self.raw(key, variable).and_then(|found| {
            match found.value.parse().ok().filter(|number| allowed.contains(number)) {
                Some(value) => Some(Sourced { value, origin: found.origin }),
                None => {
                    let problem = format!("write seconds, a number from {} to {}", allowed.start(), allowed.end());
                    self.error(found.origin, key, problem);
                    None
                }
            }
        });
        let result: Sourced<f64> = found.unwrap_or(Sourced { value: default, origin: Origin::Default });
        self.describe(key, format!("{} s", result.value), &result.origin);
        Sourced { value: Duration::from_secs_f64(result.value), origin: result.origin }
    }

    /// A list of texts; one text stands for a list of it.
    pub(super) fn texts(&mut self, key: &str) -> Vec<Sourced<String>> {
        let Some(value) = self.find(key) else { return Vec::new() };
        let items = match &value.kind {
            Kind::List(items) => items.as_slice(),
            Kind::Null | Kind::Bool(_) | Kind::Integer(_) | Kind::Float(_) | Kind::Text(_) | Kind::Object(_) => {
                std::slice::from_ref(value)
            }
        };
        let mut texts = Vec::new();
        for item in items {
            let origin = Origin::from(&item.at);
            match item.scalar_text() {
                Some(text) if text.is_empty() => {}
                Some(text) => texts.push(Sourced { value: text, origin }),
                None => self.error(origin, key, format!("there is {} in it; write texts", item.kind.name())),
            }
        }
        let printable: Vec<String> = texts.iter().map(|text| mask_url(&text.value)).collect();
        self.describe(key, printable.join(" "), &Origin::from(&value.at));
        texts
    }
}

/// ClearML's words for yes and no.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "t" | "true" | "on" | "1" => Some(true),
        "n" | "no" | "f" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Hides user and password of a URL.
pub(super) fn mask_url(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#', ' ']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://****{}", &rest[at..]),
        None => text.to_owned(),
    }
}

/// The password in a URL.
pub(super) fn password(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("://")?;
    let end = rest.find(['/', '?', '#', ' ']).unwrap_or(rest.len());
    let (user, _) = rest[..end].rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password.to_owned())
}
