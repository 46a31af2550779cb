//! What a claim means on this host.

use std::path::PathBuf;

use super::{Driver, Gpu, Inventory, Slice};
use crate::domain::gpu::{GpuClaim, GpuId};
use crate::domain::lease::Unit;

/// Why a claim means nothing on this host, or nothing that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// No such GPU.
    #[error("this host has no GPU `{gpu}`; it has {there}")]
    NotThere {
        /// What was asked for.
        gpu: GpuId,
        /// What is there, in words.
        there: String,
    },
    /// No such slice.
    #[error("GPU {gpu} has no MIG slice {slice}; it has {there}")]
    NoSlice {
        /// The GPU.
        gpu: u32,
        /// The slice.
        slice: u32,
        /// What is there, in words.
        there: String,
    },
    /// It has slices or is whole.
    #[error("MIG is off on GPU {gpu}: claim it whole (`{gpu}`), or turn MIG on (nvidia-smi -i {gpu} -mig 1)")]
    MigOff {
        /// Which.
        gpu: u32,
    },
    /// It can be used neither whole nor in slices.
    #[error("MIG is on on GPU {gpu}, but it has no slice: make some (nvidia-smi mig -i {gpu} -cgi …), or turn MIG off")]
    NoSlices {
        /// Which.
        gpu: u32,
    },
    /// The same hardware by two names.
    #[error("`{one}` and `{other}` are the same GPU; name it once")]
    Twice {
        /// A name.
        one: GpuId,
        /// Another.
        other: GpuId,
    },
    /// `all` of nothing.
    #[error("this host has no NVIDIA GPU")]
    Nothing,
    /// The driver cannot say what is there.
    #[error("the NVIDIA driver does not say what GPUs are there: {reason}")]
    Driver {
        /// Why.
        reason: String,
    },
}

/// A GPU, or one slice of it.
type Place<'a> = (&'a Gpu, Option<&'a Slice>);

impl Inventory {
    /// The hardware that is claimed, whether or not it works. Where no driver is, words cannot be checked: then it is
    /// none, and no error.
    ///
    /// # Errors
    /// When it is not there, or named twice.
    pub fn resolve(&self, claim: &GpuClaim) -> Result<Vec<Unit>, Unresolved> {
        if !self.known() {
            return Ok(Vec::new());
        }
        let places = self.places(claim)?;
        if let Some((gpu, _)) = places.iter().find(|(gpu, slice)| gpu.mig && slice.is_none()) {
            return Err(Unresolved::NoSlices { gpu: gpu.index });
        }
        Ok(places.into_iter().map(unit).collect())
    }

    /// As [`Inventory::resolve`], for a Run that is to use it now. Whether it can is
    /// [`withheld`](crate::domain::withheld)'s to say.
    ///
    /// # Errors
    /// Also when the driver is there but does not answer.
    pub fn lend(&self, claim: &GpuClaim) -> Result<Vec<Unit>, Unresolved> {
        match (&self.driver, claim) {
            (_, GpuClaim::None) | (Driver::Absent, _) => Ok(Vec::new()),
            (Driver::Asked, _) => Err(Unresolved::Driver { reason: self.silence() }),
            // What it said before may not be true any more, and a program on it would hang as it does.
            (Driver::Up { .. }, _) if self.silent_seconds.is_some() => {
                Err(Unresolved::Driver { reason: self.silence() })
            }
            (Driver::Failing { reason }, _) => Err(Unresolved::Driver { reason: reason.clone() }),
            (Driver::Up { .. }, _) => self.resolve(claim),
        }
    }

    /// The hardware of that name: a GPU, with all slices that it has, or one slice.
    #[must_use]
    pub fn unit(&self, id: &GpuId) -> Option<Unit> {
        self.place(id).map(unit)
    }

    /// What people call a unit: its index, or that of its slice.
    #[must_use]
    pub fn word(&self, unit: &Unit) -> GpuId {
        let Some(gpu) = self.gpus.iter().find(|gpu| gpu.uuid == unit.gpu) else {
            return GpuId::Uuid(unit.uuid.clone());
        };
        let slice = gpu.slices.iter().find(|slice| slice.uuid == unit.uuid);
        slice.map_or(GpuId::Index(gpu.index), |slice| GpuId::Slice(gpu.index, slice.index))
    }

    /// A GPU that both claims mean, if there is one: by hardware where both names are known here, else by name.
    #[must_use]
    pub fn overlap(&self, one: &GpuClaim, other: &GpuClaim) -> Option<String> {
        let (GpuClaim::Some(mine), GpuClaim::Some(theirs)) = (one, other) else { return one.overlap(other) };
        let shared = |a: &GpuId, b: &GpuId| match (self.place(a), self.place(b)) {
            (Some(a), Some(b)) => common(a, b),
            (None, _) | (_, None) => a.overlaps(b),
        };
        mine.iter().find(|mine| theirs.iter().any(|theirs| shared(mine, theirs))).map(ToString::to_string)
    }

