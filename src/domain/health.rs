//! How far each GPU can be trusted: `healthy → suspect → quarantined → verifying → healthy`.
//!
//! A fault that costs a program only itself makes nobody suspicious; repeated ones of different Runs make the GPU
//! **suspect**: it is lent to nobody and verified by itself once it is free. What a reset or a person has to mend **quarantines** it,
//! and so does becoming suspect again within a day; only a person ends that. **Verifying** takes
//! [`PROBATION`](Health::PROBATION_MS): the GPU must answer, open and report nothing new. All of it is about one GPU or
//! one MIG slice, never about the host.

mod transitions;
mod xid;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{RunId, UnixMillis};
use super::inventory::Inventory;
use super::lease::Unit;

pub use transitions::{Change, Refused};
pub use xid::{Class, Xid};

/// Version of the file of health.
pub const VERSION: u32 = 1;

/// Of every GPU and slice of which there is something to say, by its UUID.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Health {
    /// By UUID.
    pub records: BTreeMap<String, Record>,
}

/// Of one GPU or slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The UUID of the GPU: of a whole one its own.
    pub gpu: String,
    /// How far it can be trusted.
    pub state: State,
    /// Since when it is in that state.
    pub since: UnixMillis,
    /// Why, in a sentence without a full stop.
    pub reason: String,
    /// When it became suspect last.
    pub suspected: Option<UnixMillis>,
    /// Uncorrected memory errors that are known already: the driver counts them from its own start.
    pub uncorrected: Option<u64>,
    /// What it reported last, oldest first.
    pub sightings: Vec<Sighting>,
}

/// How far a GPU can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    /// As far as anybody knows.
    #[default]
    Healthy,
    /// Something points at it, and nothing proves it.
    Suspect,
    /// Out of use, until somebody says otherwise.
    Quarantined {
        /// What would help.
        remedy: Remedy,
    },
    /// On probation.
    Verifying {
        /// So long.
        until: UnixMillis,
    },
}

/// What would help a GPU that is out of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// A person took it out of use, and knows why.
    Operator,
    /// A reset.
    Reset,
    /// Somebody who looks at the hardware.
    Support,
}

/// Something that a GPU reported, or that was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// When.
    pub at: UnixMillis,
    /// What.
    pub fault: Fault,
    /// Who held it then.
    pub runs: Vec<RunId>,
}

/// What can be wrong with a GPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum Fault {
    /// The driver reported an error of it.
    Xid {
        /// Which.
        xid: Xid,
    },
    /// Its memory lost something.
    Ecc {
        /// How many times since the last look.
        errors: u64,
    },
    /// It does not answer any more.
    Lost {
        /// In the driver's words.
        reason: String,
    },
    /// The driver does nothing more with it before a reset.
    ResetRequired {
        /// In the driver's words.
        reason: String,
    },
    /// Processes on it cannot be ended.
    Hung {
        /// What was tried.
        reason: String,
    },
}

/// What a driver says of a GPU or slice by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Of which.
    pub unit: Unit,
    /// What.
    pub fault: Fault,
}

/// A fault that a Run may have died of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blame {
    /// The UUID of the GPU or slice.
    pub uuid: String,
    /// What it was.
    pub fault: Fault,
}

// === impl Fault ===

impl Fault {
    /// What it asks for.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Xid { xid } => xid.class(),
            Self::Ecc { .. } | Self::ResetRequired { .. } | Self::Hung { .. } => Class::Reset,
            Self::Lost { .. } => Class::Support,
        }
    }

    /// What happened, in words after which a full stop may stand.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Xid { xid } => format!("Xid {} ({})", xid.0, xid.meaning()),
            Self::Ecc { errors: 1 } => "an uncorrected memory error".to_owned(),
            Self::Ecc { errors } => format!("{errors} uncorrected memory errors"),
            Self::Lost { reason } => format!("it does not answer any more: {reason}"),
            Self::ResetRequired { reason } => format!("it needs a reset: {reason}"),
            Self::Hung { reason } => reason.clone(),
        }
    }
}

// === impl Sighting ===

impl Sighting {
    /// The Run that held it, if it was one alone.
    fn only(&self) -> Option<&RunId> {
        match self.runs.as_slice() {
            [run] => Some(run),
            [] | [_, ..] => None,
        }
    }

    /// Whether that Run may have died of it: of what the card does everyone, of what hits one program only who was alone.
    fn concerns(&self, run: &RunId) -> bool {
        match self.fault.class() {
            Class::Harmless => false,
            Class::Application | Class::Contained => self.only() == Some(run),
            Class::Reset | Class::Support => self.runs.contains(run),
        }
    }
}

