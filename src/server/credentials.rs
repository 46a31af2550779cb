//! The key pair that clients log in with, and the secret that signs their tokens: made once, kept in files that only
//! the owner may read.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::StartError;
use crate::sys::durable::{self, ReadError};

/// A ClearML key pair.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Names the pair; not secret.
    pub access_key: String,
    /// The secret half.
    pub secret_key: SecretString,
}

/// What [`load_or_make`] found or made.
pub(super) struct Kept {
    pub(super) credentials: Credentials,
    pub(super) signing_secret: SecretString,
}

#[derive(Serialize, Deserialize)]
struct PairFile {
    version: u32,
    access_key: String,
    secret_key: String,
}

#[derive(Serialize, Deserialize)]
struct SigningFile {
    version: u32,
    secret: String,
}

/// Makes `path` with mode 0700, or takes the mode of others away from one that exists.
pub(super) fn make_private_directory(path: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::Directory { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)
}

/// Reads the key pair and the signing secret of `directory`, making what is missing.
pub(super) fn load_or_make(directory: &Path) -> Result<Kept, StartError> {
    let pair = read_or_make(&directory.join("credentials.json"), || {
        let access_key = random_text(30, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")?;
        Ok(PairFile { version: 1, access_key, secret_key: random_text(50, LETTERS)? })
    })?;
    let signing = read_or_make(&directory.join("signing.json"), || {
        Ok(SigningFile { version: 1, secret: random_text(64, LETTERS)? })
    })?;
    Ok(Kept {
        credentials: Credentials { access_key: pair.access_key, secret_key: SecretString::from(pair.secret_key) },
        signing_secret: SecretString::from(signing.secret),
    })
}

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn read_or_make<T: Serialize + for<'a> Deserialize<'a>>(
    path: &Path,
    make: impl FnOnce() -> Result<T, StartError>,
) -> Result<T, StartError> {
    match durable::read_json(path) {
        Ok(value) => Ok(value),
        Err(ReadError::Missing) => {
            let value = make()?;
            durable::write_json(path, &value)
                .map_err(|source| StartError::Directory { path: path.to_owned(), source })?;
            Ok(value)
        }
        Err(error @ (ReadError::Io(_) | ReadError::Damaged(_))) => {
            Err(StartError::Credentials { path: path.to_owned(), reason: error.to_string() })
        }
    }
}

/// `length` letters of `alphabet`, each equally likely.
pub(super) fn random_text(length: usize, alphabet: &[u8]) -> Result<String, StartError> {
    // Bytes at or over the largest multiple of the alphabet's size are thrown away, else the first letters came oftener.
    let fair = 256 - 256 % alphabet.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 64];
    while text.len() < length {
        getrandom::fill(&mut bytes).map_err(|error| StartError::Random { reason: error.to_string() })?;
        let letters = bytes.iter().map(|b| usize::from(*b)).filter(|b| *b < fair);
        text.extend(letters.map(|b| char::from(alphabet[b % alphabet.len()])).take(length - text.len()));
    }
    Ok(text)
}

/// Whether two secrets are equal, in a time that does not tell where they differ.
pub(super) fn same_secret(ours: &SecretString, theirs: &str) -> bool {
    let ours = ours.expose_secret().as_bytes();
    let theirs = theirs.as_bytes();
    ours.len() == theirs.len() && ours.iter().zip(theirs).fold(0, |different, (a, b)| different | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_pair_is_made_once_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = load_or_make(directory.path()).expect("made").credentials;
        let second = load_or_make(directory.path()).expect("read").credentials;
        assert_eq!(first.access_key, second.access_key);
        assert!(same_secret(&first.secret_key, second.secret_key.expose_secret()));
        assert_eq!((first.access_key.len(), first.secret_key.expose_secret().len()), (30, 50));
        for name in ["credentials.json", "signing.json"] {
            let mode = fs::metadata(directory.path().join(name)).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert!(!format!("{first:?}").contains(first.secret_key.expose_secret()));
    }
}
