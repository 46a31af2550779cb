//! GPUs that a person keeps for themselves for a while. What a Run holds already it keeps to its end.

use serde::{Deserialize, Serialize};

use super::ids::UnixMillis;
use super::lease::Unit;

/// Version of the file of reservations.
pub const VERSION: u32 = 1;

/// All reservations of the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reservations {
    /// In the order in which they were made.
    pub made: Vec<Reservation>,
}

/// A GPU or a slice that somebody keeps from all Workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Of which hardware.
    pub unit: Unit,
    /// For whom: the caller's user name, or uid.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
    /// When it was made.
    pub made: UnixMillis,
    /// How long.
    pub term: Term,
}

/// How long a reservation lasts. No new Run is lent its GPU in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "ms")]
pub enum Term {
    /// A Run holds it still; so long once that has ended.
    WhenFree(u64),
    /// Until then.
    Until(UnixMillis),
}

// === impl Reservations ===

impl Reservations {
    /// Which of them takes hardware of `unit`.
    #[must_use]
    pub fn of(&self, unit: &Unit) -> Option<&Reservation> {
        self.made.iter().find(|reservation| reservation.unit.overlaps(unit))
    }

    /// What is left when `unit` is given back, and what that is: of a whole GPU also what is reserved of its slices.
    #[must_use]
    pub fn without(&self, unit: &Unit) -> (Self, Vec<Reservation>) {
        let part =
            |one: &Reservation| one.unit.uuid == unit.uuid || (unit.uuid == unit.gpu && one.unit.gpu == unit.gpu);
        let (back, made): (Vec<Reservation>, Vec<Reservation>) = self.made.iter().cloned().partition(part);
        (Self { made }, back)
    }

    /// What is left at `now`, and what has ended by then. A term that waits for a Run's end begins when nobody holds it.
    #[must_use]
    pub fn at(&self, now: UnixMillis, held: impl Fn(&Unit) -> bool) -> (Self, Vec<Reservation>) {
        let (over, left): (Vec<Reservation>, Vec<Reservation>) =
            self.made.iter().cloned().partition(|one| one.over(now));
        let begun = |one: Reservation| match one.term {
            Term::WhenFree(ms) if !held(&one.unit) => {
                Reservation { term: Term::Until(UnixMillis(now.0.saturating_add(ms))), ..one }
            }
            Term::WhenFree(_) | Term::Until(_) => one,
        };
        (Self { made: left.into_iter().map(begun).collect() }, over)
    }
}

impl Reservation {
    fn over(&self, now: UnixMillis) -> bool {
        match self.term {
            Term::WhenFree(_) => false,
            Term::Until(end) => end <= now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(uuid: &str, gpu: &str) -> Unit {
        Unit { uuid: uuid.into(), gpu: gpu.into(), nodes: Vec::new() }
    }

    fn reservation(uuid: &str, term: Term) -> Reservation {
        let (by, reason) = ("alice".to_owned(), "a demo".to_owned());
        Reservation { unit: unit(uuid, "GPU-a"), by, reason, made: UnixMillis(0), term }
    }

    #[test]
    fn a_reserved_gpu_takes_its_slices_along_and_a_slice_its_gpu() {
        let whole = Reservations { made: vec![reservation("GPU-a", Term::Until(UnixMillis(9)))] };
        assert!(whole.of(&unit("MIG-1", "GPU-a")).is_some());
        let slice = Reservations { made: vec![reservation("MIG-1", Term::Until(UnixMillis(9)))] };
        assert!(slice.of(&unit("GPU-a", "GPU-a")).is_some());
        assert!(slice.of(&unit("MIG-2", "GPU-a")).is_none());
    }

    #[test]
    fn a_gpu_is_given_back_with_its_slices_but_a_slice_not_with_its_gpu() {
        let both = Reservations { made: ["GPU-a", "MIG-1"].map(|uuid| reservation(uuid, Term::WhenFree(1))).into() };
        assert_eq!(both.without(&unit("GPU-a", "GPU-a")).1.len(), 2);
        assert_eq!(both.without(&unit("MIG-1", "GPU-a")).1, [both.made[1].clone()]);
        assert_eq!(both.without(&unit("MIG-2", "GPU-a")), (both.clone(), Vec::new()));
    }

    #[test]
    fn a_reservation_ends_by_itself_and_its_time_begins_when_the_gpu_is_free() {
        let all = Reservations { made: vec![reservation("GPU-a", Term::WhenFree(10))] };
        let (waiting, over) = all.at(UnixMillis(1_000), |_| true);
        assert_eq!((&waiting, over.len()), (&all, 0));
        let (begun, _) = waiting.at(UnixMillis(2_000), |_| false);
        assert_eq!(begun.made[0].term, Term::Until(UnixMillis(2_010)));
        assert_eq!(begun.at(UnixMillis(2_009), |_| false).0, begun);
        let (none, over) = begun.at(UnixMillis(2_010), |_| false);
        assert_eq!((none.made.len(), over.len()), (0, 1));
    }
}
