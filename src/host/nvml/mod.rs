//! The host's NVIDIA GPUs, through the driver's own library (NVML), which is found at run time: a host without it is an
//! ordinary host.
//!
//! A call may take seconds (a driver that initialises its cards) or never come back (a card that hangs). So all of them
//! are made by one thread that does nothing else; whoever asks waits for [`PATIENCE`] at most and then goes on with what
//! was seen before. Nothing is asked unless somebody wants to know.

mod device;
mod library;
mod nodes;
mod processes;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::domain::inventory::Inventory;
use crate::engine::ports::Gpus;
use library::Library;
pub use nodes::Places;

/// How long whoever asks waits for the driver.
const PATIENCE: Duration = Duration::from_secs(3);
/// A driver that has not answered for so long is said to be silent, and is not waited for any more.
const OVERDUE: Duration = Duration::from_secs(10);

/// The host's GPUs.
#[derive(Debug)]
pub struct NvmlGpus {
    shared: Arc<Shared>,
    ask: SyncSender<()>,
}

#[derive(Debug)]
struct Shared {
    seen: watch::Sender<Seen>,
    /// Since when the thread waits for the driver.
    busy: Mutex<Option<Instant>>,
}

#[derive(Debug, Clone, Default)]
struct Seen {
    /// When that look began: what happened before it has been seen.
    began: Option<Instant>,
    inventory: Arc<Inventory>,
}

impl NvmlGpus {
    /// Begins the first look, and does not wait for it. `library` is the path of an NVML that is not the system's.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(library: Option<PathBuf>, places: Places) -> std::io::Result<Self> {
        let shared = Arc::new(Shared { seen: watch::Sender::new(Seen::default()), busy: Mutex::default() });
        // One question that waits is as good as many.
        let (ask, asked) = sync_channel(1);
        let mine = Arc::clone(&shared);
        std::thread::Builder::new().name("nvml".into()).spawn(move || {
            work(Library::new(library, places), &asked, &mine);
        })?;
        let _ = ask.try_send(());
        Ok(Self { shared, ask })
    }
}

fn work(mut library: Library, asked: &Receiver<()>, shared: &Shared) {
    while asked.recv().is_ok() {
        let began = Instant::now();
        shared.set_busy(Some(began));
        let before = Arc::clone(&shared.seen.borrow().inventory);
        let inventory = Arc::new(library.look(&before));
        tell(&before, &inventory);
        shared.set_busy(None);
        shared.seen.send_replace(Seen { began: Some(began), inventory });
    }
}

/// What has changed, for the log.
fn tell(before: &Inventory, now: &Inventory) {
    if now.driver != before.driver {
        tracing::info!(driver = ?now.driver, gpus = now.gpus.len(), "the NVIDIA driver was looked at");
    }
    for gpu in &now.gpus {
        let (uuid, index) = (&gpu.uuid, gpu.index);
        let unusable = before.gpus.iter().find(|before| before.uuid == *uuid).and_then(|gpu| gpu.unusable.as_ref());
        match &gpu.unusable {
            reason if reason.as_ref() == unusable => {}
            Some(reason) => tracing::warn!(CLEARML_GPU_UUID = uuid, reason, "GPU {index} cannot be used"),
            None => tracing::info!(CLEARML_GPU_UUID = uuid, "GPU {index} can be used again"),
        }
    }
}

impl Shared {
    fn set_busy(&self, since: Option<Instant>) {
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// For how long the driver has not answered, if that is too long.
    fn silent(&self) -> Option<Duration> {
        let busy = *self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.map(|since| since.elapsed()).filter(|silent| *silent >= OVERDUE)
    }
}

#[async_trait]
impl Gpus for NvmlGpus {
    fn seen(&self) -> Arc<Inventory> {
        let seen = Arc::clone(&self.shared.seen.borrow().inventory);
        match self.shared.silent() {
            None => seen,
            Some(silent) => Arc::new(Inventory { silent_seconds: Some(silent.as_secs()), ..(*seen).clone() }),
        }
    }

    async fn look(&self, age: Duration) -> Arc<Inventory> {
        let asked = Instant::now();
        let recent = |seen: &Seen| seen.began.is_some_and(|began| began + age >= asked);
        let mut seen = self.shared.seen.subscribe();
        let known = recent(&seen.borrow_and_update());
        if !known && self.shared.silent().is_none() {
            // Full: the look that waits begins after now, which is all that is wanted.
            let _ = self.ask.try_send(());
            let _ = tokio::time::timeout(PATIENCE, seen.wait_for(recent)).await;
        }
        self.seen()
    }
}

#[cfg(test)]
mod tests;
