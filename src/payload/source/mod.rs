//! The first stage: the code, as the task's author had it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path};

use super::speech::say;
use crate::domain::handover::{Overlay, Repository, SourceReport, StageOrder};

mod diff;
mod error;
mod git;
mod mirror;

pub(super) use error::SourceError;
use git::{Git, words};

/// Fetches the code into `paths.code`.
pub(super) fn fetch(order: &StageOrder) -> Result<SourceReport, SourceError> {
    let code = &order.paths.code;
    let source = &order.spec.source;
    fs::create_dir_all(code).map_err(|source| SourceError::Write { path: code.clone(), source })?;
    let cloned = source.repository.as_ref().map(|repository| clone(order, repository)).transpose()?;
    match (&source.overlay, &cloned) {
        (Overlay::Script { file, text }, _) => write_script(code, file, text)?,
        (Overlay::Diff { text }, Some((git, commit))) => diff::apply(git, code, commit, text)?,
        // The domain makes no such spec.
        (Overlay::Diff { .. }, None) | (Overlay::None, _) => {}
    }
    Ok(SourceReport { commit: cloned.map(|(_, commit)| commit) })
}

fn clone(order: &StageOrder, repository: &Repository) -> Result<(Git, String), SourceError> {
    let code = &order.paths.code;
    let url = git::effective_url(&repository.url, &order.secrets.git);
    let git = Git::new(order, git::is_local(&url))?;
    say(&format!("cloning {url} ({})", wanted(repository)));
    let commit = mirror::clone(&git, &order.paths.mirrors, repository, &url, code)?;
    let checkout = git.at(code).args(["checkout", "--quiet", "--force", "--detach", &commit]);
    checkout.run().map_err(|source| SourceError::Checkout {
        commit: commit.clone(),
        words: words(&source),
        source: Box::new(source),
    })?;
    if code.join(".gitmodules").is_file() {
        say("fetching its submodules");
        let update = git.at(code).args(["submodule", "update", "--quiet", "--init", "--recursive"]);
        update.run().map_err(|source| SourceError::Submodules { words: words(&source), source: Box::new(source) })?;
    }
    say(&format!("the code is at commit {commit}"));
    Ok((git, commit))
}

fn wanted(repository: &Repository) -> String {
    let named = [("commit", &repository.commit), ("tag", &repository.tag), ("branch", &repository.branch)];
    let first = named.into_iter().find_map(|(kind, name)| name.as_ref().map(|name| format!("{kind} {name}")));
    first.unwrap_or_else(|| "the default branch".to_owned())
}

/// The repository's own file of that name wins, as with clearml-agent.
fn write_script(code: &Path, file: &Path, text: &str) -> Result<(), SourceError> {
    // The domain has checked it; the spec came through a file since.
    let safe = file.components().all(|component| matches!(component, Component::Normal(_)));
    let path = code.join(file);
    let failed = |source| SourceError::Write { path: path.clone(), source };
    if !safe || path == *code {
        return Err(failed(io::Error::from(io::ErrorKind::InvalidInput)));
    }
    if !stays_inside(code, &path) {
        return Err(failed(io::Error::other("a link of the repository leads it out of the code directory")));
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match File::create_new(&path) {
        Ok(mut out) => {
            let ended = if text.ends_with('\n') { "" } else { "\n" };
            out.write_all(text.as_bytes()).and_then(|()| out.write_all(ended.as_bytes())).map_err(failed)?;
            say(&format!("the task's own script is {}", file.display()));
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            say(&format!(
                "the repository has a file {} already; the task's script does not replace it",
                file.display()
            ));
            Ok(())
        }
        Err(error) => Err(failed(error)),
    }
}

/// Whether a new file at `path` would be below `code`: a directory of the repository may be a link that leads out of
/// it, such as into the mirrors that other Runs use.
fn stays_inside(code: &Path, path: &Path) -> bool {
    let there = path.parent().and_then(|parent| parent.ancestors().find_map(|ancestor| ancestor.canonicalize().ok()));
    there.zip(code.canonicalize().ok()).is_some_and(|(there, code)| there.starts_with(code))
}
