//! From a Task's script, as the server has it, to what a Run fetches, installs and runs.
//!
//! Whoever may edit a Task writes these fields: every name that becomes a path, and every word that becomes an argument
//! of git, is checked here, so that what comes out is safe to use as it is.

use std::path::PathBuf;

use super::handover::{
    Entry, EnvironmentSpec, GitCredential, Installer, Overlay, ProgramSpec, Repository, Requirements, SourceSpec,
};
use super::task::TaskScript;

mod address;
mod entry;
mod path;

use entry::{Invocation, Language};

/// What the configuration says about scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptChoices {
    /// What installs packages.
    pub installer: Installer,
    /// `agent.package_manager.extra_index_url`, those without credentials.
    pub extra_index_urls: Vec<String>,
    /// `agent.package_manager.extra_pip_install_flags`.
    pub extra_arguments: Vec<String>,
    /// `agent.package_manager.system_site_packages`.
    pub system_site_packages: bool,
    /// Where to look for interpreters besides the usual places.
    pub python_search: Vec<PathBuf>,
    /// `agent.package_manager.force_repo_requirements_txt`: the repository's files win over the task's lines.
    pub force_repo_requirements_txt: bool,
    /// `agent.package_manager.force_original_requirements`: what the author wrote wins over what a worker sent back.
    pub force_original_requirements: bool,
    /// `agent.ignore_requested_python_version`.
    pub ignore_requested_python_version: bool,
    /// `agent.default_python`, such as `3.11`.
    pub default_python: Option<String>,
}

/// What a script comes to.
#[derive(Debug, Clone)]
pub struct ScriptPlan {
    /// Where the code comes from.
    pub source: SourceSpec,
    /// What it needs.
    pub environment: EnvironmentSpec,
    /// What is run; its `variables` are empty and the caller's to fill.
    pub program: ProgramSpec,
    /// Credentials that stood in the repository's URL, for that host only. They belong into the Run's secrets.
    pub git: Vec<GitCredential>,
}

/// Why a Task's script cannot be run. Each says what is wrong and what the task's author can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// There is nothing to run.
    #[error(
        "the task has no script: neither a repository nor a program in its uncommitted changes; \
         create it with Task.init, clearml-task or `clearmlctl submit`"
    )]
    NoScript,
    /// There is code, but not what to start.
    #[error("the task names a repository but no entry point; set the script path in the task's EXECUTION tab")]
    NoEntryPoint,
    /// A diff needs what it is a diff of.
    #[error(
        "the task has uncommitted changes (a diff) but no repository to apply them to; \
         set the repository in the task's EXECUTION tab"
    )]
    DiffWithoutRepository,
    /// A notebook.
    #[error(
        "the entry point `{file}` is a notebook, which cannot be run yet; \
         convert it (`jupyter nbconvert --to script`) and name the .py file"
    )]
    Notebook {
        /// Which.
        file: String,
    },
    /// It cannot be split into words.
    #[error(
        "the entry point `{text}` has an unclosed quote or a stray backslash; correct it in the task's EXECUTION tab"
    )]
    Unreadable {
        /// The text.
        text: String,
    },
    /// A field would reach outside, or be taken for something else.
    #[error("the task's {field} `{text}` is refused: {reason}; correct it in the task's EXECUTION tab")]
    Refused {
        /// Which field.
        field: &'static str,
        /// What it holds, cut and made printable.
        text: String,
        /// Why.
        reason: &'static str,
    },
}

impl ScriptError {
    fn refused(field: &'static str, text: &str, reason: &'static str) -> Self {
        Self::Refused { field, text: printable(text), reason }
    }
}

/// The text may be long, hostile and hold a password.
fn printable(text: &str) -> String {
    address::without_userinfo(text).chars().take(120).flat_map(char::escape_debug).collect()
}

