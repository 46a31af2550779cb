//! When a Worker takes tasks: `--uptime` and `--downtime` in the syntax of clearml-agent, `"<hours> <days>"`. Local time;
//! which hour that is here and now, the caller says.
//!
//! Where clearml-agent drops a range without a word (one that begins at hour 0, one over midnight, one over the end of
//! the week), it counts here. A range over midnight belongs to the day on which it begins: `22-3 FRI` ends on Saturday.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Hours of a day.
const DAY: u8 = 24;
/// Hours of a week.
const WEEK: u8 = 7 * DAY;
/// Every hour of a day, a bit each.
const ALL_DAY: u32 = (1 << DAY) - 1;
/// More entries are a mistake.
const MOST_ENTRIES: usize = 64;
/// Longest entry that is looked at.
const LONGEST: usize = 256;

/// A day of the week, in the order of clearml-agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "days of the week")]
pub enum Weekday {
    Sunday,
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
}

/// An hour of a week on the wall: what a clock beside a calendar shows, minutes left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalHour {
    /// The day.
    pub day: Weekday,
    /// 0 to 23.
    pub hour: u8,
}

/// When a Worker takes tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "hours")]
pub enum Timetable {
    /// At any time.
    #[default]
    Always,
    /// In these hours only.
    Uptime(Hours),
    /// But in these hours.
    Downtime(Hours),
}

/// The hours that a Worker keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptHours {
    /// These.
    pub timetable: Timetable,
    /// Where they were said for every Worker of the host that says none itself; none where it does, or nobody said any.
    pub said_in: Option<String>,
}

/// Hours of a week: at least one, and not all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Hours {
    /// As the operator wrote them.
    entries: Vec<String>,
    /// Which hours these are: from Sunday, a day each, its first hour in the lowest bit.
    marked: [u32; 7],
}

/// A Worker is outside its hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outside {
    /// When it takes tasks again.
    pub until: LocalHour,
}

/// Why hours cannot be what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHours {
    /// Of one entry.
    #[error(
        "`{entry}`: {reason}; write hours and days, as in `9-17 MON-FRI`, `22-3 FRI,SAT`, or `20 SUN` (from then to 24)"
    )]
    Entry {
        /// As it was written, made printable.
        entry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Too many of them.
    #[error("there are more than {MOST_ENTRIES} entries; join some with `,`")]
    TooMany,
    /// Both lists.
    #[error("it contradicts `uptime`, and clearml-agent would take no notice of either; keep one of them")]
    Both,
    /// It would never take a task.
    #[error("it leaves no hour of the week in which the worker takes tasks; use `clearmlctl worker stop` for that")]
    Never,
}

// === impl KeptHours ===

impl KeptHours {
    /// Of a Worker that says those; `self` is the host's. A Worker that is to know no hours where the host has some says
    /// all of them: `0-24 SUN-SAT`.
    #[must_use]
    pub fn of(&self, own: &Timetable) -> Self {
        match own {
            Timetable::Always => self.clone(),
            own @ (Timetable::Uptime(_) | Timetable::Downtime(_)) => Self { timetable: own.clone(), said_in: None },
        }
    }
}

// === impl Timetable ===

impl Timetable {
    /// From both lists of entries, of which one may hold any.
    ///
    /// # Errors
    /// With the name of the list that is wrong.
    pub fn of(uptime: &[String], downtime: &[String]) -> Result<Self, (&'static str, InvalidHours)> {
        match (uptime, downtime) {
            ([], []) => Ok(Self::Always),
            (entries, []) => parse(entries).map(Self::Uptime).map_err(|error| ("uptime", error)),
            ([], entries) => match parse(entries) {
                Ok(hours) if hours.marked == [ALL_DAY; 7] => Err(("downtime", InvalidHours::Never)),
                Ok(hours) => Ok(Self::Downtime(hours)),
                Err(error) => Err(("downtime", error)),
            },
            (_, _) => Err(("downtime", InvalidHours::Both)),
        }
    }

    /// The entries of `uptime`, as they were written.
    #[must_use]
    pub fn uptime(&self) -> &[String] {
        match self {
            Self::Uptime(hours) => &hours.entries,
            Self::Always | Self::Downtime(_) => &[],
        }
    }

    /// The entries of `downtime`, as they were written.
    #[must_use]
    pub fn downtime(&self) -> &[String] {
        match self {
            Self::Downtime(hours) => &hours.entries,
            Self::Always | Self::Uptime(_) => &[],
        }
    }

    /// Whether tasks may be taken at that time.
    ///
    /// # Errors
    /// When not: until when. That is an hour on the wall, so no change of the clock makes it wrong.
    pub fn check(&self, now: LocalHour) -> Result<(), Outside> {
        let ahead = (0..WEEK).map(|hours| now.later(hours)).find(|hour| self.has(*hour));
        match ahead {
            Some(hour) if hour == now => Ok(()),
            Some(until) => Err(Outside { until }),
            // No value of this type is without any hour.
            None => Ok(()),
        }
    }

