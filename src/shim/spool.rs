//! The writing side of the spool: everything the payload prints, in order, as far as there is room. The payload never
//! waits for room: what does not fit is counted and dropped.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::last_line::LastLine;

/// See the module.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    budget: u64,
    dropped: u64,
    gap: Option<Gap>,
    last_line: LastLine,
}

/// Why nothing is written now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    Budget,
    Disk,
}

impl Spool {
    /// Opens it for appending; the daemon may have written to it before.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(path: &Path, budget: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self { file, budget, dropped: 0, gap: None, last_line: LastLine::default() })
    }

    /// Takes the next output.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.last_line.feed(bytes);
        // Once something was dropped, there must be real room again, or every line would be a gap of its own.
        let limit = if self.gap.is_some() { self.budget - self.budget / 8 } else { self.budget };
        let room = usize::try_from(limit.saturating_sub(self.used())).unwrap_or(usize::MAX);
        let fits = match self.gap {
            Some(_) if room < bytes.len() => 0,
            Some(_) | None => room.min(bytes.len()),
        };
        let (bytes, beyond) = bytes.split_at(fits);
        let (written, full) = self.append(bytes);
        if written > 0 {
            self.gap = None;
        }
        let lost = u64::try_from(bytes.len()).unwrap_or(u64::MAX).saturating_sub(written);
        if full {
            self.drop_bytes(lost, Gap::Disk);
        }
        if !beyond.is_empty() {
            self.drop_bytes(u64::try_from(beyond.len()).unwrap_or(u64::MAX), Gap::Budget);
        }
    }

    /// Bytes that did not fit.
    #[must_use]
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// See [`LastLine`].
    #[must_use]
    pub(super) fn last_line(&self) -> Option<String> {
        self.last_line.get()
    }

    /// Everything that was written survives a crash from now on.
    pub(super) fn sync(&self) {
        let _ = self.file.sync_data();
    }

    /// On disk, not in length: the daemon punches holes where the server has acknowledged.
    fn used(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.blocks() * 512)
    }

    fn append(&mut self, mut bytes: &[u8]) -> (u64, bool) {
        let mut written = 0;
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(count) if count > 0 => {
                    written += u64::try_from(count).unwrap_or(0);
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return (written, true),
            }
        }
        (written, false)
    }

    fn drop_bytes(&mut self, count: u64, gap: Gap) {
        self.dropped = self.dropped.saturating_add(count);
        if self.gap.is_none() {
            let why = match gap {
                Gap::Budget => format!("the output waiting for the server has reached {} bytes", self.budget),
                Gap::Disk => "the disk is full".to_owned(),
            };
            // Past the budget by this one line; on a full disk it may be lost, and `dropped` tells.
            self.append(format!("\n[clearmld] {why}; what the task prints now is dropped\n").as_bytes());
        }
        self.gap = Some(gap);
    }
}

#[cfg(test)]
mod tests;
