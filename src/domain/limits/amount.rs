//! The amounts that limits are made of: as people write them, in the range that makes sense, exact.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::LimitError;

const MIB: u64 = 1 << 20;
/// git, uv and an interpreter do not start in less.
pub(super) const LEAST_MEMORY: u64 = 64 * MIB;
/// Beyond 1 PiB it is a slip of the finger.
pub(super) const MOST_MEMORY: u64 = 1 << 50;
/// The kernel's shortest quota: 1 ms of 100 ms.
const LEAST_CPU_MILLIS: u32 = 10;
const MOST_CPUS: u32 = 4096;
/// uv and git start threads.
pub(super) const LEAST_PIDS: u32 = 32;
/// PID_MAX_LIMIT of 64-bit kernels.
const MOST_PIDS: u32 = 1 << 22;
const MOST_SECONDS: u64 = 366 * 24 * 3600;

/// Bytes of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Memory(u64);

/// Bytes on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Disk(u64);

/// Thousandths of a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Cpus(u32);

/// Processes and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Pids(u32);

/// Seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Time(u64);

fn out_of_range(text: impl ToString, how: &'static str) -> LimitError {
    LimitError::OutOfRange { text: text.to_string(), how }
}

impl Memory {
    /// How many.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }

    fn checked(bytes: u64, text: impl ToString) -> Result<Self, LimitError> {
        match bytes {
            ..LEAST_MEMORY => Err(out_of_range(text, "less memory than a task needs to start (64M)")),
            LEAST_MEMORY..=MOST_MEMORY => Ok(Self(bytes)),
            _ => Err(out_of_range(text, "more memory than any host has")),
        }
    }
}

impl FromStr for Memory {
    type Err = LimitError;

    /// `512M`, `32G`, `1.5GiB`, or bytes. Units are binary, as the kernel's are.
    fn from_str(text: &str) -> Result<Self, LimitError> {
        let unreadable =
            || LimitError::Unreadable { text: text.into(), what: "amount of memory", example: "512M, 32G or 1.5T" };
        Self::checked(bytes(text).ok_or_else(unreadable)?, text)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_units(self.0))
    }
}

impl Disk {
    /// How many.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }

    fn checked(bytes: u64, text: impl ToString) -> Result<Self, LimitError> {
        match bytes {
            ..LEAST_MEMORY => Err(out_of_range(text, "less disk than a task needs to start (64M)")),
            LEAST_MEMORY..=MOST_MEMORY => Ok(Self(bytes)),
            _ => Err(out_of_range(text, "more than any disk has")),
        }
    }
}

impl FromStr for Disk {
    type Err = LimitError;

    /// As memory is written.
    fn from_str(text: &str) -> Result<Self, LimitError> {
        let unreadable =
            || LimitError::Unreadable { text: text.into(), what: "size on a disk", example: "512M, 100G or 1.5T" };
        Self::checked(bytes(text).ok_or_else(unreadable)?, text)
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&in_units(self.0))
    }
}

impl Cpus {
    /// Thousandths of one.
    #[must_use]
    pub fn millis(self) -> u32 {
        self.0
    }

    /// For cpu.max: so many microseconds of each period of 100 ms.
    #[must_use]
    pub fn quota(self) -> String {
        format!("{} 100000", u64::from(self.0) * 100)
    }

    fn checked(millis: u64, text: impl ToString) -> Result<Self, LimitError> {
        match u32::try_from(millis).unwrap_or(u32::MAX) {
            ..LEAST_CPU_MILLIS => Err(out_of_range(text, "less than the kernel can give (0.01)")),
            millis if millis <= MOST_CPUS * 1000 => Ok(Self(millis)),
            _ => Err(out_of_range(text, "more CPUs than any host has")),
        }
    }
}

impl FromStr for Cpus {
    type Err = LimitError;

