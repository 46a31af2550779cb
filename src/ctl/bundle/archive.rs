//! The file: a compressed tar that only its owner can read. It appears whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::Entry;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ctl) struct Sealed {
    pub(in crate::ctl) bytes: u64,
}

/// `path` must not be there: what is there may be another bundle, or no bundle at all.
pub(super) fn write(path: &Path, directory: &str, entries: &[Entry]) -> io::Result<Sealed> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = fill(file, directory, entries);
    if written.is_err() {
        // Half a bundle helps nobody.
        let _ = std::fs::remove_file(path);
    }
    written
}

fn fill(file: File, directory: &str, entries: &[Entry]) -> io::Result<Sealed> {
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs();
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(u64::try_from(entry.text.len()).unwrap_or(u64::MAX));
        header.set_mode(0o600);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("{directory}/{}", entry.name), entry.text.as_bytes())?;
    }
    let mut file = archive.into_inner()?.finish()?;
    file.flush()?;
    file.sync_all()?;
    Ok(Sealed { bytes: file.metadata()?.len() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_owner_can_read_it_and_nothing_is_overwritten() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("b.tar.gz");
        let entries = [Entry { name: "a.txt", text: "x".into() }];
        assert!(write(&path, "bundle", &entries).expect("written").bytes > 0);
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let again = write(&path, "bundle", &entries).expect_err("refused");
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert!(path.exists());
    }
}