// === impl State ===

impl State {
    /// In a word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Suspect => "suspect",
            Self::Quarantined { .. } => "quarantined",
            Self::Verifying { .. } => "verifying",
        }
    }

    /// Every word, from good to bad and back.
    pub const WORDS: [&str; 4] = ["healthy", "suspect", "quarantined", "verifying"];
}

// === impl Record ===

impl Record {
    fn new(gpu: &str, at: UnixMillis) -> Self {
        Self {
            gpu: gpu.to_owned(),
            state: State::Healthy,
            since: at,
            reason: String::new(),
            suspected: None,
            uncorrected: None,
            sightings: Vec::new(),
        }
    }

    /// What to do, in words for the end of a sentence. Names the GPU as its commands do.
    #[must_use]
    pub fn next_step(&self, id: &str) -> String {
        match self.state {
            State::Healthy => String::new(),
            State::Suspect => "it is verified by itself once no run holds it".to_owned(),
            State::Verifying { .. } => "it is lent again when it has been quiet for a minute".to_owned(),
            State::Quarantined { remedy: Remedy::Operator } => {
                format!("give it back with `clearmlctl gpu verify {id}`, or at once with `clearmlctl gpu readmit {id}`")
            }
            State::Quarantined { remedy: Remedy::Reset } => {
                format!("reset it (nvidia-smi -r) or reboot, then `clearmlctl gpu verify {id}`")
            }
            State::Quarantined { remedy: Remedy::Support } => {
                format!(
                    "reboot; if that does not help, look at its power, slot and kernel log; once it works again, \
                     `clearmlctl gpu verify {id}`"
                )
            }
        }
    }
}

// === impl Health ===

impl Health {
    /// How long a GPU is on probation: a fault that is still there shows within moments of use of the driver.
    pub const PROBATION_MS: u64 = 60_000;

    /// What keeps a unit from being lent: the record of the GPU that it is part of, or its own. With whose it is.
    #[must_use]
    pub fn distrusted(&self, unit: &Unit) -> Option<(&str, &Record)> {
        let bad = |uuid: &str| self.records.get_key_value(uuid).filter(|(_, record)| record.state != State::Healthy);
        let (uuid, record) = bad(&unit.gpu).or_else(|| bad(&unit.uuid))?;
        Some((uuid, record))
    }

    /// The record of that UUID; of a slice without one that of its GPU. With whose it is.
    #[must_use]
    pub fn of(&self, uuid: &str, gpu: &str) -> Option<(&str, &Record)> {
        let known = |uuid: &str| self.records.get_key_value(uuid);
        let own = known(uuid).filter(|(_, record)| record.state != State::Healthy);
        let (uuid, record) = own.or_else(|| known(gpu)).or_else(|| known(uuid))?;
        Some((uuid, record))
    }

    /// What a Run may have died of: the worst that was seen of its GPUs while it held them, of several the first.
    #[must_use]
    pub fn blame(&self, run: &RunId) -> Option<Blame> {
        let mut worst: Option<(&str, &Sighting)> = None;
        for (uuid, record) in &self.records {
            for sighting in record.sightings.iter().filter(|sighting| sighting.concerns(run)) {
                let rank = |sighting: &Sighting| (sighting.fault.class(), std::cmp::Reverse(sighting.at));
                if worst.is_none_or(|(_, before)| rank(sighting) > rank(before)) {
                    worst = Some((uuid, sighting));
                }
            }
        }
        let (uuid, sighting) = worst?;
        Some(Blame { uuid: uuid.to_owned(), fault: sighting.fault.clone() })
    }

    /// Whether what is seen of a GPU or slice speaks for it; else why not.
    ///
    /// # Errors
    /// The first thing that speaks against it.
    pub fn examine(inventory: &Inventory, record: &Record, uuid: &str) -> Result<(), String> {
        if !inventory.known() || inventory.silent_seconds.is_some() {
            return Err("the driver does not answer".to_owned());
        }
        let Some(gpu) = inventory.gpus.iter().find(|gpu| gpu.uuid == record.gpu) else {
            return Err("the driver does not list it".to_owned());
        };
        let slice = gpu.slices.iter().find(|slice| slice.uuid == uuid);
        if uuid != record.gpu && slice.is_none() {
            return Err("the driver does not list this slice".to_owned());
        }
        let unusable = gpu.unusable.as_ref().or(slice.and_then(|slice| slice.unusable.as_ref()));
        match (unusable, &gpu.repair) {
            (Some(reason), _) | (None, Some(reason)) => Err(reason.clone()),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
