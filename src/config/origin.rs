//! Where a value came from, and what is wrong with it.

use std::fmt;

use super::hocon::{HoconError, Position};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A place in a file.
    File(Position),
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
    /// Nobody said it.
    Default,
}

impl From<&Position> for Origin {
    fn from(at: &Position) -> Self {
        // A variable that is read as HOCON has positions that name it in the place of a file.
        match at.file.to_str().filter(|file| file.starts_with(super::OVERRIDE_PREFIX)) {
            Some(variable) => Self::Variable(variable.to_owned()),
            None => Self::File(at.line_only()),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(at) => at.fmt(f),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Its origin.
    pub origin: Origin,
}

/// Something that the operator should know: at `origin`, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Where.
    pub origin: Origin,
    /// What, and what it means.
    pub text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where.
    pub origin: Origin,
    /// Which setting, where it is one.
    pub key: Option<String>,
    /// What, with the next step. Never holds a value that may be a secret.
    pub problem: String,
}

impl From<HoconError> for ConfigError {
    fn from(error: HoconError) -> Self {
        let origin = match Origin::from(&error.at) {
            Origin::File(_) => Origin::File(error.at),
            variable => variable,
        };
        Self { origin, key: None, problem: error.problem }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.origin, &self.key) {
            (Origin::File(_), Some(key)) => write!(f, "{}: {key}: {}", self.origin, self.problem),
            (Origin::Default, Some(key)) => write!(f, "{key}: {}", self.problem),
            _ => write!(f, "{}: {}", self.origin, self.problem),
        }
    }
}

/// Everything that is wrong, at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// Never empty.
    pub errors: Vec<ConfigError>,
}

impl std::error::Error for ConfigErrors {}

impl fmt::Display for ConfigErrors {
    /// An error a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}
