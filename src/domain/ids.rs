//! Identifiers. Each is checked when it is made, so that one that exists is safe to put into a path, a unit name or
//! a request.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {kind}: {reason}")]
pub struct InvalidId {
    kind: &'static str,
    text: String,
    reason: &'static str,
}

impl InvalidId {
    fn new(kind: &'static str, text: &str, reason: &'static str) -> Self {
        // The text may come from a hostile peer: keep the message short and printable.
        let text = text.chars().take(80).flat_map(char::escape_debug).collect();
        Self { kind, text, reason }
    }
}

/// ClearML ids are 32 hexadecimal digits; older servers and imports have used other short words, so the rule here is
/// only what paths, unit names and URLs can bear.
fn check_word(kind: &'static str, text: &str) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::new(kind, text, "it is empty"));
    }
    if text.len() > 64 {
        return Err(InvalidId::new(kind, text, "it is longer than 64 characters"));
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err(InvalidId::new(kind, text, "only letters, digits, `-` and `_` are allowed"));
    }
    Ok(())
}

macro_rules! word_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks `text` and wraps it.
            ///
            /// # Errors
            /// When it is empty, longer than 64 characters, or holds anything but letters, digits, `-` and `_`.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                check_word($kind, &text)?;
                Ok(Self(text))
            }

            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }
    };
}

word_id! {
    /// A Task at the ClearML server.
    TaskId, "task id"
}
word_id! {
    /// A Queue at the ClearML server.
    QueueId, "queue id"
}
word_id! {
    /// One attempt of one Worker at one Task; ours, minted before the queue is asked.
    RunId, "run id"
}
word_id! {
    /// The state directory's own identity: units and cgroups carry it, so that two daemons never touch each other's.
    StateId, "state id"
}

impl RunId {
    /// The unit that it runs as, where systemd starts it.
    #[must_use]
    pub fn unit(&self) -> String {
        format!("clearml-run-{self}.service")
    }
}

/// A Worker's name, which is also its worker id at the server (`host:gpu0,1`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkerName(String);

impl WorkerName {
    /// Checks `text` and wraps it.
    ///
    /// # Errors
    /// When it is empty, longer than 128 bytes, or holds anything but letters, digits and `.:,_@-`, or starts with
    /// anything but a letter or digit.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        let kind = "worker name";
        if text.len() > 128 {
            return Err(InvalidId::new(kind, &text, "it is longer than 128 characters"));
        }
        if !text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) {
            return Err(InvalidId::new(kind, &text, "it must start with a letter or a digit"));
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b".:,_@-".contains(&b)) {
            return Err(InvalidId::new(kind, &text, "only letters, digits and `.:,_@-` are allowed"));
        }
        Ok(Self(text))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for WorkerName {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

impl From<WorkerName> for String {
    fn from(name: WorkerName) -> Self {
        name.0
    }
}

impl std::str::FromStr for WorkerName {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::new(text)
    }
}

/// Milliseconds since the Unix epoch, as ClearML's log events count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_with_a_slash_or_a_dot_is_refused_since_it_becomes_a_path() {
        for text in ["", "../x", "a/b", "a.b", &"x".repeat(65)] {
            assert!(TaskId::new(text).is_err(), "{text:?}");
        }
        assert_eq!(TaskId::new("0f").map(String::from), Ok("0f".to_owned()));
    }

    #[test]
    fn a_worker_name_takes_every_form_that_clearml_agent_makes() {
        for text in ["host:0", "host:cpu:0", "host:gpu0,1", "host:gpuall", "host:gpu0.1", "a.b-c:dgpu0-3"] {
            assert!(WorkerName::new(text).is_ok(), "{text}");
        }
        for text in ["", ".x", "a/b", "a b", ":0"] {
            assert!(WorkerName::new(text).is_err(), "{text}");
        }
    }
}
