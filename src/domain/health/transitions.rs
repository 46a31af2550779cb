//! What leads from one state to another.

use std::mem;

use super::{Class, Fault, Health, Record, Remedy, Sighting, State};
use crate::domain::ids::{RunId, UnixMillis};
use crate::domain::inventory::{Gpu, Inventory};
use crate::domain::lease::Unit;

/// Different Runs that die of faults that only they meet within [`DAY`] before their GPU is suspect.
const TOO_MANY: usize = 3;
const DAY: u64 = 24 * 3600 * 1000;
/// More are not kept of one GPU: a fault may come again and again.
const KEPT: usize = 32;

/// A GPU's state is another one now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of which GPU or slice.
    pub uuid: String,
    /// What it is now.
    pub record: Record,
}

/// Why an order is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is that already.
    #[error("GPU {uuid} is {state} already: {reason}")]
    Already {
        /// Which.
        uuid: String,
        /// In a word.
        state: &'static str,
        /// Why it is.
        reason: String,
    },
    /// There is nothing to verify or to forgive.
    #[error("GPU {uuid} is healthy; take it out of use with `clearmlctl gpu quarantine`")]
    Healthy {
        /// Which.
        uuid: String,
    },
}

impl Health {
    /// Something was seen of a unit while `runs` held it. Faults that only a reset of the card mends are the card's, also
    /// if a slice reported them.
    pub fn hear(&mut self, unit: &Unit, fault: Fault, runs: &[RunId], at: UnixMillis) -> Option<Change> {
        let class = fault.class();
        let uuid = if class >= Class::Reset { &unit.gpu } else { &unit.uuid };
        let record = self.records.entry(uuid.clone()).or_insert_with(|| Record::new(&unit.gpu, at));
        let sentence = fault.sentence();
        record.note(Sighting { at, fault, runs: runs.to_vec() });
        let next = match (record.state, class) {
            (_, Class::Harmless)
            | (State::Suspect | State::Quarantined { .. }, Class::Application | Class::Contained) => None,
            (State::Quarantined { remedy }, Class::Reset | Class::Support) => {
                // It stays where it is; what would help may be more now.
                record.state = State::Quarantined { remedy: remedy.max(remedy_of(class)) };
                None
            }
            (State::Healthy | State::Suspect | State::Verifying { .. }, Class::Reset | Class::Support) => {
                Some((State::Quarantined { remedy: remedy_of(class) }, sentence))
            }
            (State::Verifying { .. }, Class::Application | Class::Contained) => {
                Some((State::Quarantined { remedy: Remedy::Reset }, format!("while it was verified: {sentence}")))
            }
            (State::Healthy, Class::Application | Class::Contained) => record.grumble(&sentence, at),
        };
        let (state, reason) = next?;
        Some(self.enter(&uuid.clone(), state, reason, at))
    }

    /// Compares what the driver says with what is known: cards that are gone, memory errors that are new.
    pub fn observe(
        &mut self,
        inventory: &Inventory,
        holders: impl Fn(&Unit) -> Vec<RunId>,
        at: UnixMillis,
    ) -> Vec<Change> {
        if !inventory.known() {
            return Vec::new();
        }
        let mut changes = Vec::new();
        for gpu in &inventory.gpus {
            let unit = Unit { uuid: gpu.uuid.clone(), gpu: gpu.uuid.clone(), nodes: Vec::new() };
            for fault in self.news_of(gpu, at) {
                changes.extend(self.hear(&unit, fault, &holders(&unit), at));
            }
        }
        changes
    }

    fn news_of(&mut self, gpu: &Gpu, at: UnixMillis) -> Vec<Fault> {
        let record = self.records.entry(gpu.uuid.clone()).or_insert_with(|| Record::new(&gpu.uuid, at));
        let mut news = Vec::new();
        let reason = |otherwise: &str| gpu.unusable.clone().unwrap_or_else(|| otherwise.to_owned());
        let down = if gpu.lost {
            Some(Fault::Lost { reason: reason("the driver has lost it") })
        } else {
            gpu.reset.then(|| Fault::ResetRequired { reason: reason("the driver says so") })
        };
        if let Some(fault) = down {
            let same = |one: &Sighting| mem::discriminant(&one.fault) == mem::discriminant(&fault);
            let said = |one: &Sighting| one.at >= record.since && same(one);
            if !record.sightings.iter().any(said) || record.state == State::Healthy {
                news.push(fault);
            }
        } else if let Some(ecc) = gpu.ecc {
            let new = match record.uncorrected {
                None => 0,
                // The driver was loaded anew and counts from there.
                Some(known) if ecc.uncorrected < known => ecc.uncorrected,
                Some(known) => ecc.uncorrected - known,
            };
            if new > 0 {
                news.push(Fault::Ecc { errors: new });
            }
            record.uncorrected = Some(ecc.uncorrected);
        }
        news
    }

    /// A person takes it out of use.
    ///
    /// # Errors
    /// When it is out of use already.
    pub fn quarantine(&mut self, unit: &Unit, reason: String, at: UnixMillis) -> Result<Change, Refused> {
        if let Some(Record { state: state @ State::Quarantined { .. }, reason, .. }) = self.records.get(&unit.uuid) {
            return Err(Refused::Already { uuid: unit.uuid.clone(), state: state.word(), reason: reason.clone() });
        }
        self.records.entry(unit.uuid.clone()).or_insert_with(|| Record::new(&unit.gpu, at));
        Ok(self.enter(&unit.uuid, State::Quarantined { remedy: Remedy::Operator }, reason, at))
    }