/// Reads a Task's script.
///
/// # Errors
/// When there is nothing to run, or a field is refused.
pub fn read(script: &TaskScript, choices: &ScriptChoices) -> Result<ScriptPlan, ScriptError> {
    let language = Language::of(script.binary.as_deref());
    let (repository, git) = repository(script)?;
    let diff = script.diff.as_deref().filter(|text| !text.trim().is_empty());
    let literal = diff.filter(|text| is_literal(text));
    if repository.is_none() && literal.is_none() {
        return Err(match (diff, &script.entry_point) {
            (Some(_), _) => ScriptError::DiffWithoutRepository,
            // A module or code of its own needs no files.
            (None, Some(entry)) if entry.starts_with("-m ") || entry.starts_with("-c ") => {
                return bare(script, choices, language);
            }
            (None, _) => ScriptError::NoScript,
        });
    }
    let invocation = Invocation::read(script, language, repository.is_some(), literal.is_some())?;
    let overlay = match (literal, diff) {
        (Some(text), _) => Overlay::Script { file: invocation.script_file.clone(), text: text.to_owned() },
        (None, Some(text)) => Overlay::Diff { text: text.to_owned() },
        (None, None) => Overlay::None,
    };
    let environment = environment(script, choices, language, repository.is_some());
    let source = SourceSpec { repository, overlay };
    Ok(ScriptPlan { source, environment, program: invocation.into_program(), git })
}

fn bare(script: &TaskScript, choices: &ScriptChoices, language: Language) -> Result<ScriptPlan, ScriptError> {
    let invocation = Invocation::read(script, language, false, false)?;
    Ok(ScriptPlan {
        source: SourceSpec { repository: None, overlay: Overlay::None },
        environment: environment(script, choices, language, false),
        program: invocation.into_program(),
        git: Vec::new(),
    })
}

/// The SDK records either a diff or, when there is no repository, the whole program in the same field.
fn is_literal(diff: &str) -> bool {
    let starts =
        |line: &str, word: &str| line.trim_start().get(..word.len()).is_some_and(|s| s.eq_ignore_ascii_case(word));
    let text = diff.trim_start();
    let second = text.lines().nth(1).unwrap_or_default();
    !(starts(text, "diff ") || (starts(text, "submodule ") && starts(second, "diff ")))
}

fn repository(script: &TaskScript) -> Result<(Option<Repository>, Vec<GitCredential>), ScriptError> {
    let Some(text) = &script.repository else { return Ok((None, Vec::new())) };
    let (url, credential) = address::read(text)?;
    let revision = |field, text: &Option<String>| {
        text.as_deref()
            .filter(|text| !text.is_empty())
            .map(|text| address::revision(field, text).map(str::to_owned))
            .transpose()
    };
    let repository = Repository {
        url,
        commit: revision("commit", &script.version_num)?,
        tag: revision("tag", &script.tag)?,
        branch: revision("branch", &script.branch)?,
    };
    Ok((Some(repository), credential.into_iter().collect()))
}

fn environment(script: &TaskScript, choices: &ScriptChoices, language: Language, repository: bool) -> EnvironmentSpec {
    let original = script.original_pip_requirements.as_ref().filter(|_| choices.force_original_requirements);
    let lines = original.or(script.pip_requirements.as_ref());
    let from_repository = repository && choices.force_repo_requirements_txt;
    let requirements = match lines.filter(|_| !from_repository) {
        // An empty section says "nothing", no section says "look into the repository".
        Some(text) if repository || !text.trim().is_empty() => Requirements::Lines { text: text.clone() },
        Some(_) | None if repository => Requirements::FromRepository,
        Some(_) | None => match language {
            Language::Shell(_) => Requirements::Nothing,
            Language::Python => Requirements::Lines { text: String::new() },
        },
    };
    let wanted = script.binary.as_deref().and_then(entry::python_version);
    EnvironmentSpec {
        python: wanted.filter(|_| !choices.ignore_requested_python_version).or_else(|| choices.default_python.clone()),
        requirements,
        installer: choices.installer.clone(),
        extra_index_urls: choices.extra_index_urls.clone(),
        extra_arguments: choices.extra_arguments.clone(),
        system_site_packages: choices.system_site_packages,
        python_search: choices.python_search.clone(),
    }
}

#[cfg(test)]
mod tests;
