//! A reader of HOCON as ClearML's own pyhocon reads it.
//!
//! Why our own: every `clearml.conf` that `clearml-init` writes has unquoted URLs (`api_server: https://host:8008`),
//! which the HOCON specification forbids and pyhocon reads. Of the crates, `hocon` 0.9 answers such a file with the
//! keys missing and no error, and `hocon-rs` 0.2 refuses it. So this follows pyhocon's grammar, not the
//! specification's: `//` opens a comment only where a value could begin, a value may begin on the line after its `:`,
//! `\u` is no escape, an empty string in a list is dropped, `true x` is the text `Truex`.
//!
//! It leaves pyhocon where pyhocon loses or invents something: `+=` in a nested object keeps the former value, `+=`
//! of a number or a substitution is refused, an object over `${x}` merges with it, a period (`10 s`) stays text at the end of the file too, `include url(…)` and
//! `include package(…)` are refused, and a substitution is looked back to the value before it at any depth.
//!
//! Text → [`parse`] → a tree with unresolved substitutions ([`tree`]) → [`resolve`] → [`Value`]. A file is hostile
//! until it is read: its size, depth, includes and what substitutions multiply are all bounded.

mod cursor;
mod lexeme;
mod parse;
mod resolve;
mod tree;
mod value;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use value::{Kind, Position, Value};

use super::environment::Environment;

/// Largest file that is read. The stock clearml.conf has 20 KiB.
const FILE_LIMIT: u64 = 1 << 20;
/// Objects and lists inside each other. Bounds recursion, as the next does.
const DEPTH_LIMIT: usize = 48;
/// Parts of a dotted key.
const KEY_LIMIT: usize = 16;

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {problem}")]
pub struct HoconError {
    /// Where.
    pub at: Position,
    /// What, with the next step.
    pub problem: String,
}

/// A file, read.
#[derive(Debug)]
pub struct Document {
    /// Its top object.
    pub root: Value,
    /// Files that were included.
    pub included: Vec<PathBuf>,
    /// Includes that were left out, because the file is not there: pyhocon goes on without them, too.
    pub left_out: Vec<HoconError>,
}

/// Reads a file and what it includes.
///
/// # Errors
/// Everything that pyhocon refuses, and a file over the limits.
pub fn read_file(path: &Path, environment: &Environment) -> Result<Document, Vec<HoconError>> {
    let text = read_limited(path).map_err(|problem| vec![HoconError { at: Position::whole(path), problem }])?;
    read(&text, path, path.parent().map(Path::to_owned), environment)
}

/// Reads a text that has no file: `origin` is what its positions name.
///
/// # Errors
/// As [`read_file`].
pub fn read_text(text: &str, origin: &str, environment: &Environment) -> Result<Document, Vec<HoconError>> {
    read(text, Path::new(origin), None, environment)
}

fn read(
    text: &str,
    path: &Path,
    base: Option<PathBuf>,
    environment: &Environment,
) -> Result<Document, Vec<HoconError>> {
    let mut includes = parse::Includes::default();
    let file: Arc<Path> = Arc::from(path);
    let fields = parse::document(text, &file, base, 0, &mut includes).map_err(|error| vec![*error])?;
    let root = resolve::resolve(&fields, Position::whole(path), environment)?;
    Ok(Document { root, included: includes.files, left_out: includes.left_out })
}

/// Reads a regular file of at most 1 MiB of UTF-8; else says what is wrong with it.
pub(super) fn read_limited(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    use std::os::unix::fs::OpenOptionsExt as _;

    let cannot = |error: std::io::Error| format!("cannot read it: {error}; check the path and its permissions");
    // A FIFO is refused below, not waited for.
    let mut options = std::fs::File::options();
    options.read(true).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY);
    let file = options.open(path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err("it is no regular file; name a file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(format!("it is larger than {FILE_LIMIT} bytes; a configuration is not"));
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("byte {} is no UTF-8; save the file as UTF-8", error.utf8_error().valid_up_to()))
}

#[cfg(test)]
mod tests;
