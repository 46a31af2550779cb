//! Why a GPU or a MIG slice is not lent now: one answer for whoever lends, shows and explains.

use std::collections::{BTreeMap, BTreeSet};

use super::health::Health;
use super::ids::RunId;
use super::inventory::{Gpu, GpuProcess, Inventory};
use super::lease::{Pool, Unit};
use super::lending::Share;
use super::reservation::Reservations;

/// Why a unit is not lent, as what is said of it: `GPU 2 is held by run …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Withheld {
    /// It does not work.
    #[error("cannot be used: {reason}")]
    Unusable {
        /// In the driver's words, with the next step.
        reason: String,
    },
    /// It works, but is not trusted.
    #[error("is {state}: {reason}; {next}")]
    Distrusted {
        /// `suspect`, `quarantined`, `verifying`.
        state: &'static str,
        /// Why.
        reason: String,
        /// What to do.
        next: String,
    },
    /// Somebody keeps it for themselves.
    #[error("is reserved by {by}: {reason}")]
    Reserved {
        /// Who.
        by: String,
        /// Why, in their words.
        reason: String,
    },
    /// A Run has it that shares it with nobody, or as many as share it.
    #[error("is held by run {run}")]
    Held {
        /// The first of them.
        run: RunId,
    },
    /// A process computes on it that belongs to no Run.
    #[error("is used by process {pid} ({name}), which belongs to no run")]
    Foreign {
        /// On the host.
        pid: u32,
        /// Its command's name.
        name: String,
    },
}

/// What bears on lending, beside the words of a claim.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// What is there.
    pub inventory: &'a Inventory,
    /// What is lent.
    pub pool: &'a Pool,
    /// How far each of them can be trusted.
    pub health: &'a Health,
    /// What people keep for themselves.
    pub reservations: &'a Reservations,
    /// Supervisors of live Runs: every process of a Run descends from one.
    pub shims: &'a BTreeMap<u32, RunId>,
    /// What is thought of processes that are nobody's.
    pub strangers: &'a Strangers,
}

/// What is thought of processes on a GPU that belong to no Run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strangers {
    /// They are nobody's business.
    Welcome,
    /// Their GPU is theirs, but for commands of these names.
    Respected {
        /// As the kernel has them: at most 15 bytes.
        ignored: BTreeSet<String>,
    },
}

impl Withheld {
    /// Whether it ends with a Run of ours: then waiting is enough.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::Held { .. } => true,
            Self::Unusable { .. } | Self::Distrusted { .. } | Self::Reserved { .. } | Self::Foreign { .. } => false,
        }
    }
}

impl Circumstances<'_> {
    /// Why that unit is not lent to one more Run that shares it with so many. What lasts longest comes first.
    #[must_use]
    pub fn withheld(&self, unit: &Unit, share: Share) -> Option<Withheld> {
        let gpu = self.inventory.gpus.iter().find(|gpu| gpu.uuid == unit.gpu);
        if let Some(reason) = gpu.and_then(|gpu| unusable(gpu, unit)) {
            return Some(Withheld::Unusable { reason: reason.to_owned() });
        }
        if let Some((uuid, record)) = self.health.distrusted(unit) {
            let (state, reason) = (record.state.word(), record.reason.clone());
            return Some(Withheld::Distrusted { state, reason, next: record.next_step(uuid) });
        }
        if let Some(found) = self.reservations.of(unit) {
            return Some(Withheld::Reserved { by: found.by.clone(), reason: found.reason.clone() });
        }
        if let Some(run) = self.pool.keeps(unit, share) {
            return Some(Withheld::Held { run: run.clone() });
        }
        let stranger = gpu.and_then(|gpu| gpu.processes.iter().find(|process| self.strange(process)));
        stranger.map(|process| Withheld::Foreign { pid: process.pid, name: process.name.clone() })
    }

    /// Whose process has ended meanwhile nobody can say: it has no name, and is none.
    fn strange(&self, process: &GpuProcess) -> bool {
        let Strangers::Respected { ignored } = self.strangers else { return false };
        let ours = std::iter::once(&process.pid).chain(&process.ancestors).any(|pid| self.shims.contains_key(pid));
        !ours && !process.name.is_empty() && !ignored.contains(&process.name)
    }
}

fn unusable<'a>(gpu: &'a Gpu, unit: &Unit) -> Option<&'a str> {
    let slice = gpu.slices.iter().find(|slice| slice.uuid == unit.uuid);
    gpu.unusable.as_deref().or(slice.and_then(|slice| slice.unusable.as_deref()))
}

impl Strangers {
    /// Respected, but for commands of these names.
    #[must_use]
    pub fn respected(ignored: impl IntoIterator<Item = String>) -> Self {
        // The kernel keeps 15 bytes of a command's name (TASK_COMM_LEN).
        let kept = |name: String| String::from_utf8_lossy(&name.as_bytes()[..name.len().min(15)]).into_owned();
        Self::Respected { ignored: ignored.into_iter().map(kept).collect() }
    }
}

