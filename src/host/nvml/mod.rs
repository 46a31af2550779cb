//! The host's NVIDIA GPUs, through the driver's own library (NVML), which is found at run time: a host without it is an
//! ordinary host.
//!
//! A call may take seconds (a driver that initialises its cards) or never come back (a card that hangs). So all of them
//! are made by one thread that does nothing else; whoever asks waits for [`PATIENCE`] at most and then goes on with what
//! was seen before. Nothing is asked unless somebody wants to know.

mod device;
mod events;
mod library;
mod nodes;
mod processes;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{broadcast, oneshot, watch};

use crate::domain::health::Report;
use crate::domain::inventory::{Gpu, Inventory};
use crate::engine::ports::Gpus;
use events::Follower;
use library::{Library, SYSTEM};
pub use nodes::Places;

/// How long whoever asks waits for the driver.
const PATIENCE: Duration = Duration::from_secs(3);
/// A driver that has not answered for so long is said to be silent, and is not waited for any more.
const OVERDUE: Duration = Duration::from_secs(10);
/// Reports that the engine may be behind: a card that breaks reports a few.
const REPORTS: usize = 256;

/// The host's GPUs.
#[derive(Debug)]
pub struct NvmlGpus {
    shared: Arc<Shared>,
    ask: Arc<SyncSender<()>>,
    places: Places,
}

#[derive(Debug)]
struct Shared {
    seen: watch::Sender<Seen>,
    /// Since when the thread waits for the driver.
    busy: Mutex<Option<Instant>>,
    reports: broadcast::Sender<Report>,
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
        let (seen, reports) = (watch::Sender::new(Seen::default()), broadcast::Sender::new(REPORTS));
        let shared = Arc::new(Shared { seen, busy: Mutex::default(), reports });
        // One question that waits is as good as many.
        let (ask, asked) = sync_channel(1);
        let (change, changed) = sync_channel(1);
        let ask = Arc::new(ask);
        let path = library.clone().unwrap_or_else(|| PathBuf::from(SYSTEM));
        let follower = Follower { library: path, changed, ask: Arc::downgrade(&ask) };
        let listener = Arc::clone(&shared);
        std::thread::Builder::new().name("nvml-events".into()).spawn(move || follower.follow(&listener))?;
        let mine = (Arc::clone(&shared), Library::new(library, places.clone()));
        std::thread::Builder::new().name("nvml".into()).spawn(move || work(mine.1, &asked, &change, &mine.0))?;
        let _ = ask.try_send(());
        Ok(Self { shared, ask, places })
    }
}

fn work(mut library: Library, asked: &Receiver<()>, change: &SyncSender<()>, shared: &Shared) {
    while asked.recv().is_ok() {
        let began = Instant::now();
        shared.set_busy(Some(began));
        let before = Arc::clone(&shared.seen.borrow().inventory);
        let inventory = Arc::new(library.look(&before));
        tell(&before, &inventory);
        shared.set_busy(None);
        let moved = heard_of(&before) != heard_of(&inventory);
        shared.seen.send_replace(Seen { began: Some(began), inventory });
        if moved {
            // Full: the one that waits says the same.
            let _ = change.try_send(());
        }
    }
}

/// Whose errors can be heard of.
fn heard_of(inventory: &Inventory) -> Vec<(u32, &str)> {
    let up = inventory.gpus.iter().filter(|gpu| inventory.known() && !gpu.lost);
    up.map(|gpu| (gpu.index, gpu.uuid.as_str())).collect()
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
    fn inventory(&self) -> Arc<Inventory> {
        Arc::clone(&self.seen.borrow().inventory)
    }

    fn report(&self, report: Report) {
        tracing::warn!(CLEARML_GPU_UUID = report.unit.uuid, "a GPU reports {}", report.fault.sentence());
        // Nobody listening is no error.
        let _ = self.reports.send(report);
    }

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

    fn reports(&self) -> broadcast::Receiver<Report> {
        self.shared.reports.subscribe()
    }

    async fn opens(&self, gpu: &Gpu) -> Result<(), String> {
        let Some(minor) = gpu.minor else { return Ok(()) };
        let node = self.places.dev.join(format!("nvidia{minor}"));
        let (name, (reply, answer)) = (format!("/dev/nvidia{minor}"), oneshot::channel());
        // A thread of its own: to open a card that hangs may never come back.
        let open = move || {
            let _ = reply.send(std::fs::File::options().read(true).write(true).open(node).map(drop));
        };
        std::thread::Builder::new().name("nvidia-node".into()).spawn(open).map_err(|error| error.to_string())?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(format!("{name} cannot be opened: {error}")),
            Ok(Err(_)) => Err(format!("{name} was not opened")),
            Err(_) => Err(format!("{name} does not open within {} s", PATIENCE.as_secs())),
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
