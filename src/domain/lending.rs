//! How a Worker's GPUs are lent: all of them to one Run, also beside Runs of other Workers, or to several Runs, some to
//! each.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::schedule::Gate;

/// How a Worker's GPUs are lent to its Runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "of")]
pub enum Lending {
    /// All to one Run at a time, and to nobody else meanwhile.
    #[default]
    Whole,
    /// `--share N`: all to one Run at a time, while up to N Runs of Workers that say so use each of them.
    Shared(Share),
    /// `--dynamic-gpus`: to each Run as many as its queue says, by position in the Worker's queues.
    Dynamic(Vec<Portion>),
}

/// How many Runs may use a GPU at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Share(u32);

/// How many GPUs a Run is lent: as many as are free, but no fewer and no more than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Portion {
    least: u32,
    most: u32,
}

/// Why a text says no such number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLending {
    /// No number of sharers.
    #[error("`{text}` is no number of runs that share a GPU; use 2 to {}", Share::MOST)]
    Share {
        /// What was said.
        text: String,
    },
    /// Part of a GPU.
    #[error(
        "`{text}` is part of a GPU, which only a container's runtime can divide; use whole ones, or divide the GPU into \
         MIG slices and name those"
    )]
    Fraction {
        /// What was said.
        text: String,
    },
    /// No number of GPUs.
    #[error("`{text}` is no number of GPUs; use for example `2`, or `1-4` for as many as are free")]
    Portion {
        /// What was said.
        text: String,
    },
    /// A queue without a number.
    #[error(
        "queue `{queue}` does not say how many GPUs a task of it gets; write `{queue}=2`, or `{queue}=1-4` for as many as are free"
    )]
    Unsaid {
        /// Which.
        queue: String,
    },
    /// Two things at once.
    #[error("a worker with dynamic GPUs lends each of them to one run; leave out one of `share` and `dynamic_gpus`")]
    Both,
}

// === impl Lending ===

impl Lending {
    /// What an operator says. With `dynamic`, each queue says its number of GPUs, which is taken off its name.
    ///
    /// # Errors
    /// What of it makes no sense.
    pub fn of(share: Option<Share>, dynamic: bool, queues: &mut [String]) -> Result<Self, InvalidLending> {
        match (share, dynamic) {
            (Some(_), true) => Err(InvalidLending::Both),
            (None, false) => Ok(Self::Whole),
            (Some(share), false) => Ok(if share == Share::ALONE { Self::Whole } else { Self::Shared(share) }),
            (None, true) if queues.is_empty() => Err(InvalidLending::Unsaid { queue: "default".to_owned() }),
            (None, true) => {
                let said = queues.iter().map(|queue| {
                    let unsaid = || InvalidLending::Unsaid { queue: queue.clone() };
                    let (name, portion) = queue.rsplit_once('=').ok_or_else(unsaid)?;
                    Ok((name.trim().to_owned(), portion.parse()?))
                });
                let said: Vec<(String, Portion)> = said.collect::<Result<_, InvalidLending>>()?;
                let (names, portions): (Vec<String>, Vec<Portion>) = said.into_iter().unzip();
                queues.clone_from_slice(&names);
                Ok(Self::Dynamic(portions))
            }
        }
    }

    /// How many Runs may use one of its GPUs at once.
    #[must_use]
    pub fn share(&self) -> Share {
        match self {
            Self::Whole | Self::Dynamic(_) => Share::ALONE,
            Self::Shared(share) => *share,
        }
    }

    /// What each of its queues' tasks is lent; none where it is all of the Worker's.
    #[must_use]
    pub fn portions(&self) -> Option<&[Portion]> {
        match self {
            Self::Whole | Self::Shared(_) => None,
            Self::Dynamic(portions) => Some(portions),
        }
    }
}

// === impl Share ===

impl Share {
    /// Nobody else.
    pub const ALONE: Self = Self(1);
    /// More make no sense on one GPU.
    pub const MOST: u32 = 48;

    /// How many.
    #[must_use]
    pub fn runs(self) -> usize {
        self.0 as usize
    }
}

impl Default for Share {
    fn default() -> Self {
        Self::ALONE
    }
}

impl TryFrom<u32> for Share {
    type Error = InvalidLending;
    fn try_from(runs: u32) -> Result<Self, InvalidLending> {
        if (1..=Self::MOST).contains(&runs) {
            Ok(Self(runs))
        } else {
            Err(InvalidLending::Share { text: runs.to_string() })
        }
    }
}

impl From<Share> for u32 {
    fn from(share: Share) -> Self {
        share.0
    }
}

