//! What a Run found out goes back to the task: the commit that was checked out, the packages that were installed.

use tokio::time::{Duration, sleep};

use super::Drive;
use crate::domain::handover::{Progress, Requirements};
use crate::domain::ids::TaskId;
use crate::engine::Backoff;
use crate::engine::ports::ServerError;

impl Drive {
    /// Sends what the program's stage begins with, beside the Run: it must not wait for the server.
    pub(super) fn feed_back(&mut self, progress: &Progress) {
        let Some(environment) = progress.environment.clone() else { return };
        if self.feedback.is_some() {
            return;
        }
        let commit = progress.source.as_ref().and_then(|source| source.commit.clone());
        let (world, task, run) = (self.world.clone(), self.record.task.clone(), self.record.id.clone());
        let sending = async move {
            let spec = world.store.spec(&run).await;
            let named =
                spec.as_ref().and_then(|spec| spec.source.repository.as_ref()).and_then(|repo| repo.commit.clone());
            if let Some(commit) = commit.filter(|_| named.is_none()) {
                insist(&task, || world.clearml.set_commit(&task, &commit)).await;
            }
            let original = spec.and_then(|spec| match spec.environment.requirements {
                Requirements::Lines { text } => Some(text),
                Requirements::Nothing | Requirements::FromRepository => None,
            });
            if !environment.frozen.is_empty() {
                let send = || world.clearml.set_requirements(&task, &environment.frozen, original.as_deref());
                insist(&task, send).await;
            }
        };
        #[expect(clippy::disallowed_methods, reason = "owned by the Drive, which aborts it when it is dropped")]
        let sending = tokio::spawn(sending);
        self.feedback = Some(sending);
    }
}

/// Until the server answers for good.
async fn insist<F: Future<Output = Result<(), ServerError>>>(task: &TaskId, call: impl Fn() -> F) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
    loop {
        match call().await {
            Ok(()) => return,
            Err(error) if error.retryable() => sleep(backoff.step()).await,
            Err(error) => {
                tracing::warn!(CLEARML_TASK_ID = %task, %error, "what the run found out is not on the task");
                return;
            }
        }
    }
}