    fn has(&self, hour: LocalHour) -> bool {
        match self {
            Self::Always => true,
            Self::Uptime(hours) => hours.has(hour),
            Self::Downtime(hours) => !hours.has(hour),
        }
    }
}

// === impl Hours ===

impl Hours {
    fn has(&self, hour: LocalHour) -> bool {
        self.marked[usize::from(hour.day.number())] & hour.bit() != 0
    }
}

impl TryFrom<Vec<String>> for Hours {
    type Error = InvalidHours;
    fn try_from(entries: Vec<String>) -> Result<Self, InvalidHours> {
        parse(&entries)
    }
}

impl From<Hours> for Vec<String> {
    fn from(hours: Hours) -> Self {
        hours.entries
    }
}

fn parse(entries: &[String]) -> Result<Hours, InvalidHours> {
    if entries.len() > MOST_ENTRIES {
        return Err(InvalidHours::TooMany);
    }
    let mut marked = [0; 7];
    for entry in entries {
        let invalid = |reason| InvalidHours::Entry { entry: printable(entry), reason };
        for hour in hours_of(entry).map_err(invalid)? {
            marked[usize::from(hour.day.number())] |= hour.bit();
        }
    }
    if marked == [0; 7] {
        return Err(InvalidHours::Never);
    }
    let entries = entries.iter().map(|entry| entry.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    Ok(Hours { entries, marked })
}

fn hours_of(entry: &str) -> Result<Vec<LocalHour>, String> {
    if entry.len() > LONGEST {
        return Err(format!("it is longer than {LONGEST} bytes"));
    }
    let parts: Vec<&str> = entry.split_whitespace().collect();
    let [hours, days] = parts.as_slice() else {
        return Err("it is not hours and days with a space between them".to_owned());
    };
    let ranges = hours.split(',').map(span).collect::<Result<Vec<_>, _>>()?;
    let mut found = Vec::new();
    for range in days.split(',') {
        for day in days_of(range)? {
            for (start, length) in &ranges {
                let begin = LocalHour { day, hour: *start };
                found.extend((0..*length).map(|hours| begin.later(hours)));
            }
        }
    }
    Ok(found)
}

/// Where a range of hours begins, and how many it has: the last one is not part of it.
fn span(text: &str) -> Result<(u8, u8), String> {
    let number = |text: &str| {
        let hour = text.parse::<u8>().ok().filter(|hour| *hour <= DAY && text.bytes().all(|b| b.is_ascii_digit()));
        hour.ok_or_else(|| format!("`{}` is no hour from 0 to 24", printable(text)))
    };
    let (start, end) = match text.split_once('-') {
        Some((start, end)) => (number(start)?, number(end)?),
        None => (number(text)?, DAY),
    };
    match (start, if end == 0 { DAY } else { end }) {
        (DAY, _) => Err(format!("`{}` begins when the day is over", printable(text))),
        (start, end) if start == end => {
            Err(format!("`{}` ends where it begins (a whole day is 0-24)", printable(text)))
        }
        (start, end) if start < end => Ok((start, end - start)),
        (start, end) => Ok((start, DAY - start + end)),
    }
}

fn days_of(text: &str) -> Result<Vec<Weekday>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (Weekday, Weekday) = (first.parse()?, last.parse()?);
    let count = (last.number() + 7 - first.number()) % 7;
    Ok((0..=count).map(|days| Weekday::ALL[usize::from((first.number() + days) % 7)]).collect())
}

fn printable(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

// === impl Weekday ===

impl Weekday {
    /// From Sunday.
    pub const ALL: [Self; 7] =
        [Self::Sunday, Self::Monday, Self::Tuesday, Self::Wednesday, Self::Thursday, Self::Friday, Self::Saturday];

    fn number(self) -> u8 {
        self as u8
    }

    /// `Sun`.
    #[must_use]
    pub fn short(self) -> &'static str {
        match self {
            Self::Sunday => "Sun",
            Self::Monday => "Mon",
            Self::Tuesday => "Tue",
            Self::Wednesday => "Wed",
            Self::Thursday => "Thu",
            Self::Friday => "Fri",
            Self::Saturday => "Sat",
        }
    }
}

impl FromStr for Weekday {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|day| day.short().eq_ignore_ascii_case(text));
        found.ok_or_else(|| format!("`{}` is no day; they are SUN, MON, TUE, WED, THU, FRI, SAT", printable(text)))
    }
}

// === impl LocalHour ===

impl LocalHour {
    /// Its place among the hours of its day.
    fn bit(self) -> u32 {
        1 << self.hour.min(DAY - 1)
    }

    /// So many hours later on the wall; less than a week.
    fn later(self, hours: u8) -> Self {
        let at = u16::from(self.day.number() * DAY + self.hour.min(DAY - 1)) + u16::from(hours);
        let (days, hour) = (at / u16::from(DAY), at % u16::from(DAY));
        Self { day: Weekday::ALL[usize::from(days % 7)], hour: u8::try_from(hour).unwrap_or(0) }
    }
}

impl fmt::Display for LocalHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:02}:00", self.day.short(), self.hour)
    }
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "outside its hours until {}", self.until)
    }
}

#[cfg(test)]
mod tests;
