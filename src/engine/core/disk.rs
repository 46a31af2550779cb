//! Room on the disk of the state directory: without it nothing can be recorded, so no task is taken. A host whose disk
//! is full must not empty a queue by failing one task after the other.

use super::Core;
use crate::domain::disk::Room;

/// With less no task is taken: code and environment of even a small one need more.
const LEAST: u64 = 32 << 20;

impl Core {
    /// Says it once, and shows it in `status` for as long as it is so.
    pub(super) async fn look_at_disk(&mut self) {
        let reserve = self.settings.borrow().reserve.disk;
        let root = self.world.store.root().display().to_string();
        let short = self.world.store.room().await.and_then(|room| shortage(room, reserve));
        let short = short.map(|why| format!("the disk of {root} is full: {why}; no task is taken"));
        match (&self.disk, &short) {
            (None, Some(remark)) => {
                self.emit("disk_full", None, None, remark.clone());
            }
            (Some(_), None) => {
                self.eager += 1;
                self.emit("disk_free", None, None, format!("the disk of {root} has room again"));
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        self.disk = short;
    }
}

/// Why no task should begin now, and the next step. Where the shims guard the disk, they end Runs for want of either.
fn shortage(room: Room, reserve: u64) -> Option<String> {
    let (left, least) = (room.free >> 20, reserve.max(LEAST) >> 20);
    if room.free < reserve.max(LEAST) {
        return Some(format!("{left} MiB are left, less than {least} MiB (reserve_disk_mib); free space there"));
    }
    (reserve > 0 && room.short_of_files())
        .then(|| format!("{} of {} inodes are left; remove files there", room.free_files, room.files))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn no_task_begins_without_room_for_the_reserve_or_without_inodes() {
        let room = Room { size: 100 * GIB, free: 3 * GIB, files: 1_000_000, free_files: 100_000 };
        assert_eq!(shortage(room, 2 * GIB), None);
        let said = shortage(room, 4 * GIB).expect("short");
        assert!(said.contains("3072 MiB") && said.contains("4096 MiB (reserve_disk_mib)"), "{said}");
        let few = Room { free_files: 15_000, ..room };
        assert!(shortage(few, 2 * GIB).is_some_and(|said| said.contains("15000 of 1000000 inodes")));
        assert_eq!(shortage(few, 0), None, "a guard that was switched off");
        assert!(shortage(Room { free: 31 << 20, ..room }, 0).is_some(), "not even a small task has room");
        assert_eq!(shortage(Room { files: 0, free_files: 0, ..room }, 2 * GIB), None, "made as they are needed");
    }
}
