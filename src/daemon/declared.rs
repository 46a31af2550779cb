//! The operator's files, read again for a plan or a reload.

use std::path::PathBuf;

use async_trait::async_trait;

use super::Plan;
use crate::config::{self, Flags};
use crate::domain::policy::Policy;
use crate::engine::ports::{Declarations, Reading};

/// See the module.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) flags: Flags,
    /// Where workers are declared, since the start.
    pub(super) workers: PathBuf,
    /// Where root says what they may have.
    pub(super) policy: PathBuf,
    /// Whom tasks run as when nobody says otherwise.
    pub(super) run_as: String,
}

#[async_trait]
impl Declarations for Files {
    async fn read(&self) -> Reading {
        let (flags, workers) = (self.flags.clone(), self.workers.clone());
        let read = move || Reading {
            workers: config::workers::read(&workers),
            settings: Plan::read_again(flags).map(|plan| Box::new(plan.settings)).map_err(|errors| errors.to_string()),
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(reading) => reading,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn policy(&self) -> Result<Policy, String> {
        config::policy::read(&self.policy, &self.run_as, nix::unistd::geteuid().as_raw())
    }
}
