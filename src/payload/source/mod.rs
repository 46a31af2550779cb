//! The first stage: the code, as the task's author had it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path};

use super::speech::say;
use super::tool::Redactor;
use crate::domain::handover::{Overlay, SourceReport, StageOrder};

mod error;

pub(super) use error::SourceError;

/// Fetches the code into `paths.code`.
pub(super) fn fetch(order: &StageOrder) -> Result<SourceReport, SourceError> {
    let _redactor = Redactor::new(&order.secrets);
    let code = &order.paths.code;
    fs::create_dir_all(code).map_err(|source| SourceError::Write { path: code.clone(), source })?;
    let commit = None;
    if let Overlay::Script { file, text } = &order.spec.source.overlay {
        write_script(code, file, text)?;
    }
    Ok(SourceReport { commit })
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
