//! The operator's files, read again for a plan or a reload.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::Plan;
use crate::config::policy::Stamp;
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
    /// What the policy said last.
    pub(super) said: Mutex<Option<Said>>,
}

/// A policy, or what is wrong with it, and of which file.
type Said = (Stamp, Result<Arc<Policy>, String>);

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

    fn policy(&self) -> Result<Arc<Policy>, String> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        // Taken before it is read: what changes meanwhile is read again.
        let stamp = config::policy::stamp(&self.policy);
        if let Some((of, policy)) = said.as_ref()
            && stamp.as_ref() == Some(of)
        {
            return policy.clone();
        }
        let owner = nix::unistd::geteuid().as_raw();
        let policy = config::policy::read(&self.policy, &self.run_as, owner).map(Arc::new);
        *said = stamp.map(|stamp| (stamp, policy.clone()));
        policy
    }
}
