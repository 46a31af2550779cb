//! Paths that a Task names: relative, and never above the code directory.

use std::path::{Component, Path, PathBuf};

use super::ScriptError;

/// `text` as a path, without `.` and with `..` resolved as far as it goes, if `base/text` stays below the code directory.
pub(super) fn below(field: &'static str, base: &Path, text: &str) -> Result<PathBuf, ScriptError> {
    if text.contains(|c: char| c.is_control()) {
        return Err(ScriptError::refused(field, text, "it holds a control character"));
    }
    if text.starts_with('-') {
        return Err(ScriptError::refused(field, text, "it starts with `-` and would be taken for an option"));
    }
    if text.starts_with('~') || Path::new(text).is_absolute() {
        return Err(ScriptError::refused(
            field,
            text,
            "it is an absolute path, but must be below the repository's root",
        ));
    }
    let clean = resolve(Path::new(text));
    if resolve(&base.join(&clean)).components().next() == Some(Component::ParentDir) {
        return Err(ScriptError::refused(field, text, "it leads out of the repository"));
    }
    Ok(clean)
}

/// Without `.`, and with `x/..` gone; what is left of `..` stands in front.
pub(super) fn resolve(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                if matches!(clean.components().next_back(), Some(Component::Normal(_))) {
                    clean.pop();
                } else {
                    clean.push("..");
                }
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    clean
}
