//! What Workers may have of the sandbox: by the policy that only root can write, read anew each time.

use std::sync::Arc;

use super::{Core, Post};
use crate::domain::policy::{Policy, Wish};
use crate::domain::worker::{Worker, WorkerDraft};

impl Core {
    /// Whether a draft may be, as far as its queues are named: one that is given by its id is known once it has been
    /// looked up.
    pub(super) fn permit_draft(&self, draft: &WorkerDraft) -> Result<(), String> {
        let usual = ["default".to_owned()];
        let queues = if draft.queues.is_empty() { &usual[..] } else { &draft.queues };
        let queues: Vec<&str> = queues.iter().map(String::as_str).filter(|name| !is_id(name)).collect();
        let wish = Wish { queues: &queues, user: draft.user.as_deref(), sandbox: &draft.sandbox };
        self.world.declarations.policy()?.permit(wish).map_err(|error| error.to_string())
    }

    /// Whether a Worker may take tasks: the policy may have changed since it was added.
    pub(super) fn permit_worker(policy: &Result<Arc<Policy>, String>, worker: &Worker) -> Result<(), String> {
        let queues: Vec<&str> = worker.queues.iter().map(|queue| queue.name.as_str()).collect();
        let wish = Wish { queues: &queues, user: worker.user.as_deref(), sandbox: &worker.sandbox };
        policy.as_ref().map_err(Clone::clone)?.permit(wish).map_err(|error| error.to_string())
    }

    /// For `status`: a policy that cannot be used, and who holds tasks less than usual.
    pub(super) fn sandbox_remarks(&self) -> Vec<String> {
        let broken = self.world.declarations.policy().err();
        let broken = broken.map(|problem| format!("{problem}; no worker takes tasks until it is corrected"));
        let relaxed = self.posts.values().filter_map(Post::relaxed_words);
        broken.into_iter().chain(relaxed).collect()
    }
}

impl Post {
    fn relaxed_words(&self) -> Option<String> {
        let relaxed = &self.worker.sandbox.relaxed;
        (!relaxed.is_empty()).then(|| format!("worker {}: its sandbox is relaxed: {relaxed}", self.worker.name))
    }
}

/// What a Worker's sandbox differs in, for the journal; empty when it does not.
pub(super) fn said(worker: &Worker) -> String {
    if worker.sandbox.is_usual() { String::new() } else { format!(" (sandbox: {})", worker.sandbox) }
}

/// As the server mints them; no person names a queue so.
fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}
