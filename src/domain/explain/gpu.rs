//! A GPU on which nothing runs, or not what somebody expects.

use super::{Finding, withheld};
use crate::domain::gpu::GpuId;
use crate::domain::ids::WorkerName;
use crate::domain::withheld::Withheld;

/// What is known of a GPU or a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuFacts {
    /// Its name.
    pub gpu: GpuId,
    /// Why what is said here may be old or wrong, in a sentence.
    pub driver: Option<String>,
    /// Why it, or each slice of it, is not lent; with the Worker of the Run that holds it.
    pub withheld: Vec<(GpuId, Withheld, Option<WorkerName>)>,
    /// Workers that claim it, each with what was found about it.
    pub workers: Vec<(WorkerName, Vec<Finding>)>,
}

/// Why nothing runs on it, the most decisive first.
#[must_use]
pub fn gpu(facts: &GpuFacts) -> Vec<Finding> {
    let gpu = &facts.gpu;
    let mut found: Vec<Finding> = Vec::new();
    if let Some(driver) = &facts.driver {
        found.push(Finding::hindrance("driver", driver, "look with `clearmlctl doctor` and `nvidia-smi`"));
    }
    found.extend(facts.withheld.iter().map(|(gpu, why, holder)| withheld(gpu, why, holder.as_ref())));
    if facts.workers.is_empty() {
        let says = format!("no worker claims GPU {gpu}");
        found.push(Finding::hindrance(
            "unclaimed",
            says,
            format!("`clearmlctl worker add --gpus {gpu} --queue QUEUE`"),
        ));
    }
    if facts.withheld.is_empty() {
        for (worker, findings) in &facts.workers {
            let first = findings.iter().find(|finding| finding.hinders).or(findings.first());
            let told = |first: &Finding| {
                let says = format!("GPU {gpu} is free for worker `{worker}`: {}", first.says);
                Finding { says, ..first.clone() }
            };
            found.extend(first.map(told));
        }
    }
    found
}
