//! GPUs as a test says they are.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::inventory::{Driver, Inventory};
use crate::engine::ports::Gpus;

/// A host without a driver, until it is told otherwise.
#[derive(Debug)]
pub(crate) struct FakeGpus {
    now: Mutex<Arc<Inventory>>,
}

impl Default for FakeGpus {
    fn default() -> Self {
        Self { now: Mutex::new(Arc::new(Inventory { driver: Driver::Absent, ..Inventory::default() })) }
    }
}

impl FakeGpus {
    pub(crate) fn set(&self, inventory: Inventory) {
        *self.now.lock().expect("no test panicked") = Arc::new(inventory);
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
}