impl FromStr for Share {
    type Err = InvalidLending;
    fn from_str(text: &str) -> Result<Self, InvalidLending> {
        let invalid = || InvalidLending::Share { text: text.chars().take(40).collect() };
        text.parse().map_err(|_| invalid()).and_then(|runs: u32| Self::try_from(runs).map_err(|_| invalid()))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Portion ===

impl Portion {
    /// No fewer.
    #[must_use]
    pub fn least(self) -> usize {
        self.least as usize
    }

    /// What becomes of the queue's next task, while so many GPUs are free and so many will be when our own Runs have
    /// ended.
    #[must_use]
    pub fn gate(self, free: usize, later: usize) -> Gate {
        if free >= self.least() {
            Gate::Open
        } else if later >= self.least() {
            Gate::Wait
        } else {
            Gate::Shut
        }
    }

    /// Of `free` GPUs: as many as it may be; none when they are too few.
    #[must_use]
    pub fn of(self, free: usize) -> Option<usize> {
        (free >= self.least()).then(|| free.min(self.most as usize))
    }
}

impl FromStr for Portion {
    type Err = InvalidLending;

    fn from_str(text: &str) -> Result<Self, InvalidLending> {
        let text = text.trim();
        let shown = || text.chars().take(40).collect::<String>();
        let number = |part: &str| match part.parse::<u32>() {
            Ok(number @ 1..=1024) => Ok(number),
            Ok(_) => Err(InvalidLending::Portion { text: shown() }),
            Err(_) => match part.parse::<f64>() {
                // clearml-agent writes whole ones so, too.
                Ok(part) if part.fract() > 0.0 => Err(InvalidLending::Fraction { text: shown() }),
                Ok(_) | Err(_) => Err(InvalidLending::Portion { text: shown() }),
            },
        };
        let (least, most) = match text.split_once('-') {
            None => (number(text)?, number(text)?),
            Some((least, most)) => (number(least)?, number(most)?),
        };
        if least <= most { Ok(Self { least, most }) } else { Err(InvalidLending::Portion { text: shown() }) }
    }
}

impl fmt::Display for Portion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.least == self.most { self.least.fmt(f) } else { write!(f, "{}-{}", self.least, self.most) }
    }
}

impl TryFrom<String> for Portion {
    type Error = InvalidLending;
    fn try_from(text: String) -> Result<Self, InvalidLending> {
        text.parse()
    }
}

impl From<Portion> for String {
    fn from(portion: Portion) -> Self {
        portion.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dynamic(queues: &[&str]) -> Result<(Lending, Vec<String>), InvalidLending> {
        let mut queues: Vec<String> = queues.iter().map(ToString::to_string).collect();
        Lending::of(None, true, &mut queues).map(|lending| (lending, queues))
    }

    #[test]
    fn a_queue_says_how_many_gpus_a_task_of_it_gets() {
        let (lending, queues) = dynamic(&["dual=2", "any=1-4", "a=b=3"]).expect("read");
        assert_eq!(queues, ["dual", "any", "a=b"]);
        let portions: Vec<String> = lending.portions().expect("some").iter().map(ToString::to_string).collect();
        assert_eq!(portions, ["2", "1-4", "3"]);
        assert!(matches!(dynamic(&["dual"]), Err(InvalidLending::Unsaid { .. })));
        assert!(matches!(dynamic(&[]), Err(InvalidLending::Unsaid { .. })));
    }

    #[test]
    fn a_part_of_a_gpu_is_refused_with_what_could_be_done() {
        for text in ["0.5", "0.25-1", "1.5"] {
            let refused = text.parse::<Portion>().expect_err(text).to_string();
            assert!(refused.contains("container") && refused.contains("MIG"), "{refused}");
        }
        for text in ["0", "4-1", "x", "", "-1", "1-", "1e9"] {
            assert!(matches!(text.parse::<Portion>(), Err(InvalidLending::Portion { .. })), "{text:?}");
        }
    }

    #[test]
    fn a_range_takes_as_many_as_are_free() {
        let portion: Portion = "2-4".parse().expect("a range");
        assert_eq!([1, 2, 3, 9].map(|free| portion.of(free)), [None, Some(2), Some(3), Some(4)]);
    }

    #[test]
    fn a_task_waits_for_our_own_runs_but_not_for_gpus_that_none_of_them_gives_back() {
        let portion: Portion = "2-4".parse().expect("a range");
        assert_eq!(portion.gate(2, 2), Gate::Open);
        assert_eq!(portion.gate(1, 2), Gate::Wait);
        assert_eq!(portion.gate(1, 1), Gate::Shut);
    }

    #[test]
    fn dynamic_gpus_are_not_shared_and_one_sharer_is_none() {
        let share = |text: &str| text.parse::<Share>();
        let two = share("2").expect("two");
        assert_eq!(Lending::of(Some(two), true, &mut ["q=1".to_owned()]), Err(InvalidLending::Both));
        assert_eq!(Lending::of(Some(Share::ALONE), false, &mut []), Ok(Lending::Whole));
        assert_eq!(Lending::of(Some(two), false, &mut []), Ok(Lending::Shared(two)));
        assert!(share("0").is_err() && share("1000").is_err() && share("-1").is_err());
    }
}
