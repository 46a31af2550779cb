//! Which stage follows which, and what is made of its answer.

use std::fs::File;
use std::io;
use std::time::Duration;

use nix::fcntl::Flock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::cgroup::{Cgroup, kernel_has};
use super::environment::Place;
use super::ground::Venv;
use super::seccomp::Filter;
use super::tree::{Bounds, Tree};
use super::watch::Outcome;
use super::{Shim, now};
use crate::domain::handover::{Act, End, EnvironmentPlan, EnvironmentReport, SourceReport, Stage, StageReport};
use crate::domain::limits::usual_pids;

/// The Run ends here.
#[derive(Debug)]
struct Finish {
    stage: Stage,
    end: End,
}

/// How long a Run that waits for another's build sleeps before it tries again.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

impl Shim {
    /// All stages, one after the other; the last that was on, and how it ended.
    pub(super) fn course(&mut self) -> (Stage, End) {
        // It may have been written while nobody was there to be nudged.
        self.look_at_stop();
        match self.stages() {
            Ok(end) => (Stage::Program, end),
            Err(Finish { stage, end }) => (stage, end),
        }
    }

    fn stages(&mut self) -> Result<End, Finish> {
        self.make_work().map_err(disk(Stage::Source, "make the run's directories"))?;
        let source = self.source()?;
        self.progress.source = Some(source);
        let environment = self.environment()?;
        let (plan, venv) = match environment {
            Some((plan, place, report)) => {
                self.progress.environment = Some(report);
                (Some(plan), Venv::Finished(place))
            }
            None => (None, Venv::None),
        };
        let outcome = self.perform(Stage::Program, Act::Program { plan }, &venv)?;
        if let Some(reason) = outcome.failed {
            return Ok(End::LaunchFailed { reason });
        }
        match serde_json::from_slice(&outcome.report) {
            Ok(StageReport::Failed { reason, disk_full }) => Ok(failure(reason, disk_full)),
            // The program has taken the stage's place, and its end is the Run's.
            Ok(StageReport::Source(_) | StageReport::Plan { .. } | StageReport::Built { .. }) | Err(_) => {
                Ok(outcome.end)
            }
        }
    }

    fn source(&mut self) -> Result<SourceReport, Finish> {
        let stage = Stage::Source;
        match self.answer(stage, Act::Source, &Venv::None)? {
            StageReport::Source(report) => Ok(report),
            other @ (StageReport::Plan { .. } | StageReport::Built { .. } | StageReport::Failed { .. }) => {
                Err(unexpected(stage, &other))
            }
        }
    }

    fn environment(&mut self) -> Result<Option<(EnvironmentPlan, Place, EnvironmentReport)>, Finish> {
        let stage = Stage::Environment;
        let plan = match self.answer(stage, Act::Plan, &Venv::None)? {
            StageReport::Plan { plan } => plan,
            other @ (StageReport::Source(_) | StageReport::Built { .. } | StageReport::Failed { .. }) => {
                return Err(unexpected(stage, &other));
            }
        };
        let Some(plan) = plan else { return Ok(None) };
        let Some(place) = Place::of(&self.spec.caches.environments, &plan.key) else {
            let reason = "the environment's key is no word of 8 to 128 letters and digits".to_owned();
            return Err(Finish { stage, end: End::StageFailed { reason } });
        };
        if let Some(report) = place.finished() {
            return Ok(Some((plan, place, report)));
        }
        let _lock = self.lock(&place)?;
        // Another may have built it while this one waited.
        let report = match place.finished() {
            Some(report) => report,
            None => self.build(&plan, &place)?,
        };
        Ok(Some((plan, place, report)))
    }

    fn build(&mut self, plan: &EnvironmentPlan, place: &Place) -> Result<EnvironmentReport, Finish> {
        let stage = Stage::Environment;
        place.begin(&self.spec.identity).map_err(disk(stage, "make room for the environment"))?;
        let built = self.answer(stage, Act::Build { plan: plan.clone() }, &Venv::Building(place.clone()));
        let finished = match built {
            Ok(StageReport::Built { frozen }) => {
                place.finish(plan, frozen, now()).map_err(disk(stage, "seal the environment"))
            }
            Ok(other @ (StageReport::Source(_) | StageReport::Plan { .. } | StageReport::Failed { .. })) => {
                Err(unexpected(stage, &other))
            }
            Err(finish) => Err(finish),
        };
        if finished.is_err()
            && let Err(error) = place.discard()
        {
            super::log(&format!("cannot remove an unfinished environment; the next builder will try: {error}"));
        }
        finished
    }

