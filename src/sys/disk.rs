//! How much room a file system has.

use std::io;
use std::path::Path;

use crate::domain::disk::Room;

/// Of the file system that holds `path`.
///
/// # Errors
/// When it cannot be asked.
pub fn room(path: &Path) -> io::Result<Room> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(Room {
        size: disk.f_blocks.saturating_mul(disk.f_frsize),
        free: disk.f_bavail.saturating_mul(disk.f_frsize),
        files: disk.f_files,
        free_files: disk.f_favail,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_says_its_size_and_what_is_free_of_it_and_a_path_that_is_not_there_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let found = room(directory.path()).expect("asked");
        assert!(found.size > 0 && found.free <= found.size && found.free_files <= found.files, "{found:?}");
        assert!(room(&directory.path().join("nowhere")).is_err());
    }
}
