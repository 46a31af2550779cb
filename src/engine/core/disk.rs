//! Room on the disk of the state directory: without it nothing can be recorded, so no task is taken. A host whose disk
//! is full must not empty a queue by failing one task after the other.

use super::Core;

/// With less no task is taken: code and environment of even a small one need more.
const LEAST: u64 = 32 << 20;

impl Core {
    /// Says it once, and shows it in `status` for as long as it is so.
    pub(super) async fn look_at_disk(&mut self) {
        let least = self.settings.borrow().reserve.disk.max(LEAST);
        let root = self.world.store.root().display().to_string();
        let short = self.world.store.room().await.filter(|room| *room < least).map(|room| {
            format!("the disk of {root} is full ({} MiB left): no task is taken; free space there", room >> 20)
        });
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