    /// Puts it on probation.
    ///
    /// # Errors
    /// When it is healthy, or on probation already.
    pub fn verify(&mut self, unit: &Unit, reason: String, at: UnixMillis) -> Result<Change, Refused> {
        match self.records.get(&unit.uuid).map(|record| (record.state, &record.reason)) {
            None | Some((State::Healthy, _)) => Err(Refused::Healthy { uuid: unit.uuid.clone() }),
            Some((state @ State::Verifying { .. }, reason)) => {
                Err(Refused::Already { uuid: unit.uuid.clone(), state: state.word(), reason: reason.clone() })
            }
            Some((State::Suspect | State::Quarantined { .. }, _)) => {
                let until = UnixMillis(at.0.saturating_add(Self::PROBATION_MS));
                Ok(self.enter(&unit.uuid, State::Verifying { until }, reason, at))
            }
        }
    }

    /// A person vouches for it.
    ///
    /// # Errors
    /// When it is healthy.
    pub fn readmit(&mut self, unit: &Unit, reason: String, at: UnixMillis) -> Result<Change, Refused> {
        match self.records.get_mut(&unit.uuid) {
            None => Err(Refused::Healthy { uuid: unit.uuid.clone() }),
            Some(record) if record.state == State::Healthy => Err(Refused::Healthy { uuid: unit.uuid.clone() }),
            Some(record) => {
                record.suspected = None;
                Ok(self.enter(&unit.uuid, State::Healthy, reason, at))
            }
        }
    }

    /// Those that are to be looked at now: on probation.
    #[must_use]
    pub fn on_probation(&self) -> Vec<String> {
        let on = |record: &Record| matches!(record.state, State::Verifying { .. });
        self.records.iter().filter(|(_, record)| on(record)).map(|(uuid, _)| uuid.clone()).collect()
    }

    /// Puts those on probation that are suspect and that nobody holds any more.
    pub fn examine_suspects(&mut self, held: impl Fn(&Unit) -> bool, at: UnixMillis) -> Vec<Change> {
        let unit = |(uuid, record): (&String, &Record)| Unit {
            uuid: uuid.clone(),
            gpu: record.gpu.clone(),
            nodes: Vec::new(),
        };
        let suspects = self.records.iter().filter(|(_, record)| record.state == State::Suspect).map(unit);
        let free: Vec<Unit> = suspects.filter(|unit| !held(unit)).collect();
        free.iter()
            .filter_map(|unit| {
                let why = self.records.get(&unit.uuid).map(|record| record.reason.clone()).unwrap_or_default();
                self.verify(unit, format!("it was suspect: {why}"), at).ok()
            })
            .collect()
    }

    /// What an examination of one on probation has found.
    pub fn examined(&mut self, uuid: &str, found: Result<(), String>, at: UnixMillis) -> Option<Change> {
        let State::Verifying { until } = self.records.get(uuid)?.state else { return None };
        match found {
            Err(reason) => {
                let reason = format!("it did not pass its verification: {reason}");
                Some(self.enter(uuid, State::Quarantined { remedy: Remedy::Reset }, reason, at))
            }
            Ok(()) if at >= until => {
                Some(self.enter(uuid, State::Healthy, "it passed its verification".to_owned(), at))
            }
            Ok(()) => None,
        }
    }

    fn enter(&mut self, uuid: &str, state: State, reason: String, at: UnixMillis) -> Change {
        let record = self.records.entry(uuid.to_owned()).or_insert_with(|| Record::new(uuid, at));
        (record.state, record.since, record.reason) = (state, at, reason);
        if state == State::Suspect {
            record.suspected = Some(at);
        }
        Change { uuid: uuid.to_owned(), record: record.clone() }
    }
}

impl Record {
    /// Keeps what was seen, but for more of the same: a program that errs a thousand times says nothing new. What has to
    /// go is the oldest of more than a day, then of the least.
    fn note(&mut self, sighting: Sighting) {
        let recent = |one: &Sighting| one.at.0.saturating_add(DAY) > sighting.at.0;
        let same = |one: &Sighting| one.fault == sighting.fault && one.runs == sighting.runs;
        if self.sightings.iter().any(|one| one.at >= self.since && recent(one) && same(one)) {
            return;
        }
        let worth = |one: &Sighting| recent(one).then(|| one.fault.class());
        if self.sightings.len() >= KEPT
            && let Some((least, _)) = self.sightings.iter().enumerate().min_by_key(|(_, one)| worth(one))
        {
            self.sightings.remove(least);
        }
        self.sightings.push(sighting);
    }

    /// What one more fault that only a program met makes of a healthy GPU. Runs are counted, not faults: one program may
    /// err a thousand times. Of several that shared the GPU nobody knows which erred.
    fn grumble(&self, sentence: &str, at: UnixMillis) -> Option<(State, String)> {
        let recent = |sighting: &&Sighting| {
            sighting.at.0.saturating_add(DAY) > at.0
                && sighting.at >= self.since
                && matches!(sighting.fault.class(), Class::Application | Class::Contained)
        };
        let mut runs: Vec<&RunId> = self.sightings.iter().filter(recent).filter_map(Sighting::only).collect();
        runs.sort();
        runs.dedup();
        if runs.len() < TOO_MANY {
            return None;
        }
        let reason = format!("{} runs within a day died of faults on it, the last of {sentence}", runs.len());
        let again = self.suspected.is_some_and(|before| before.0.saturating_add(DAY) > at.0);
        Some(if again {
            (State::Quarantined { remedy: Remedy::Support }, format!("it was suspect before, and again {reason}"))
        } else {
            (State::Suspect, reason)
        })
    }
}

fn remedy_of(class: Class) -> Remedy {
    match class {
        Class::Harmless | Class::Application | Class::Contained | Class::Reset => Remedy::Reset,
        Class::Support => Remedy::Support,
    }
}
