//! Where server and key pair are stored, and the drop-in that hands them to the unit.
//!
//! The file is replaced before the drop-in names it: whatever happens between, the host has what it had or what it is
//! to have.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use secrecy::{ExposeSecret as _, SecretString};

use crate::ctl::failure::{self, Failure};
use crate::sys::durable;

/// The credential's name, and what it holds when its file is gone: `src/config/credential.rs` reads both.
const NAME: &str = "clearml.credentials";
const MISSING: &str = "missing";

const DIRECTORY: &str = "etc/clearmld";
const PLAIN: &str = "etc/clearmld/credentials.conf";
const ENCRYPTED: &str = "etc/clearmld/credentials.cred";
const DROP_INS: &str = "etc/systemd/system/clearmld.service.d";
const DROP_IN: &str = "etc/systemd/system/clearmld.service.d/50-credentials.conf";

/// What is stored on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stored {
    /// Nothing that the unit is handed.
    Nothing,
    /// This file.
    Plain(PathBuf),
    /// This file, which only this host can read.
    Encrypted(PathBuf),
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Plain(path) => path.display().fmt(f),
            Self::Encrypted(path) => write!(f, "{}, encrypted", path.display()),
        }
    }
}

/// A system: this one, or one below a directory.
#[derive(Debug)]
pub(super) struct Place {
    root: PathBuf,
}

impl Place {
    pub(super) fn below(root: Option<PathBuf>) -> Self {
        Self { root: root.unwrap_or_else(|| PathBuf::from("/")) }
    }

    /// What is stored. A file that no drop-in names is left of an `init` that was cut off, and counts for nothing.
    pub(super) fn look(&self) -> Result<Stored, Failure> {
        let drop_in = self.root.join(DROP_IN);
        let text = match fs::read_to_string(&drop_in) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stored::Nothing),
            Err(error) => return Err(Failure::file(&drop_in, error)),
        };
        let named = |path: &str| text.contains(&format!(":/{path}\n")) && self.root.join(path).exists();
        Ok(match (named(PLAIN), named(ENCRYPTED)) {
            (true, _) => Stored::Plain(self.root.join(PLAIN)),
            (false, true) => Stored::Encrypted(self.root.join(ENCRYPTED)),
            (false, false) => Stored::Nothing,
        })
    }

    pub(super) async fn store(&self, document: &SecretString, encrypt: bool) -> Result<(), Failure> {
        let sealed;
        let (path, other, bytes) = if encrypt {
            sealed = encrypted(document)?;
            (ENCRYPTED, PLAIN, sealed.as_slice())
        } else {
            (PLAIN, ENCRYPTED, document.expose_secret().as_bytes())
        };
        self.make(DIRECTORY)?;
        self.write(path, bytes, 0o600)?;
        self.make(DROP_INS)?;
        self.write(DROP_IN, drop_in(path, encrypt).as_bytes(), 0o644)?;
        // What was stored in the other form is of no more use, and may hold a secret.
        match fs::remove_file(self.root.join(other)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(unwritten("remove", &self.root.join(other), &error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn make(&self, directory: &str) -> Result<(), Failure> {
        let path = self.root.join(directory);
        self.stay_below(&path)?;
        let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(&path);
        made.map_err(|error| unwritten("make", &path, &error))
    }

    /// In an image of somebody else's a link can lead to this host's own files.
    fn stay_below(&self, path: &Path) -> Result<(), Failure> {
        let parts = path.ancestors().take_while(|part| part.starts_with(&self.root) && *part != self.root);
        let linked = |part: &&Path| fs::symlink_metadata(part).is_ok_and(|found| found.is_symlink());
        match parts.filter(|_| self.root != Path::new("/")).find(linked) {
            None => Ok(()),
            Some(link) => Err(Failure::Setup {
                what: format!("{} is a symbolic link, which is not followed below --root", link.display()),
                next: "put a directory in its place".to_owned(),
                code: failure::FAILED,
            }),
        }
    }

    fn write(&self, path: &str, bytes: &[u8], mode: u32) -> Result<(), Failure> {
        let path = self.root.join(path);
        durable::write(&path, bytes, mode)
            // A umask may have taken bits away, which only the drop-in needs.
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .map_err(|error| unwritten("write", &path, &error))
    }
}

fn drop_in(path: &str, encrypt: bool) -> String {
    let directive = if encrypt { "LoadCredentialEncrypted" } else { "LoadCredential" };
    format!(
        "# Written by `clearmlctl init`: hands the server and its key pair to clearmld.\n\
         [Service]\n\
         {directive}={NAME}:/{path}\n\
         # What clearmld is told when that file is gone; without it the unit would not start.\n\
         SetCredential={NAME}:{MISSING}\n"
    )
}

/// Sealed with a key of this host (and its TPM, where there is one).
fn encrypted(document: &SecretString) -> Result<Vec<u8>, Failure> {
    let failed = |why: &dyn fmt::Display| Failure::Setup {
        what: format!("systemd-creds cannot encrypt on this host: {why}"),
        next: "leave out --encrypt: the file is readable for root alone all the same".to_owned(),
        code: failure::FAILED,
    };
    let mut command = Command::new("systemd-creds");
    command.args(["encrypt", &format!("--name={NAME}"), "-", "-"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(document.expose_secret().as_bytes()).map_err(|error| failed(&error))?;
    }
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    if !output.status.success() || output.stdout.is_empty() {
        return Err(failed(&String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(output.stdout)
}

fn unwritten(operation: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::Setup {
        what: format!("cannot {operation} {}: {error}", path.display()),
        next: "make it writable for root, with free space; then repeat `clearmlctl init`".to_owned(),
        code: failure::FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").permissions().mode() & 0o7777
    }

    #[tokio::test]
    async fn the_secret_is_the_owners_alone_and_the_drop_in_names_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = Place::below(Some(directory.path().into()));
        assert_eq!(place.look().expect("looked"), Stored::Nothing);
        place.store(&SecretString::from("one"), false).await.expect("stored");
        place.store(&SecretString::from("two"), false).await.expect("stored again");
        let file = directory.path().join(PLAIN);
        assert_eq!(place.look().expect("looked"), Stored::Plain(file.clone()));
        assert_eq!((fs::read_to_string(&file).expect("read").as_str(), mode(&file)), ("two", 0o600));
        let text = fs::read_to_string(directory.path().join(DROP_IN)).expect("read");
        assert!(text.contains("\nLoadCredential=clearml.credentials:/etc/clearmld/credentials.conf\n"), "{text}");
        assert_eq!(mode(&directory.path().join(DROP_IN)), 0o644);
        assert_eq!(fs::read_dir(directory.path().join(DIRECTORY)).expect("listed").count(), 1, "no litter");
    }

    #[tokio::test]
    async fn a_write_that_fails_leaves_what_was_stored() {
        let directory = tempfile::tempdir().expect("a directory");
        let place = Place::below(Some(directory.path().into()));
        place.store(&SecretString::from("one"), false).await.expect("stored");
        // A directory in the way stands for a full disk.
        let temporary = format!(".credentials.conf.{}.tmp", std::process::id());
        fs::create_dir(directory.path().join(DIRECTORY).join(temporary)).expect("made");
        place.store(&SecretString::from("two"), false).await.expect_err("not stored");
        assert_eq!(fs::read_to_string(directory.path().join(PLAIN)).expect("read"), "one");
    }
}
