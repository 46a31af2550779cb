//! How a call fails, before it is known for whom: several callers may share one failed login.

use crate::engine::ports::ServerError;

/// A [`ServerError`] without the call's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    Unreachable { reason: String, maybe_done: bool },
    Unauthorized { reason: String },
    Rejected { code: u16, subcode: u32, message: String },
    Incomprehensible { reason: String },
}

impl Failure {
    pub(super) fn odd(reason: impl Into<String>) -> Self {
        Self::Incomprehensible { reason: reason.into() }
    }

    /// Whether the server answered at all.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Self::Unreachable { .. } => false,
            Self::Unauthorized { .. } | Self::Rejected { .. } | Self::Incomprehensible { .. } => true,
        }
    }

    pub(super) fn of(self, call: &'static str) -> ServerError {
        match self {
            Self::Unreachable { reason, maybe_done } => ServerError::Unreachable { call, reason, maybe_done },
            Self::Unauthorized { reason } => ServerError::Unauthorized { call, reason },
            Self::Rejected { code, subcode, message } => ServerError::Rejected { call, code, subcode, message },
            Self::Incomprehensible { reason } => ServerError::Incomprehensible { call, reason },
        }
    }
}

/// A text from outside, fit for one line of a log: printable and short.
pub(super) fn tame(text: &str) -> String {
    const MOST: usize = 400;
    let mut tame: String = text.chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MOST).is_some() {
        tame.push('…');
    }
    tame.trim().to_owned()
}
