//! What is shown, and what a key means. No terminal and no daemon here: news and keys go in, wishes come out.

use std::collections::{HashMap, VecDeque};

use super::feed::News;
use crate::rpc::v1;

/// Lines of a log that are kept.
const LOG_LINES: usize = 1000;
/// Settled runs that are shown below the live ones.
const PAST_RUNS: usize = 20;

/// A key, whatever terminal it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    Enter,
    Escape,
    Suspend,
    /// Ctrl-C too.
    Quit,
    Other(char),
    /// The terminal has another size now.
    Resized,
}

/// What is wanted of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    Quit,
    Suspend,
    Ask(Asked),
}

/// What is asked of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    StopRun(String),
    StopWorker(String),
    Drain,
    Resume,
    /// Ends what was followed before.
    Follow(String),
    Unfollow,
}

/// What the daemon last said, all at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Picture {
    pub(super) status: v1::HostStatus,
    pub(super) workers: Vec<v1::Worker>,
    pub(super) runs: Vec<v1::Run>,
    pub(super) figures: v1::HostFigures,
    pub(super) gpus: Vec<v1::Gpu>,
}

/// Whether the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Link {
    #[default]
    Asking,
    Up,
    /// Why not. What is shown is old.
    Lost(String),
}

/// A row that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    Worker(String),
    Run(String),
}

/// What the keys mean now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Mode {
    #[default]
    List,
    /// `y` does it.
    Confirm {
        question: String,
        asked: Asked,
    },
    Log {
        run: String,
        lines: VecDeque<String>,
        ended: bool,
    },
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) picture: Picture,
    pub(super) link: Link,
    pub(super) mode: Mode,
    pub(super) chosen: Option<Choice>,
    /// What the last order came to.
    pub(super) notice: Option<String>,
    /// Share of all cores that was busy between the last two pictures.
    pub(super) cpu: Option<f64>,
    /// Cores that each run had, by its id.
    pub(super) run_cpu: HashMap<String, f64>,
    /// In milliseconds since the epoch.
    pub(super) now: i64,
}