    /// The GPU of that name, or that has the slice of that name.
    #[must_use]
    pub fn find(&self, id: &GpuId) -> Option<&Gpu> {
        self.place(id).map(|(gpu, _)| gpu)
    }

    /// What is there, in words.
    #[must_use]
    pub fn there(&self) -> String {
        let name = |gpu: &Gpu| match gpu.slices.len() {
            0 => format!("{} ({}, {})", gpu.index, gpu.name, gpu.uuid),
            _ => format!("{} ({}, {}, slices {})", gpu.index, gpu.name, gpu.uuid, slices(gpu)),
        };
        let names: Vec<String> = self.gpus.iter().map(name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    fn silence(&self) -> String {
        match self.silent_seconds {
            Some(seconds) => format!("it has not answered for {seconds} s"),
            None => "it has not answered yet".to_owned(),
        }
    }

    fn places(&self, claim: &GpuClaim) -> Result<Vec<Place<'_>>, Unresolved> {
        match claim {
            GpuClaim::None => Ok(Vec::new()),
            GpuClaim::All if self.gpus.is_empty() => Err(Unresolved::Nothing),
            GpuClaim::All => Ok(self.gpus.iter().flat_map(parts).collect()),
            GpuClaim::Some(ids) => {
                let mut found: Vec<(&GpuId, Place<'_>)> = Vec::new();
                for id in ids {
                    let place = self.named(id)?;
                    if let Some((other, _)) = found.iter().find(|(_, other)| common(place, *other)) {
                        return Err(Unresolved::Twice { one: (*other).clone(), other: id.clone() });
                    }
                    found.push((id, place));
                }
                let mut places: Vec<Place<'_>> = found.into_iter().flat_map(|(_, place)| used(place)).collect();
                places.sort_by_key(|(gpu, slice)| (gpu.index, slice.map(|slice| slice.index)));
                Ok(places)
            }
        }
    }

    fn named(&self, id: &GpuId) -> Result<Place<'_>, Unresolved> {
        if let Some(place) = self.place(id) {
            return Ok(place);
        }
        match id {
            GpuId::Slice(index, slice) => match self.gpus.iter().find(|gpu| gpu.index == *index) {
                Some(gpu) if !gpu.mig => Err(Unresolved::MigOff { gpu: *index }),
                Some(gpu) => Err(Unresolved::NoSlice { gpu: *index, slice: *slice, there: slices(gpu) }),
                None => Err(Unresolved::NotThere { gpu: id.clone(), there: self.there() }),
            },
            GpuId::Index(_) | GpuId::Uuid(_) => Err(Unresolved::NotThere { gpu: id.clone(), there: self.there() }),
        }
    }

    fn place(&self, id: &GpuId) -> Option<Place<'_>> {
        let gpu = |index: &u32| self.gpus.iter().find(|gpu| gpu.index == *index);
        match id {
            GpuId::Index(index) => gpu(index).map(|gpu| (gpu, None)),
            GpuId::Slice(index, slice) => {
                let gpu = gpu(index)?;
                gpu.slices.iter().find(|found| found.index == *slice).map(|slice| (gpu, Some(slice)))
            }
            GpuId::Uuid(uuid) => self.gpus.iter().find_map(|gpu| {
                if gpu.uuid == *uuid {
                    return Some((gpu, None));
                }
                gpu.slices.iter().find(|slice| slice.uuid == *uuid).map(|slice| (gpu, Some(slice)))
            }),
        }
    }
}

fn common(one: Place<'_>, other: Place<'_>) -> bool {
    let same_part = match (one.1, other.1) {
        (Some(one), Some(other)) => one.uuid == other.uuid,
        (None, _) | (_, None) => true,
    };
    one.0.uuid == other.0.uuid && same_part
}

fn used(place: Place<'_>) -> Vec<Place<'_>> {
    match place {
        (gpu, None) => parts(gpu),
        (_, Some(_)) => vec![place],
    }
}

/// A GPU with MIG on is its slices: nothing runs on the whole of it.
fn parts(gpu: &Gpu) -> Vec<Place<'_>> {
    if gpu.slices.is_empty() { vec![(gpu, None)] } else { gpu.slices.iter().map(|slice| (gpu, Some(slice))).collect() }
}

fn unit((gpu, slice): Place<'_>) -> Unit {
    let own = gpu.minor.map(|minor| PathBuf::from(format!("/dev/nvidia{minor}")));
    let caps = slice.into_iter().flat_map(|slice| slice.nodes.iter().cloned());
    let uuid = slice.map_or(&gpu.uuid, |slice| &slice.uuid);
    Unit { uuid: uuid.clone(), gpu: gpu.uuid.clone(), nodes: own.into_iter().chain(caps).collect() }
}

fn slices(gpu: &Gpu) -> String {
    let names: Vec<String> =
        gpu.slices.iter().map(|slice| format!("{}:{} ({})", gpu.index, slice.index, slice.profile)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests;
