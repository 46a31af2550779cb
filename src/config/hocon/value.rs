//! What a file says once it is read: values, each with the place it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A place in a file. `line` 0 is the file as a whole, `column` 0 the line as a whole.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file, or what stands for one (a variable's name).
    pub file: Arc<Path>,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
}

impl Position {
    /// The file as a whole.
    #[must_use]
    pub fn whole(file: &Path) -> Self {
        Self { file: Arc::from(file), line: 0, column: 0 }
    }

    /// The line, without its column.
    #[must_use]
    pub fn line_only(&self) -> Self {
        Self { column: 0, ..self.clone() }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

/// A value and where it was written.
#[derive(Clone, PartialEq)]
pub struct Value {
    /// What it is.
    pub kind: Kind,
    /// Where it was written last.
    pub at: Position,
}

/// The kinds of values that pyhocon knows.
#[derive(Clone, PartialEq)]
#[expect(missing_docs, reason = "the words of JSON")]
pub enum Kind {
    Null,
    Bool(bool),
    /// As Python's `str(int)` writes it: as long as it likes (a secret key may be all digits).
    Integer(String),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    Object(BTreeMap<String, Value>),
}

impl Kind {
    /// For messages: never the value itself, which may be a secret.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.kind.name(), self.at)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Value {
    /// The value at a path of keys below this one.
    #[must_use]
    pub fn get(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |value, key| match &value.kind {
            Kind::Object(fields) => fields.get(*key),
            Kind::Null | Kind::Bool(_) | Kind::Integer(_) | Kind::Float(_) | Kind::Text(_) | Kind::List(_) => None,
        })
    }

    /// A scalar as Python's `str` writes it; none for null, lists and objects.
    #[must_use]
    pub fn scalar_text(&self) -> Option<String> {
        match &self.kind {
            Kind::Bool(true) => Some("True".to_owned()),
            Kind::Bool(false) => Some("False".to_owned()),
            Kind::Integer(digits) => Some(digits.clone()),
            Kind::Float(number) => Some(format!("{number:?}")),
            Kind::Text(text) => Some(text.clone()),
            Kind::Null | Kind::List(_) | Kind::Object(_) => None,
        }
    }

    /// Lays `over` on top: objects merge, all else is replaced.
    pub fn merge(&mut self, over: Self) {
        match (&mut self.kind, over) {
            (Kind::Object(mine), Self { kind: Kind::Object(theirs), .. }) => {
                for (key, value) in theirs {
                    match mine.get_mut(&key) {
                        Some(existing) => existing.merge(value),
                        None => drop(mine.insert(key, value)),
                    }
                }
            }
            (_, over) => *self = over,
        }
    }

    /// As JSON. An integer beyond 64 bits becomes a text there, a float that JSON does not know becomes null.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.kind {
            Kind::Null => Json::Null,
            Kind::Bool(value) => Json::Bool(*value),
            Kind::Integer(digits) => digits.parse::<i64>().map_or_else(|_| Json::String(digits.clone()), Json::from),
            Kind::Float(number) => Json::from(*number),
            Kind::Text(text) => Json::String(text.clone()),
            Kind::List(items) => items.iter().map(Self::to_json).collect(),
            Kind::Object(fields) => {
                Json::Object(fields.iter().map(|(key, value)| (key.clone(), value.to_json())).collect())
            }
        }
    }
}