    /// `8`, `0.5`.
    fn from_str(text: &str) -> Result<Self, LimitError> {
        let unreadable =
            || LimitError::Unreadable { text: text.into(), what: "number of CPUs", example: "8, 1.5 or 0.5" };
        Self::checked(millis(text.trim()).ok_or_else(unreadable)?, text)
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1000 {
            0 => write!(f, "{}", self.0 / 1000),
            rest => f.write_str(format!("{}.{rest:03}", self.0 / 1000).trim_end_matches('0')),
        }
    }
}

impl Pids {
    /// How many.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0
    }

    fn checked(count: u64, text: impl ToString) -> Result<Self, LimitError> {
        match u32::try_from(count).unwrap_or(u32::MAX) {
            ..LEAST_PIDS => Err(out_of_range(text, "fewer processes and threads than a task needs to start (32)")),
            count if count <= MOST_PIDS => Ok(Self(count)),
            _ => Err(out_of_range(text, "more processes than the kernel can have (4194304)")),
        }
    }
}

impl FromStr for Pids {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let unreadable = |_| LimitError::Unreadable { text: text.into(), what: "number of processes", example: "4096" };
        Self::checked(text.trim().parse().map_err(unreadable)?, text)
    }
}

impl fmt::Display for Pids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Time {
    /// How many.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }

    fn checked(seconds: u64, text: impl ToString) -> Result<Self, LimitError> {
        match seconds {
            0 => Err(out_of_range(text, "no time at all")),
            1..=MOST_SECONDS => Ok(Self(seconds)),
            _ => Err(out_of_range(text, "longer than a year")),
        }
    }
}

impl FromStr for Time {
    type Err = LimitError;

    /// `90`, `90s`, `30m`, `12h`, `7d`.
    fn from_str(text: &str) -> Result<Self, LimitError> {
        let unreadable = || LimitError::Unreadable { text: text.into(), what: "time", example: "90s, 30m, 12h or 7d" };
        let trimmed = text.trim();
        let unit_at = trimmed.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(unit_at);
        let seconds: u64 = match unit {
            "" | "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            _ => return Err(unreadable()),
        };
        let millis = millis(number.trim()).ok_or_else(unreadable)?;
        Self::checked(millis.saturating_mul(seconds).div_ceil(1000), text)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit =
            [(24 * 3600, "d"), (3600, "h"), (60, "min"), (1, "s")].into_iter().find(|(s, _)| self.0.is_multiple_of(*s));
        let (seconds, unit) = unit.unwrap_or((1, "s"));
        write!(f, "{} {unit}", self.0 / seconds)
    }
}

/// `512M`, `1.5GiB`; more than 64 bits hold is as many as they do.
fn bytes(text: &str) -> Option<u64> {
    let trimmed = text.trim();
    let unit_at = trimmed.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(unit_at);
    let shift = match unit.to_ascii_uppercase().trim_end_matches('B').trim_end_matches('I') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    let bytes = (u128::from(millis(number.trim())?) << shift) / 1000;
    Some(u64::try_from(bytes).unwrap_or(u64::MAX))
}

fn in_units(bytes: u64) -> String {
    let (gib, tib) = (1024 * MIB, 1024 * 1024 * MIB);
    match bytes {
        bytes if bytes % tib == 0 => format!("{} TiB", bytes / tib),
        bytes if bytes % gib == 0 => format!("{} GiB", bytes / gib),
        bytes => format!("{} MiB", bytes / MIB),
    }
}

/// A decimal number with at most three places, in thousandths. Not a float: `0.1` is what was written, and `1e9`, `inf`
/// and `-1` are none.
fn millis(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 3 {
        return None;
    }
    let thousandths: u64 = format!("{fraction:0<3}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths)
}

macro_rules! as_number {
    ($($amount:ident: $number:ty),*) => {$(
        impl TryFrom<$number> for $amount {
            type Error = LimitError;

            fn try_from(number: $number) -> Result<Self, LimitError> {
                Self::checked(number.into(), number)
            }
        }

        impl From<$amount> for $number {
            fn from(amount: $amount) -> Self {
                amount.0
            }
        }
    )*};
}

as_number!(Memory: u64, Disk: u64, Cpus: u32, Pids: u32, Time: u64);
