//! Requirement lines, from the task or the repository, in a form that does not depend on where the file stands.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::EnvironmentError;
use crate::domain::handover::{Overlay, StageOrder};
use crate::payload::speech::say;

/// A requirements file beyond this is no requirements file.
const LARGEST: u64 = 1 << 20;
/// `-r` within `-r`.
const DEEPEST: usize = 10;

/// What is to be installed.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// Without comments; paths are absolute.
    pub(super) lines: Vec<String>,
    /// What the lines do not say themselves: the code that a local package is built from, the text of constraints.
    pub(super) fingerprint: String,
}

/// The task's own lines.
pub(super) fn of_task(text: &str, order: &StageOrder) -> Result<Wanted, EnvironmentError> {
    let mut reader = Reader::new(&order.paths.code);
    let base = order.paths.code.join(&order.spec.program.working_dir);
    reader.text(text, &base, 0)?;
    Ok(reader.finish(order))
}

/// Every `requirements.txt` from the repository's root down to the working directory, outermost first.
pub(super) fn of_repository(order: &StageOrder) -> Result<Wanted, EnvironmentError> {
    let mut reader = Reader::new(&order.paths.code);
    let mut directory = order.paths.code.clone();
    let below = order.spec.program.working_dir.components().map(Some);
    for component in std::iter::once(None).chain(below) {
        if let Some(component) = component {
            directory.push(component);
        }
        let file = directory.join("requirements.txt");
        if file.is_file() {
            let name = file.strip_prefix(&order.paths.code).unwrap_or(&file).display().to_string();
            say(&format!("the task names no packages; taking those of {name}"));
            reader.file(&name, &file, 0)?;
        }
    }
    Ok(reader.finish(order))
}

#[derive(Debug)]
struct Reader {
    root: PathBuf,
    wanted: Wanted,
    local: bool,
    hash: Sha256,
}

