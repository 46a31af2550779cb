//! Leases: what a Run is lent, and the pool that lends.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::gpu::{GpuClaim, GpuId};
use super::ids::RunId;
use super::lending::Share;

/// What a Run is lent: what its Worker claims, and which hardware that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// In the operator's words.
    pub claim: GpuClaim,
    /// Empty where no driver says what is there; then the words are all we have.
    pub units: Vec<Unit>,
    /// How many Runs may use each of them at once, this one among them.
    pub share: Share,
}

/// A GPU or a MIG slice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Unit {
    /// Its own.
    pub uuid: String,
    /// That of the GPU: of a whole one the same.
    pub gpu: String,
    /// Its device nodes; those that all GPUs share are not among them.
    pub nodes: Vec<PathBuf>,
}

/// Why GPUs cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Some are another's.
    #[error("GPU {gpu} is held by run {holder}")]
    Held {
        /// One of those asked for.
        gpu: GpuId,
        /// Who has it.
        holder: RunId,
    },
    /// A Run asked twice.
    #[error("run {run} holds a lease already")]
    Twice {
        /// The Run.
        run: RunId,
    },
}

/// Who holds what. Free GPUs are those that nobody holds: the inventory may be larger than what is known here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pool {
    held: BTreeMap<RunId, Lease>,
}

// === impl Lease ===

impl From<GpuClaim> for Lease {
    /// For hosts where nobody says which hardware it is.
    fn from(claim: GpuClaim) -> Self {
        Self { claim, units: Vec::new(), share: Share::ALONE }
    }
}

impl Lease {
    /// One for each GPU of it.
    fn parts(&self) -> Vec<Self> {
        let named = |claim| Self { claim, units: Vec::new(), share: self.share };
        match (&self.claim, self.units.as_slice()) {
            (GpuClaim::None | GpuClaim::All, []) => vec![self.clone()],
            (GpuClaim::Some(gpus), []) => gpus.iter().map(|gpu| named(GpuClaim::Some([gpu.clone()].into()))).collect(),
            (_, units) => units.iter().map(|unit| Self { units: vec![unit.clone()], ..self.clone() }).collect(),
        }
    }

    /// A GPU that both would use. Hardware that is known is compared as such, whatever it was called; else the words are.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> Option<String> {
        if self.units.is_empty() || other.units.is_empty() {
            return self.claim.overlap(&other.claim);
        }
        let shared = |unit: &&Unit| other.units.iter().any(|other| unit.overlaps(other));
        self.units.iter().find(shared).map(|unit| unit.uuid.clone())
    }
}

// === impl Unit ===

impl Unit {
    fn whole(&self) -> bool {
        self.uuid == self.gpu
    }

    /// Whether both have hardware in common: a whole GPU overlaps each slice of it.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.gpu == other.gpu && (self.uuid == other.uuid || self.whole() || other.whole())
    }
}

// === impl Pool ===

impl Pool {
    /// Whether that could be lent now.
    ///
    /// # Errors
    /// When any of it is lent already, to somebody who shares it with no more.
    pub fn check(&self, lease: &Lease) -> Result<(), LeaseError> {
        for part in lease.parts() {
            if let Some((gpu, holder)) = self.full(&part) {
                let gpu = gpu.parse().unwrap_or(GpuId::Uuid(gpu));
                return Err(LeaseError::Held { gpu, holder: holder.clone() });
            }
        }
        Ok(())
    }

    /// The Run that keeps a unit from one more that would share it with so many; of several the first.
    #[must_use]
    pub fn keeps(&self, unit: &Unit, share: Share) -> Option<&RunId> {
        let claim = GpuClaim::Some([GpuId::Uuid(unit.uuid.clone())].into());
        self.full(&Lease { claim, units: vec![unit.clone()], share }).map(|(_, holder)| holder)
    }

    /// Whether some Run has it.
    #[must_use]
    pub fn holds(&self, unit: &Unit) -> bool {
        self.keeps(unit, Share::ALONE).is_some()
    }

    /// The GPU of `part` that as many use already as any of them bears.
    fn full(&self, part: &Lease) -> Option<(String, &RunId)> {
        let users = self.held.iter().filter_map(|(run, held)| Some((held.overlap(part)?, run, held.share)));
        let users: Vec<(String, &RunId, Share)> = users.collect();
        let most = users.iter().map(|(_, _, share)| *share).fold(part.share, Share::min);
        let full = users.len() >= most.runs();
        users.into_iter().next().filter(|_| full).map(|(gpu, run, _)| (gpu, run))
    }

    /// Lends it to a Run.
    ///
    /// # Errors
    /// When any of it is lent already, or the Run has a lease. Then nothing has changed.
    pub fn lease(&mut self, run: &RunId, lease: Lease) -> Result<(), LeaseError> {
        if self.held.contains_key(run) {
            return Err(LeaseError::Twice { run: run.clone() });
        }
        self.check(&lease)?;
        self.held.insert(run.clone(), lease);
        Ok(())
    }

    /// Takes a lease back. Whether there was one: a second release changes nothing.
    pub fn release(&mut self, run: &RunId) -> bool {
        self.held.remove(run).is_some()
    }

    /// What is lent to whom.
    pub fn held(&self) -> impl Iterator<Item = (&RunId, &Lease)> {
        self.held.iter()
    }

    /// Finds out which hardware leases are that were given in words only.
    pub fn identify(&mut self, units: impl Fn(&GpuClaim) -> Vec<Unit>) {
        for lease in self.held.values_mut().filter(|lease| lease.units.is_empty()) {
            lease.units = units(&lease.claim);
        }
    }
}

#[cfg(test)]
mod tests;