    /// Waits for the right to build, unless the Run is stopped meanwhile.
    fn lock(&mut self, place: &Place) -> Result<Flock<File>, Finish> {
        let stage = Stage::Environment;
        let mut said = false;
        loop {
            match place.try_lock().map_err(disk(stage, "lock the environment"))? {
                Some(lock) => return Ok(lock),
                None if !said => {
                    self.say("another run is building the same environment; waiting for it");
                    said = true;
                }
                None => {}
            }
            let pause = Timespec { tv_sec: 0, tv_nsec: i64::from(LOCK_PAUSE.subsec_nanos()) };
            let mut descriptors = [PollFd::new(&self.inbox, PollFlags::IN)];
            let _ = poll(&mut descriptors, Some(&pause));
            self.read_inbox();
            self.look_at_clock();
            self.go_on(stage)?;
        }
    }

    /// Performs an act and reads its answer.
    fn answer(&mut self, stage: Stage, act: Act, venv: &Venv) -> Result<StageReport, Finish> {
        let outcome = self.perform(stage, act, venv)?;
        let finish = |end| Err(Finish { stage, end });
        if self.stop.is_some() {
            return finish(outcome.end);
        }
        if let Some(reason) = outcome.failed {
            return finish(End::LaunchFailed { reason });
        }
        match (outcome.end, serde_json::from_slice(&outcome.report)) {
            (_, Ok(StageReport::Failed { reason, disk_full })) => finish(failure(reason, disk_full)),
            (End::Exited { code: 0 }, Ok(report)) => Ok(report),
            (End::Exited { code: 0 }, Err(error)) => {
                let reason = format!("its process ended without an answer that can be read: {error}");
                finish(End::StageFailed { reason })
            }
            (end, Ok(_) | Err(_)) => finish(end),
        }
    }

    /// Starts an act's processes and waits until none of them lives.
    fn perform(&mut self, stage: Stage, act: Act, venv: &Venv) -> Result<Outcome, Finish> {
        self.read_inbox();
        self.look_at_clock();
        self.go_on(stage)?;
        if self.progress.stage != stage {
            (self.progress.stage, self.progress.since) = (stage, now());
        }
        self.progress.pid = None;
        let tree = self.grow(act, venv).map_err(|error| Finish {
            stage,
            end: End::LaunchFailed { reason: format!("cannot start the {} stage: {error}", stage.as_str()) },
        })?;
        if !tree.announces() {
            self.progress.pid = tree.outer_pid(0);
        }
        self.write_progress();
        Ok(self.watch(tree))
    }

    fn grow(&mut self, act: Act, venv: &Venv) -> io::Result<Tree> {
        let ground = self.ground(&act, venv)?;
        let door = self.cgroup.as_ref().map(Cgroup::door).transpose()?;
        Tree::start(ground, &self.spec.identity, &self.order(act, venv), door, self.bounds()?)
    }

    fn bounds(&self) -> io::Result<Bounds> {
        let filter = Filter::make(&self.spec.sandbox.relaxed)?;
        let counted = self.cgroup.as_ref().is_some_and(Cgroup::counts_processes);
        let processes = (!counted).then(|| usual_pids(kernel_has()));
        Ok(Bounds { filter, processes })
    }

    /// Nothing is started once a stop has been asked for.
    fn go_on(&self, stage: Stage) -> Result<(), Finish> {
        match self.stop {
            Some(_) => {
                let reason = "stopped before it began".to_owned();
                Err(Finish { stage, end: End::StageFailed { reason } })
            }
            None => Ok(()),
        }
    }
}

fn failure(reason: String, disk_full: bool) -> End {
    if disk_full { End::DiskFull { reason } } else { End::StageFailed { reason } }
}

fn unexpected(stage: Stage, report: &StageReport) -> Finish {
    let kind = match report {
        StageReport::Source(_) => "source",
        StageReport::Plan { .. } => "plan",
        StageReport::Built { .. } => "built",
        StageReport::Failed { .. } => "failed",
    };
    Finish { stage, end: End::StageFailed { reason: format!("it answered `{kind}`, which was not asked for") } }
}

/// An operation of the shim's own on the disk.
fn disk(stage: Stage, operation: &'static str) -> impl Fn(io::Error) -> Finish {
    move |error| {
        let reason = format!("cannot {operation}: {error}");
        let end = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => End::DiskFull { reason },
            _ => End::LaunchFailed { reason },
        };
        Finish { stage, end }
    }
}