impl Reader {
    fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), wanted: Wanted::default(), local: false, hash: Sha256::new() }
    }

    fn finish(mut self, order: &StageOrder) -> Wanted {
        if self.local {
            // A package of the repository: another commit or diff makes another environment.
            self.hash.update(format!("{:?}", order.spec.source.repository).as_bytes());
            self.hash.update(fs::read(order.paths.code.join(".git/HEAD")).unwrap_or_default());
            match &order.spec.source.overlay {
                Overlay::None => {}
                Overlay::Diff { text } | Overlay::Script { text, .. } => self.hash.update(text.as_bytes()),
            }
        }
        let mut lines = std::mem::take(&mut self.wanted.lines);
        let indexes = torch_indexes(&lines);
        lines.splice(0..0, indexes);
        Wanted { lines, fingerprint: self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    fn file(&mut self, name: &str, path: &Path, depth: usize) -> Result<(), EnvironmentError> {
        let text = self.read(name, path)?;
        self.text(&text, path.parent().unwrap_or(path), depth)
    }

    fn read(&self, name: &str, path: &Path) -> Result<String, EnvironmentError> {
        let failed = |reason: String| EnvironmentError::RequirementsFile { file: name.to_owned(), reason };
        let real = path.canonicalize().map_err(|error| failed(error.to_string()))?;
        let root = self.root.canonicalize().map_err(|error| failed(error.to_string()))?;
        if !real.starts_with(root) {
            return Err(failed("it is outside the code directory".to_owned()));
        }
        let mut text = String::new();
        let file = File::open(real).map_err(|error| failed(error.to_string()))?;
        let size = file.take(LARGEST + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
        if size as u64 > LARGEST { Err(failed("it is larger than 1 MiB".to_owned())) } else { Ok(text) }
    }

    fn text(&mut self, text: &str, base: &Path, depth: usize) -> Result<(), EnvironmentError> {
        let mut logical = String::new();
        for line in text.trim_start_matches('\u{feff}').lines().chain([""]) {
            if let Some(part) = line.strip_suffix('\\') {
                logical.push_str(part);
                continue;
            }
            logical.push_str(line);
            let whole = std::mem::take(&mut logical);
            let line = without_comment(&whole);
            if !line.is_empty() {
                self.line(line, base, depth)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &str, base: &Path, depth: usize) -> Result<(), EnvironmentError> {
        self.local |= is_local(line);
        if let Some(file) = option(line, "-r", "--requirement").filter(|file| !file.contains("://")) {
            if depth == DEEPEST {
                let reason = "requirements files name each other too deeply".to_owned();
                return Err(EnvironmentError::RequirementsFile { file: file.to_owned(), reason });
            }
            return self.file(file, &base.join(file), depth + 1);
        }
        if let Some(file) = option(line, "-c", "--constraint").filter(|file| !file.contains("://")) {
            let path = base.join(file);
            self.hash.update(self.read(file, &path)?.as_bytes());
            self.wanted.lines.push(format!("-c {}", path.display()));
            return Ok(());
        }
        if let Some(target) = option(line, "-e", "--editable") {
            let local = self.local(target, base);
            self.wanted.lines.push(format!("-e {}", local.as_deref().unwrap_or(target)));
            return Ok(());
        }
        match line.split_once('@').map(|(name, at)| (name.trim(), at.trim())) {
            // `pip freeze` of the author's machine: his file is not here, but the package has a name.
            Some((name, at)) if at.starts_with("file:") && !exists(at) => {
                say(&format!("`{line}` is on another machine; installing `{name}` from the index instead"));
                self.wanted.lines.push(name.to_owned());
            }
            Some(_) | None if line.starts_with("file:") && !exists(line) => {
                say(&format!("`{line}` is on another machine and has no package name; leaving it out"));
            }
            Some(_) | None => {
                let local = (line.starts_with('.') || line.starts_with('/')).then(|| self.local(line, base)).flatten();
                self.wanted.lines.push(local.unwrap_or_else(|| line.to_owned()));
            }
        }
        Ok(())
    }

    /// The absolute path, if the target is one.
    fn local(&mut self, target: &str, base: &Path) -> Option<String> {
        if target.contains("://") || target.starts_with("git+") {
            return None;
        }
        self.local = true;
        let clean = target.strip_prefix("./").unwrap_or(target);
        let clean = if clean == "." { "" } else { clean.strip_prefix(".[").map_or(clean, |_| &clean[1..]) };
        // `.[extra]` is the directory itself with an extra.
        let base = base.to_string_lossy();
        let base = base.trim_end_matches('/');
        Some(match clean {
            "" => base.to_owned(),
            text if text.starts_with('[') => format!("{base}{text}"),
            text if text.starts_with('/') => text.to_owned(),
            text => format!("{base}/{text}"),
        })
    }
}

fn exists(address: &str) -> bool {
    let path = address.trim_start_matches("file:").trim_start_matches("//");
    let path = path.split(['#', ';', ' ']).next().unwrap_or(path);
    Path::new(&format!("/{}", path.trim_start_matches("localhost/").trim_start_matches('/'))).exists()
}

/// Whether what the line installs is a file of this machine: by another Run's repository the same line means other code.
fn is_local(line: &str) -> bool {
    let file = |text: &str| {
        let name = text.split([' ', ';', '[', '#']).next().unwrap_or_default().to_ascii_lowercase();
        let archive = [".whl", ".zip", ".tar.gz"].iter().any(|end| name.ends_with(end));
        !name.contains("://") && (name.contains('/') || archive)
    };
    let links = option(line, "-f", "--find-links").is_some_and(|place| !place.contains("://"));
    links || line.to_ascii_lowercase().contains("file:") || (!line.starts_with('-') && file(line))
}

/// The value of `-r x`, `-rx`, `--requirement x` or `--requirement=x`.
fn option<'a>(line: &'a str, short: &str, long: &str) -> Option<&'a str> {
    if let Some(rest) = line.strip_prefix(long) {
        return rest.starts_with(['=', ' ', '\t']).then(|| rest.trim_start_matches('=').trim());
    }
    line.strip_prefix(short).filter(|_| !line.starts_with("--")).map(str::trim)
}

/// As pip does: `#` at the start or after a blank.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        if c == '#' && before.is_whitespace() {
            return line[..at].trim();
        }
        before = c;
    }
    line.trim()
}

