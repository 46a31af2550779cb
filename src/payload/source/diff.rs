//! The task's uncommitted changes.

use std::fs::{self, File};
use std::path::{Component, Path};

use super::SourceError;
use super::git::{Git, words};
use crate::payload::speech::say;

/// Applies them to the working tree.
pub(super) fn apply(git: &Git, code: &Path, commit: &str, text: &str) -> Result<(), SourceError> {
    say("applying the task's uncommitted changes");
    for path in text.lines().filter_map(|line| line.strip_prefix("--- a/")) {
        touch(code, path.trim_end_matches(['\r', '\t']));
    }
    // The server trims texts; git wants the last line whole.
    let input = format!("{text}\n").into_bytes();
    let tool = git.at(code).args(["apply", "--unidiff-zero", "--whitespace=nowarn", "-"]);
    tool.feed(input).map_err(|source| {
        let commit = commit.chars().take(12).collect();
        SourceError::Diff { commit, words: words(&source), source: Box::new(source) }
    })
}

/// A diff may change a file that the author had, but never committed: it starts empty, as with clearml-agent. Where
/// that is not possible git says so.
fn touch(code: &Path, path: &str) {
    let relative = Path::new(path);
    let safe = relative.components().all(|part| matches!(part, Component::Normal(name) if name != ".git"));
    let file = code.join(relative);
    let Some(parent) = file.parent().filter(|_| safe && !path.is_empty()) else { return };
    if file.symlink_metadata().is_ok() {
        return;
    }
    if super::stays_inside(code, &file) {
        let _ = fs::create_dir_all(parent).and_then(|()| File::create_new(&file));
    }
}
