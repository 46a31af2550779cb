//! Errors that GPUs report by themselves, on a thread of their own: to wait for them is to do nothing else, and a driver
//! that hangs hangs here alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, EventSet, Nvml};

use super::Shared;
use crate::domain::health::{Fault, Report, Xid};
use crate::domain::inventory::{Gpu, Inventory};
use crate::domain::lease::Unit;
use crate::sys::nvml::{self, XidEvent};

/// How long one wait takes at most; then it is looked whether the GPUs are still the same.
const WAIT_MS: u32 = 1000;
/// After a wait that failed: what broke may go on breaking.
const PAUSE: Duration = Duration::from_secs(5);
/// Then a GPU that could not be listened to is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// What follows the events.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) library: PathBuf,
    /// Says that there are GPUs, or others than before.
    pub(super) changed: Receiver<()>,
    /// Asks for a look: something may be lost. Weak, so that this thread keeps no other alive.
    pub(super) ask: Weak<SyncSender<()>>,
}

/// Why events are not waited for any more.
enum Stop {
    /// The GPUs are other ones, or more of them may be heard.
    Changed,
    /// It may go better in a while.
    Later(NvmlError),
    /// No GPU here reports any.
    Silent,
    /// Nobody wants to know.
    Over,
}

impl Follower {
    /// Until nobody wants to know any more. Without GPUs nothing is done at all.
    pub(super) fn follow(&self, shared: &Shared) {
        while self.changed.recv().is_ok() {
            loop {
                match self.attend(shared) {
                    Stop::Changed => {}
                    Stop::Silent => break,
                    Stop::Over => return,
                    Stop::Later(error) => {
                        tracing::debug!(%error, "errors of GPUs are not heard of for a moment");
                        if self.changed.recv_timeout(PAUSE) == Err(RecvTimeoutError::Disconnected) {
                            return;
                        }
                    }
                }
            }
        }
    }

    fn attend(&self, shared: &Shared) -> Stop {
        let library = self.library.as_path();
        match begin(library).and_then(|nvml| self.listen(&nvml, shared)) {
            Ok(stop) => stop,
            Err(error) => Stop::Later(error),
        }
    }

    fn listen(&self, nvml: &Nvml, shared: &Shared) -> Result<Stop, NvmlError> {
        let (inventory, mut deaf) = (shared.inventory(), BTreeMap::new());
        let Audience { set, heard } = loop {
            if let Some(audience) = Audience::gather(nvml, &inventory.gpus, &mut deaf)? {
                break audience;
            }
        };
        for (uuid, error) in &deaf {
            tracing::debug!(CLEARML_GPU_UUID = uuid, %error, "errors of a GPU are not heard of for a moment");
        }
        if heard.is_empty() {
            return Ok(deaf.into_values().next().map_or(Stop::Silent, Stop::Later));
        }
        let began = Instant::now();
        while deaf.is_empty() || began.elapsed() < AGAIN {
            match nvml::wait(&set, WAIT_MS) {
                Ok(event) => {
                    let of = heard.iter().find(|(device, _)| nvml::same(device, &event.device));
                    if let Some((_, uuid)) = of {
                        shared.report(report(&shared.inventory(), uuid, &event));
                    }
                    self.look();
                }
                Err(NvmlError::Timeout) => {}
                Err(error) => {
                    self.look();
                    return Ok(Stop::Later(error));
                }
            }
            match self.changed.try_recv() {
                Ok(()) => return Ok(Stop::Changed),
                Err(TryRecvError::Disconnected) => return Ok(Stop::Over),
                Err(TryRecvError::Empty) => {}
            }
        }
        Ok(Stop::Changed)
    }

    fn look(&self) {
        if let Some(ask) = self.ask.upgrade() {
            let _ = ask.try_send(());
        }
    }
}

/// A set of events, and whose they are.
struct Audience<'n> {
    set: EventSet<'n>,
    heard: Vec<(Device<'n>, String)>,
}

impl<'n> Audience<'n> {
    /// All GPUs that can be listened to, but for those that are `deaf`. None when one more is found to be: that cost the
    /// set.
    fn gather(nvml: &'n Nvml, gpus: &[Gpu], deaf: &mut BTreeMap<String, NvmlError>) -> Result<Option<Self>, NvmlError> {
        let (mut set, mut heard) = (nvml.create_event_set()?, Vec::new());
        for gpu in gpus.iter().filter(|gpu| !gpu.lost) {
            if deaf.contains_key(&gpu.uuid) {
                continue;
            }
            let device = match nvml.device_by_index(gpu.index) {
                Ok(device) => device,
                Err(error) => {
                    deaf.insert(gpu.uuid.clone(), error);
                    continue;
                }
            };
            if device.supported_event_types().is_ok_and(|all| all.contains(EventTypes::CRITICAL_XID_ERROR)) {
                match device.register_events(EventTypes::CRITICAL_XID_ERROR, set) {
                    Ok(same) => set = same,
                    Err(failed) => {
                        deaf.insert(gpu.uuid.clone(), failed.error);
                        return Ok(None);
                    }
                }
                heard.push((device, gpu.uuid.clone()));
            }
        }
        Ok(Some(Self { set, heard }))
    }
}

fn begin(library: &Path) -> Result<Nvml, NvmlError> {
    Nvml::builder().lib_path(library.as_os_str()).init()
}

/// What happened to which GPU or slice.
fn report(inventory: &Inventory, gpu: &str, event: &XidEvent<'_>) -> Report {
    let slice = inventory.gpus.iter().find(|one| one.uuid == gpu).and_then(|gpu: &Gpu| {
        let wanted = event.instance?;
        // A fault of a GPU instance that is divided further is nobody's in particular.
        let mut of = gpu.slices.iter().filter(|slice| slice.instances.is_some_and(|(of, _)| of == wanted.gpu));
        let only = of.next()?;
        if of.next().is_none() { Some(only) } else { None }
    });
    let uuid = slice.map_or(gpu, |slice| slice.uuid.as_str()).to_owned();
    let unit = Unit { uuid, gpu: gpu.to_owned(), nodes: Vec::new() };
    Report { unit, fault: Fault::Xid { xid: Xid(event.xid) } }
}
