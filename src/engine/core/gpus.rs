//! GPUs: what a claim means on this host, and what can be lent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{Core, News, Post};
use crate::domain::gpu::GpuClaim;
use crate::domain::ids::RunId;
use crate::domain::inventory::{self, Driver};
use crate::domain::lease::Lease;
use crate::domain::lending::Lending;
use crate::domain::run::Phase;
use crate::engine::handle::{EngineError, GpusView, Reply, WorkerDraft};

/// How old an inventory may be for a Worker that is added.
pub(super) const LOOKED_AT: Duration = Duration::from_secs(2);

impl Core {
    /// The draft's claim, if it can be what its author means on this host.
    pub(super) fn claimed(&self, draft: &WorkerDraft) -> Result<GpuClaim, EngineError> {
        let seen = self.world.gpus.seen();
        let some = if seen.known() { !seen.gpus.is_empty() } else { self.world.outfitter.has_gpus() };
        let claim = match &draft.gpus {
            Some(claim) => claim.clone(),
            None if some => GpuClaim::All,
            None => GpuClaim::None,
        };
        match seen.resolve(&claim) {
            Ok(_) => Ok(claim),
            Err(error) => Err(EngineError::Invalid { reason: format!("{error}; see `clearmlctl gpu list`") }),
        }
    }

    /// Whether a Worker of this draft could lend its GPUs so at all.
    pub(super) fn check_lending(&self, draft: &WorkerDraft, gpus: &GpuClaim) -> Result<(), String> {
        let seen = self.world.gpus.seen();
        match (&draft.lending, gpus) {
            (Lending::Whole, _) => return Ok(()),
            (Lending::Shared(_), GpuClaim::None) => {
                return Err("it has no GPU that could be shared; leave out --share".into());
            }
            (Lending::Shared(_), GpuClaim::All | GpuClaim::Some(_)) => return Ok(()),
            (Lending::Dynamic(_), GpuClaim::None) => return Err("dynamic GPUs need GPUs; say which: --gpus 0-3".into()),
            (Lending::Dynamic(_), _) if seen.driver == Driver::Absent => return Err(NO_DRIVER.to_owned()),
            (Lending::Dynamic(_), GpuClaim::All | GpuClaim::Some(_)) => {}
        }
        let Some(all) = seen.resolve(gpus).ok().filter(|all| !all.is_empty()) else { return Ok(()) };
        let portions = draft.lending.portions().unwrap_or_default();
        match portions.iter().zip(&draft.queues).find(|(portion, _)| portion.least() > all.len()) {
            None => Ok(()),
            Some((portion, queue)) => Err(format!(
                "queue `{queue}` wants {} GPUs for each task, and the worker has {}; name more --gpus, or want fewer",
                portion.least(),
                all.len()
            )),
        }
    }

    /// A lease of a time before the driver answered is one of hardware, too.
    pub(super) fn identify_leases(&mut self) {
        let seen = self.world.gpus.seen();
        self.pool.identify(|claim| seen.resolve(claim).unwrap_or_default());
    }

    pub(super) fn begin_look(&mut self, age: Duration, reply: Reply<GpusView>) {
        let (gpus, news) = (Arc::clone(&self.world.gpus), self.news_in.clone());
        self.errands.spawn(async move {
            gpus.look(age).await;
            let _ = news.send(News::Looked(reply)).await;
        });
    }

    pub(super) fn gpus_view(&self) -> GpusView {
        let seen = self.world.gpus.seen();
        let claim = |Post { worker, .. }: &Post| (worker.name.clone(), worker.gpus.clone(), worker.lending.share());
        let claims: Vec<inventory::Claim> = self.posts.values().map(claim).collect();
        let leases: Vec<(RunId, Lease)> = self.pool.held().map(|(run, lease)| (run.clone(), lease.clone())).collect();
        GpusView { gpus: inventory::view(&self.lender().circumstances(), &claims, &leases), inventory: seen }
    }

    pub(super) fn shims(&self) -> BTreeMap<u32, RunId> {
        let shim = |record: &crate::domain::run::RunRecord| match &record.phase {
            Phase::Running(running) => Some((running.shim.pid, record.id.clone())),
            Phase::Claimed(_) | Phase::Prepared(_) | Phase::Exited(_) | Phase::Settled(_) => None,
        };
        self.runs.values().filter_map(|slot| shim(&slot.record)).collect()
    }

    /// What of the GPUs an operator should know, in sentences.
    pub(super) fn gpu_remarks(&self) -> Vec<String> {
        let seen = self.world.gpus.seen();
        let mut remarks = seen.remarks.clone();
        let claimed = self.posts.values().any(|post| post.worker.gpus != GpuClaim::None);
        if let Driver::Failing { reason } = &seen.driver
            && claimed
        {
            remarks.push(format!("the NVIDIA driver does not answer as it should, so no GPU is lent: {reason}"));
        }
        if let Some(seconds) = seen.silent_seconds {
            remarks.push(format!("the NVIDIA driver has not answered for {seconds} s; what is said of GPUs is old"));
        }
        let named = |post: &&Post| matches!(post.worker.gpus, GpuClaim::Some(_));
        if seen.driver == Driver::Absent && self.posts.values().any(|post| named(&post)) {
            remarks.push(UNCHECKED.to_owned());
        }
        for gpu in &seen.gpus {
            if let Some(reason) = &gpu.unusable {
                remarks.push(format!("GPU {} ({}) cannot be used: {reason}", gpu.index, gpu.uuid));
            }
        }
        remarks
    }
}

const NO_DRIVER: &str = "dynamic GPUs need the NVIDIA driver's library (libnvidia-ml.so.1), which is not here: only it \
    says which GPUs there are; install the driver, then `clearmlctl gpu rescan`, or leave out --dynamic-gpus";

const UNCHECKED: &str = "workers claim GPUs, but there is no NVIDIA driver library here (libnvidia-ml.so.1): what they \
    claim is taken at its word, and not even two names of one GPU are told apart";