impl Model {
    pub(super) fn tick(&mut self, now: i64) {
        self.now = now;
    }

    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Picture(picture) => self.renew(*picture),
            News::Lost(reason) => self.link = Link::Lost(reason),
            News::Done(notice) => self.notice = Some(notice),
            News::Log { run, text } => self.append(&run, &text),
            News::LogEnded { run, reason } => {
                if let Mode::Log { run: shown, lines, ended } = &mut self.mode
                    && *shown == run
                {
                    *ended = true;
                    lines.push_back(reason);
                }
            }
        }
    }

    fn renew(&mut self, picture: Picture) {
        self.rates(&picture.figures);
        self.picture = picture;
        self.link = Link::Up;
        let choices = self.choices();
        if !self.chosen.as_ref().is_some_and(|chosen| choices.contains(chosen)) {
            self.chosen = choices.into_iter().next();
        }
    }

    fn rates(&mut self, next: &v1::HostFigures) {
        let before = &self.picture.figures;
        let seconds = (next.at_unix_ms - before.at_unix_ms) as f64 / 1000.0;
        if before.at_unix_ms == 0 || seconds <= 0.0 {
            return;
        }
        let rate = |before: Option<f64>, next: Option<f64>| Some((next? - before?).max(0.0) / seconds);
        self.cpu = rate(before.cpu_busy_seconds, next.cpu_busy_seconds)
            .map(|cores| (cores / f64::from(next.cpus.unwrap_or(1).max(1))).min(1.0));
        let old = |id: &str| before.runs.iter().find(|run| run.run_id == id).and_then(|run| run.cpu_seconds);
        self.run_cpu = next
            .runs
            .iter()
            .filter_map(|run| Some((run.run_id.clone(), rate(old(&run.run_id), run.cpu_seconds)?)))
            .collect();
    }

    fn append(&mut self, run: &str, text: &str) {
        let Mode::Log { run: shown, lines, .. } = &mut self.mode else { return };
        if shown != run {
            return;
        }
        let mut pieces = text.split('\n');
        // The first piece goes on where the last line was left.
        if let (Some(last), Some(piece)) = (lines.back_mut(), pieces.next()) {
            last.push_str(piece);
            lines.extend(pieces.map(str::to_owned));
        } else {
            lines.extend(text.split('\n').map(str::to_owned));
        }
        while lines.len() > LOG_LINES {
            lines.pop_front();
        }
    }

    /// Live runs, then the newest that have ended.
    pub(super) fn shown_runs(&self) -> Vec<&v1::Run> {
        let (live, past): (Vec<_>, Vec<_>) = self.picture.runs.iter().partition(|run| run.live);
        live.into_iter().chain(past.into_iter().take(PAST_RUNS)).collect()
    }

    /// Everything that can be chosen, from top to bottom.
    pub(super) fn choices(&self) -> Vec<Choice> {
        let workers = self.picture.workers.iter().map(|worker| Choice::Worker(worker.name.clone()));
        let runs = self.shown_runs().into_iter().map(|run| Choice::Run(run.id.clone()));
        workers.chain(runs).collect()
    }

    /// What the key asks for.
    pub(super) fn press(&mut self, key: Key) -> Option<Wish> {
        match key {
            Key::Quit => return Some(Wish::Quit),
            Key::Suspend => return Some(Wish::Suspend),
            Key::Resized => return None,
            Key::Up | Key::Down | Key::Enter | Key::Escape | Key::Other(_) => {}
        }
        match std::mem::take(&mut self.mode) {
            Mode::List => self.press_in_list(key),
            Mode::Confirm { asked, .. } => {
                let agreed = key == Key::Other('y');
                self.notice = (!agreed).then(|| "nothing was changed".to_owned());
                agreed.then_some(Wish::Ask(asked))
            }
            Mode::Log { run, lines, ended } => match key {
                Key::Escape | Key::Other('q' | 'l' | 'h') => Some(Wish::Ask(Asked::Unfollow)),
                Key::Up | Key::Down | Key::Enter | Key::Other(_) | Key::Suspend | Key::Quit | Key::Resized => {
                    self.mode = Mode::Log { run, lines, ended };
                    None
                }
            },
        }
    }

    fn press_in_list(&mut self, key: Key) -> Option<Wish> {
        self.notice = None;
        match key {
            Key::Up | Key::Other('k') => self.step(-1),
            Key::Down | Key::Other('j') => self.step(1),
            Key::Enter | Key::Other('l') => return self.follow(),
            Key::Other('s') => self.stop(),
            Key::Other('d') => return Some(self.drain()),
            Key::Other('q') => return Some(Wish::Quit),
            Key::Escape | Key::Other(_) | Key::Suspend | Key::Quit | Key::Resized => {}
        }
        None
    }

    fn step(&mut self, by: isize) {
        let choices = self.choices();
        let at = choices.iter().position(|choice| Some(choice) == self.chosen.as_ref());
        let next = at.map_or(0, |at| at.saturating_add_signed(by).min(choices.len().saturating_sub(1)));
        self.chosen = choices.into_iter().nth(next);
    }

    /// The chosen run, or that of the chosen worker.
    fn chosen_run(&self) -> Option<String> {
        match self.chosen.as_ref()? {
            Choice::Run(run) => Some(run.clone()),
            Choice::Worker(name) => self.picture.workers.iter().find(|worker| worker.name == *name)?.run_id.clone(),
        }
    }

    fn follow(&mut self) -> Option<Wish> {
        let Some(run) = self.chosen_run() else {
            self.notice = Some("this worker has no run whose log could be followed".to_owned());
            return None;
        };
        self.mode = Mode::Log { run: run.clone(), lines: VecDeque::new(), ended: false };
        Some(Wish::Ask(Asked::Follow(run)))
    }

    fn stop(&mut self) {
        let (question, asked) = match &self.chosen {
            None => return,
            Some(Choice::Worker(name)) => {
                let question = format!("stop worker {name}? It takes no more tasks; its run goes on");
                (question, Asked::StopWorker(name.clone()))
            }
            Some(Choice::Run(run)) if self.picture.runs.iter().any(|found| found.id == *run && found.live) => {
                (format!("stop run {run}? Its task ends `stopped`"), Asked::StopRun(run.clone()))
            }
            Some(Choice::Run(_)) => {
                self.notice = Some("this run has ended already".to_owned());
                return;
            }
        };
        self.mode = Mode::Confirm { question, asked };
    }

    fn drain(&self) -> Wish {
        Wish::Ask(if self.picture.status.draining { Asked::Resume } else { Asked::Drain })
    }
}

#[cfg(test)]
pub(super) mod tests;