/// `torch==2.4.0+cu121` is on no index but PyTorch's own.
fn torch_indexes(lines: &[String]) -> Vec<String> {
    let family = ["torch", "torchvision", "torchaudio"];
    let mut flavours = BTreeSet::new();
    for line in lines {
        let name: String = line.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        let Some((_, local)) = line.split_once('+').filter(|_| family.contains(&name.as_str())) else { continue };
        let flavour: String = local.chars().take_while(char::is_ascii_alphanumeric).collect();
        let known = flavour == "cpu"
            || flavour.strip_prefix("cu").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if known {
            flavours.insert(flavour);
        }
    }
    flavours.iter().map(|flavour| format!("--extra-index-url https://download.pytorch.org/whl/{flavour}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, root: &Path) -> Vec<String> {
        let mut reader = Reader::new(root);
        reader.text(text, root, 0).expect("read");
        reader.wanted.lines
    }

    #[test]
    fn comments_continuations_and_other_machines_files_are_read() {
        let root = tempfile::tempdir().expect("a directory");
        let text = "# Python 3.11\n\nsix == 1.16  # why\nnumpy \\\n >= 1\nx @ file:///nowhere/x.whl\nfile:///nowhere/y.whl\n\
                    z @ git+https://h/z#egg=z\n-e git+https://h/w#egg=w\n";
        assert_eq!(
            lines(text, root.path()),
            ["six == 1.16", "numpy  >= 1", "x", "z @ git+https://h/z#egg=z", "-e git+https://h/w#egg=w"]
        );
    }

    #[test]
    fn whatever_comes_from_a_file_of_the_repository_makes_the_environment_that_repositorys_own() {
        let root = tempfile::tempdir().expect("a directory");
        let place = root.path().display();
        for (line, local) in [
            (format!("x @ file://{place}"), true),
            (format!("-e file://{place}"), true),
            (format!("file://{place}"), true),
            (format!("--extra-index-url FILE://{place}"), true),
            ("-f wheels".to_owned(), true),
            ("wheels/x-1.0-py3-none-any.whl".to_owned(), true),
            ("x-1.0.tar.gz".to_owned(), true),
            ("x == 1.0".to_owned(), false),
            ("x @ git+https://h/x.git".to_owned(), false),
            ("https://h/x.whl".to_owned(), false),
            ("-f https://h/wheels".to_owned(), false),
        ] {
            let mut reader = Reader::new(root.path());
            reader.text(&line, root.path(), 0).expect("read");
            assert_eq!(reader.local, local, "{line}");
        }
    }

    #[test]
    fn local_packages_become_absolute() {
        let root = tempfile::tempdir().expect("a directory");
        let base = root.path().display().to_string();
        assert_eq!(
            lines("-e .\n-e .[dev]\n./pkg\n--editable=sub/dir", root.path()),
            [format!("-e {base}"), format!("-e {base}[dev]"), format!("{base}/pkg"), format!("-e {base}/sub/dir")]
        );
    }

    #[test]
    fn other_requirements_files_are_read_in_place_but_only_below_the_code() {
        let root = tempfile::tempdir().expect("a directory");
        crate::sys::durable::write(&root.path().join("base.txt"), b"six\n-r base.txt", 0o644).expect("written");
        let mut reader = Reader::new(root.path());
        let error = reader.text("-r base.txt", root.path(), 0).expect_err("a circle");
        assert!(error.to_string().contains("too deeply"), "{error}");
        for outside in ["-r /etc/hostname", "--requirement=../x.txt", "-r nowhere.txt"] {
            assert!(Reader::new(root.path()).text(outside, root.path(), 0).is_err(), "{outside}");
        }
    }

    #[test]
    fn a_torch_of_a_cuda_flavour_brings_its_index() {
        let of = |line: &str| torch_indexes(&[line.to_owned()]);
        assert_eq!(of("torch == 2.4.0+cu121"), ["--extra-index-url https://download.pytorch.org/whl/cu121"]);
        assert!(of("torch==2.4.0").is_empty());
        assert!(of("torch==2.4.0+cu/../x").is_empty());
        assert!(of("evil==2.4.0+cu121").is_empty());
    }
}
