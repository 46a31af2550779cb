//! What `clearmlctl doctor` finds: a verdict a thing, and what to do about it.

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Tasks run, but something is missing or will hurt.
    Warning,
    /// Tasks cannot run here as they should.
    Failed,
    /// This host has no such thing.
    NotApplicable,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// One word, stable for programs.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen, for people.
    pub detail: String,
    /// A command or a file to edit; none where nothing needs to be done.
    pub fix: Option<String>,
}

impl Finding {
    /// As it should be.
    #[must_use]
    pub fn ok(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, detail: detail.into(), fix: None }
    }

    /// See [`Verdict::Warning`].
    #[must_use]
    pub fn warning(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, detail: detail.into(), fix: Some(fix.into()) }
    }

    /// See [`Verdict::Failed`].
    #[must_use]
    pub fn failed(check: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Failed, detail: detail.into(), fix: Some(fix.into()) }
    }

    /// See [`Verdict::NotApplicable`].
    #[must_use]
    pub fn not_applicable(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::NotApplicable, detail: detail.into(), fix: None }
    }
}
