//! `exit.json`, whose room on the disk is taken before the Run starts: a full disk cannot lose an end.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use crate::domain::handover::{End, ExitRecord};

/// Longer than any record: its texts are cut.
const ROOM: usize = 32 * 1024;
/// Longest text of a record, in bytes; JSON may write one byte as six.
const LONGEST: usize = 4 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Reserved {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
}

impl Reserved {
    /// Takes the room.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn make(path: &Path) -> io::Result<Self> {
        let temporary = path.with_extension("json.reserved");
        let mut file = File::options().write(true).create(true).truncate(true).open(&temporary)?;
        // Written, not only allocated: so the blocks are there whatever the file system does.
        file.write_all(&[b' '; ROOM])?;
        file.sync_all()?;
        Ok(Self { file, temporary, path: path.to_owned() })
    }

    /// Writes the record into it and gives it its name.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn fill(mut self, record: &ExitRecord) -> io::Result<()> {
        let mut record = record.clone();
        match &mut record.end {
            End::StageFailed { reason } | End::LaunchFailed { reason } | End::DiskFull { reason } => shorten(reason),
            End::Exited { .. } | End::Signaled { .. } => {}
        }
        let mut bytes = serde_json::to_vec_pretty(&record)?;
        bytes.push(b'\n');
        self.file.rewind()?;
        self.file.write_all(&bytes)?;
        self.file.set_len(u64::try_from(bytes.len()).unwrap_or(0))?;
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        self.path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    }
}

fn shorten(text: &mut String) {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}
