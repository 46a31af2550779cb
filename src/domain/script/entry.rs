//! The entry point: a file, a module or code, and arguments after it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::path::{below, resolve};
use super::{Entry, ProgramSpec, ScriptError, TaskScript, printable};

/// What runs the entry point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// Python; whatever is no shell is taken for it, as clearml-agent does.
    Python,
    /// This shell.
    Shell(&'static str),
}

impl Language {
    pub(super) fn of(binary: Option<&str>) -> Self {
        match binary.map(base_name) {
            Some("bash") => Self::Shell("bash"),
            Some("sh") => Self::Shell("sh"),
            Some("zsh") => Self::Shell("zsh"),
            Some(_) | None => Self::Python,
        }
    }

    fn default_file(self) -> &'static str {
        match self {
            Self::Python => "untitled.py",
            Self::Shell(_) => "untitled.sh",
        }
    }
}

fn base_name(binary: &str) -> &str {
    let program = binary.split_whitespace().next().unwrap_or_default();
    program.rsplit('/').next().unwrap_or(program)
}

/// `/usr/bin/python3.10` is `3.10`; `python3` says nothing.
pub(super) fn python_version(binary: &str) -> Option<String> {
    let rest = base_name(binary).strip_prefix("python")?;
    let digits: String = rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let parts: Vec<&str> = digits.trim_end_matches('.').split('.').collect();
    let valid = (2..=3).contains(&parts.len()) && parts.iter().all(|part| part.parse::<u16>().is_ok());
    valid.then(|| parts.join("."))
}

/// What is started, and where.
#[derive(Debug)]
pub(super) struct Invocation {
    entry: Entry,
    arguments: Vec<String>,
    working_dir: PathBuf,
    /// Where a literal script goes, below the code directory.
    pub(super) script_file: PathBuf,
}

impl Invocation {
    pub(super) fn read(
        script: &TaskScript,
        language: Language,
        repository: bool,
        literal: bool,
    ) -> Result<Self, ScriptError> {
        let entry = script.entry_point.as_deref().unwrap_or_default().trim();
        if entry.contains('\0') {
            return Err(ScriptError::refused("entry point", entry, "it holds a NUL character"));
        }
        let directory = script.working_dir.as_deref().unwrap_or_default().trim();
        if entry.starts_with("-m ") || entry.starts_with("-c ") {
            return Self::without_file(entry, directory, language, repository);
        }
        if entry.is_empty() && !literal {
            return Err(ScriptError::NoEntryPoint);
        }
        let (entry, directory) = match entry.split_once(':') {
            // `file:dir`, only where no working directory is named.
            Some((file, inner)) if directory.is_empty() && !file.contains(char::is_whitespace) => (file, inner),
            Some(_) | None => (entry, directory),
        };
        let working_dir = working_dir(directory, repository)?;
        let (file, arguments) = match entry {
            "" => (language.default_file().to_owned(), Vec::new()),
            text => split(text)?,
        };
        if Path::new(&file).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("ipynb")) {
            return Err(ScriptError::Notebook { file: printable(&file) });
        }
        let file = below("entry point", &working_dir, &file)?;
        let script_file = resolve(&working_dir.join(&file));
        if file.file_name().is_none() {
            return Err(ScriptError::refused("entry point", entry, "it names no file"));
        }
        let entry = match language {
            Language::Python => Entry::PythonFile { file },
            Language::Shell(shell) => Entry::Other { command: vec![shell.to_owned()], file },
        };
        Ok(Self { entry, arguments, working_dir, script_file })
    }

    /// `-m module …` or `-c code …`; a literal script that goes with it is named by a working directory `dir:file`.
    fn without_file(entry: &str, directory: &str, language: Language, repository: bool) -> Result<Self, ScriptError> {
        let (directory, file) = directory.split_once(':').unwrap_or((directory, ""));
        let default = match (language, entry.starts_with("-c ")) {
            (Language::Shell(_), true) => "untitled.sh",
            (Language::Shell(_), false) | (Language::Python, _) => "untitled.py",
        };
        let working_dir = working_dir(directory, repository)?;
        let file = below("working directory", &working_dir, if file.is_empty() { default } else { file })?;
        let script_file = resolve(&working_dir.join(file));
        let (option, rest) = entry.split_at(2);
        let mut words = words(rest)?.into_iter();
        let first = words.next().ok_or(ScriptError::NoEntryPoint)?;
        let entry = match (option, language) {
            ("-m", _) if first.starts_with('-') => {
                return Err(ScriptError::refused("entry point", entry, "`-m` is followed by no module"));
            }
            ("-m", _) => Entry::PythonModule { module: first },
            (_, Language::Python) => Entry::PythonCode { code: first },
            (_, Language::Shell(shell)) => {
                Entry::OtherCode { command: vec![shell.to_owned(), "-c".to_owned()], code: first }
            }
        };
        Ok(Self { entry, arguments: words.collect(), working_dir, script_file })
    }

    pub(super) fn into_program(self) -> ProgramSpec {
        ProgramSpec {
            entry: self.entry,
            arguments: self.arguments,
            working_dir: self.working_dir,
            variables: BTreeMap::new(),
        }
    }
}

/// Without a repository there is one directory only, whatever the task's author had.
fn working_dir(text: &str, repository: bool) -> Result<PathBuf, ScriptError> {
    if repository { below("working directory", Path::new(""), text) } else { Ok(PathBuf::new()) }
}

fn words(text: &str) -> Result<Vec<String>, ScriptError> {
    shlex::split(text).ok_or_else(|| ScriptError::Unreadable { text: printable(text) })
}

/// File and arguments. A file name may hold blanks: then what follows the first blank is no argument, and the whole
/// text has the extension that its first word lacks.
fn split(text: &str) -> Result<(String, Vec<String>), ScriptError> {
    let is_script = |word: &str| [".py", ".sh", ".bash", ".zsh", ".ipynb"].iter().any(|end| word.ends_with(end));
    let Some(mut words) = shlex::split(text).filter(|words| !words.is_empty()) else {
        return Err(ScriptError::Unreadable { text: printable(text) });
    };
    let quoted = text.contains(['"', '\'', '\\']);
    if words.len() > 1 && !quoted && !is_script(&words[0]) && is_script(text) && !words[1].starts_with('-') {
        return Ok((text.to_owned(), Vec::new()));
    }
    let file = words.remove(0);
    Ok((file, words))
}