/// Commands that stand on the GPUs of ordinary hosts and leave room for tasks.
pub const USUAL: &[&str] = &[
    "Xorg",
    "Xwayland",
    "gnome-shell",
    "kwin_wayland",
    "nvidia-persistenced",
    "nvidia-smi",
    "nv-hostengine",
    "dcgm-exporter",
];

impl Default for Strangers {
    fn default() -> Self {
        Self::respected(USUAL.iter().map(ToString::to_string))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::UnixMillis;
    use crate::domain::lease::Lease;
    use crate::domain::reservation::{Reservation, Term};

    fn process(pid: u32, name: &str, ancestors: &[u32]) -> GpuProcess {
        GpuProcess { pid, name: name.into(), ancestors: ancestors.to_vec(), ..GpuProcess::default() }
    }

    /// One GPU with these processes, and what is said of it.
    fn said(
        processes: Vec<GpuProcess>,
        unusable: Option<&str>,
        reserved: bool,
        held: bool,
        strangers: &Strangers,
    ) -> String {
        let unit = Unit { uuid: "GPU-a".into(), gpu: "GPU-a".into(), nodes: Vec::new() };
        let gpu = Gpu { uuid: "GPU-a".into(), processes, unusable: unusable.map(Into::into), ..Gpu::default() };
        let inventory = Inventory { gpus: vec![gpu], ..Inventory::default() };
        let run = RunId::new("r1").expect("an id");
        let mut pool = Pool::default();
        if held {
            let lease = Lease {
                units: vec![unit.clone()],
                ..Lease::from("0".parse::<crate::domain::gpu::GpuClaim>().expect("a claim"))
            };
            pool.lease(&run, lease).expect("free");
        }
        let (by, reason, made) = ("alice".to_owned(), "a demo".to_owned(), UnixMillis(0));
        let reservation = Reservation { unit: unit.clone(), by, reason, made, term: Term::Until(UnixMillis(9)) };
        let reservations = Reservations { made: reserved.then_some(reservation).into_iter().collect() };
        let shims = BTreeMap::from([(77, run)]);
        let circumstances = Circumstances {
            inventory: &inventory,
            pool: &pool,
            health: &Health::default(),
            reservations: &reservations,
            shims: &shims,
            strangers,
        };
        circumstances.withheld(&unit, Share::ALONE).map_or_else(|| "free".to_owned(), |withheld| withheld.to_string())
    }

    #[test]
    fn a_unit_is_withheld_for_the_reason_that_lasts_longest() {
        let strangers = Strangers::default();
        let both = || vec![process(5, "python", &[1])];
        assert_eq!(said(both(), Some("gone"), true, true, &strangers), "cannot be used: gone");
        assert_eq!(said(both(), None, true, true, &strangers), "is reserved by alice: a demo");
        assert_eq!(said(both(), None, false, true, &strangers), "is held by run r1");
        let foreign = "is used by process 5 (python), which belongs to no run";
        assert_eq!(said(both(), None, false, false, &strangers), foreign);
        assert_eq!(said(Vec::new(), None, false, false, &strangers), "free");
    }

    #[test]
    fn advice_names_the_gpu_that_is_out_of_use_and_not_its_slice() {
        let unit = |uuid: &str| Unit { uuid: uuid.into(), gpu: "GPU-a".into(), nodes: Vec::new() };
        for (bad, withheld) in [("GPU-a", true), ("MIG-1", true), ("MIG-2", false)] {
            let mut health = Health::default();
            health.quarantine(&unit(bad), "a fan is loud".into(), UnixMillis(1)).expect("taken out");
            let circumstances = Circumstances {
                inventory: &Inventory::default(),
                pool: &Pool::default(),
                health: &health,
                reservations: &Reservations::default(),
                shims: &BTreeMap::new(),
                strangers: &Strangers::Welcome,
            };
            let said = circumstances.withheld(&unit("MIG-1"), Share::ALONE).map(|why| why.to_string());
            assert_eq!(said.is_some(), withheld, "{bad}");
            assert!(said.is_none_or(|said| said.contains(&format!("clearmlctl gpu verify {bad}`"))), "{bad}");
        }
    }

    #[test]
    fn a_process_is_no_stranger_that_descends_from_a_run_or_has_ended_or_is_to_be_ignored() {
        let strangers = Strangers::default();
        for process in [
            process(5, "python", &[80, 77, 1]),
            process(77, "clearmld-shim", &[1]),
            process(5, "", &[]),
            process(5, "Xorg", &[1]),
            process(5, "nvidia-persiste", &[1]),
        ] {
            assert_eq!(said(vec![process.clone()], None, false, false, &strangers), "free", "{process:?}");
        }
        assert_eq!(said(vec![process(5, "python", &[1])], None, false, false, &Strangers::Welcome), "free");
    }
}
