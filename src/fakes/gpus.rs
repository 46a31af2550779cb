//! GPUs as a test says they are.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::domain::health::Report;
use crate::domain::inventory::{Driver, Gpu, Inventory};
use crate::engine::ports::Gpus;

/// A host without a driver, until it is told otherwise.
#[derive(Debug)]
pub(crate) struct FakeGpus {
    now: Mutex<Arc<Inventory>>,
    reports: broadcast::Sender<Report>,
}

impl Default for FakeGpus {
    fn default() -> Self {
        let absent = Inventory { driver: Driver::Absent, ..Inventory::default() };
        Self { now: Mutex::new(Arc::new(absent)), reports: broadcast::Sender::new(64) }
    }
}

impl FakeGpus {
    pub(crate) fn set(&self, inventory: Inventory) {
        *self.now.lock().expect("no test panicked") = Arc::new(inventory);
    }

    /// Whether anybody hears of it.
    pub(crate) fn report(&self, report: Report) -> bool {
        self.reports.send(report).is_ok()
    }
}

#[async_trait]
impl Gpus for FakeGpus {
    fn seen(&self) -> Arc<Inventory> {
        self.now.lock().expect("no test panicked").clone()
    }

    async fn look(&self, _age: Duration) -> Arc<Inventory> {
        self.seen()
    }

    fn reports(&self) -> broadcast::Receiver<Report> {
        self.reports.subscribe()
    }

    async fn opens(&self, _gpu: &Gpu) -> Result<(), String> {
        Ok(())
    }
}
