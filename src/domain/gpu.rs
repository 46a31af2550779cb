//! GPUs in words: their names, and what a Worker claims. What the words mean on this host is
//! [`inventory`](super::inventory)'s.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::WorkerName;

/// A GPU or a MIG slice, in the words of NVIDIA_VISIBLE_DEVICES: `0`, `0:1`, `GPU-…`, `MIG-…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum GpuId {
    /// By index in PCI bus order.
    Index(u32),
    /// A MIG slice by GPU index and slice index.
    Slice(u32, u32),
    /// By UUID, of a GPU or of a MIG slice.
    Uuid(String),
}

/// What a Worker claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "gpus")]
pub enum GpuClaim {
    /// `--cpu-only`.
    None,
    /// `--gpus all`.
    All,
    /// `--gpus 0,1`.
    Some(BTreeSet<GpuId>),
}

/// Why a text is no GPU claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no GPU: {reason}; use for example `0`, `0,1`, `0-3`, `0:1`, `GPU-…`, `all` or `none`")]
pub struct InvalidGpu {
    text: String,
    reason: &'static str,
}

// === impl GpuId ===

impl fmt::Display for GpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Slice(gpu, slice) => write!(f, "{gpu}:{slice}"),
            Self::Uuid(uuid) => f.write_str(uuid),
        }
    }
}

impl FromStr for GpuId {
    type Err = InvalidGpu;

    fn from_str(text: &str) -> Result<Self, InvalidGpu> {
        let invalid = |reason| InvalidGpu { text: text.chars().take(80).collect(), reason };
        let number =
            |digits: &str| digits.parse::<u16>().map(u32::from).map_err(|_| invalid("an index is a small number"));
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        if text.starts_with("GPU-") || text.starts_with("MIG-") {
            let plain =
                (5..=96).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-/".contains(&b));
            return if plain {
                Ok(Self::Uuid(text.to_owned()))
            } else {
                Err(invalid("a UUID is letters, digits and `-`"))
            };
        }
        match text.split_once([':', '.']) {
            Some((gpu, slice)) => Ok(Self::Slice(number(gpu)?, number(slice)?)),
            None => Ok(Self::Index(number(text)?)),
        }
    }
}

impl TryFrom<String> for GpuId {
    type Error = InvalidGpu;
    fn try_from(text: String) -> Result<Self, InvalidGpu> {
        text.parse()
    }
}

impl From<GpuId> for String {
    fn from(id: GpuId) -> Self {
        id.to_string()
    }
}

impl GpuId {
    /// Whether two names mean hardware in common as far as the words say it: a slice overlaps its whole GPU. Which index
    /// a UUID has is [`Inventory::overlap`](super::inventory::Inventory::overlap)'s to say.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Index(a) | Self::Slice(a, _), Self::Index(b)) | (Self::Index(a), Self::Slice(b, _)) => a == b,
            (Self::Slice(..), Self::Slice(..)) | (Self::Uuid(_), Self::Uuid(_)) => self == other,
            (Self::Uuid(_), Self::Index(_) | Self::Slice(..)) | (Self::Index(_) | Self::Slice(..), Self::Uuid(_)) => {
                false
            }
        }
    }
}

// === impl GpuClaim ===

impl FromStr for GpuClaim {
    type Err = InvalidGpu;

    /// Reads `--gpus` and NVIDIA_VISIBLE_DEVICES.
    fn from_str(text: &str) -> Result<Self, InvalidGpu> {
        let invalid = |reason| InvalidGpu { text: text.chars().take(80).collect(), reason };
        match text.trim() {
            "all" => return Ok(Self::All),
            "none" | "void" => return Ok(Self::None),
            _ => {}
        }
        let mut gpus = BTreeSet::new();
        for part in text.split(',').map(str::trim) {
            let range = part.split_once('-').filter(|_| part.starts_with(|c: char| c.is_ascii_digit()));
            let ids = match range {
                None => vec![part.parse()?],
                Some((first, last)) => match (first.parse::<GpuId>()?, last.parse::<GpuId>()?) {
                    (GpuId::Index(first), GpuId::Index(last)) if first <= last && last - first < 256 => {
                        (first..=last).map(GpuId::Index).collect()
                    }
                    _ => return Err(invalid("a range is two indexes, the smaller one first")),
                },
            };
            for id in ids {
                if !gpus.insert(id) {
                    return Err(invalid("a GPU is named twice"));
                }
            }
        }
        Ok(Self::Some(gpus))
    }
}

impl fmt::Display for GpuClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::All => f.write_str("all"),
            Self::Some(gpus) => {
                let names: Vec<String> = gpus.iter().map(ToString::to_string).collect();
                f.write_str(&names.join(","))
            }
        }
    }
}

impl GpuClaim {
    /// A GPU that both claims may mean, if there is one.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => None,
            (Self::All, other) | (other, Self::All) => Some(other.to_string()),
            (Self::Some(mine), Self::Some(theirs)) => {
                mine.iter().find(|gpu| theirs.iter().any(|other| gpu.overlaps(other))).map(ToString::to_string)
            }
        }
    }

    /// The worker id that clearml-agent would give a worker with dynamic GPUs on `host`.
    ///
    /// # Errors
    /// When the host's name is no part of a worker name.
    pub fn dynamic_name(&self, host: &str) -> Result<WorkerName, super::ids::InvalidId> {
        let words = match self {
            Self::None | Self::All => self.to_string(),
            Self::Some(gpus) => range(gpus).unwrap_or_else(|| self.to_string()),
        };
        WorkerName::new(format!("{host}:dgpu{}", words.replace(':', ".")))
    }

    /// The worker id that clearml-agent would give one task on these GPUs of a worker with dynamic ones.
    ///
    /// # Errors
    /// When it is too long for one.
    pub fn name_below(&self, worker: &WorkerName) -> Result<WorkerName, super::ids::InvalidId> {
        let host = worker.as_str().rsplit_once(':').map_or(worker.as_str(), |(host, _)| host);
        WorkerName::new(format!("{host}:gpu{}", self.to_string().replace(':', ".")))
    }

    /// The worker id that clearml-agent would give on `host` (clearml-agent.md 2.2), for the `slot`-th of its kind.
    ///
    /// # Errors
    /// When the host's name is no part of a worker name.
    pub fn default_name(&self, host: &str, slot: usize) -> Result<WorkerName, super::ids::InvalidId> {
        match self {
            Self::None => WorkerName::new(format!("{host}:cpu:{slot}")),
            Self::All => WorkerName::new(format!("{host}:gpuall")),
            Self::Some(_) => WorkerName::new(format!("{host}:gpu{}", self.to_string().replace(':', "."))),
        }
    }
}

/// `0-3` for whole GPUs in a row.
fn range(gpus: &BTreeSet<GpuId>) -> Option<String> {
    let index = |gpu: &GpuId| match gpu {
        GpuId::Index(index) => Some(*index),
        GpuId::Slice(..) | GpuId::Uuid(_) => None,
    };
    let indexes: Vec<u32> = gpus.iter().map(index).collect::<Option<_>>()?;
    let (first, last) = (*indexes.first()?, *indexes.last()?);
    (last > first && (last - first) as usize == indexes.len() - 1).then(|| format!("{first}-{last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(text: &str) -> GpuClaim {
        text.parse().expect("a claim")
    }

    #[test]
    fn every_form_of_the_flag_is_read() {
        assert_eq!(claim("0-2,5").to_string(), "0,1,2,5");
        assert_eq!(claim("all"), GpuClaim::All);
        assert_eq!(claim("none"), GpuClaim::None);
        assert_eq!(claim("0:1").to_string(), "0:1");
        assert_eq!(claim("GPU-5d1f-22,MIG-77").to_string(), "GPU-5d1f-22,MIG-77");
        for text in ["", "3-1", "0,0", "x", "0-", "-1", "0,,1", "GPU-\n"] {
            assert!(text.parse::<GpuClaim>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn overlap_names_the_gpu_that_is_claimed_twice() {
        assert_eq!(claim("0,1").overlap(&claim("1,2")), Some("1".into()));
        assert_eq!(claim("0:1").overlap(&claim("0")), Some("0:1".into()));
        assert_eq!(claim("0:1").overlap(&claim("0:2")), None);
        assert_eq!(claim("all").overlap(&claim("3")), Some("3".into()));
        assert_eq!(claim("all").overlap(&GpuClaim::None), None);
    }

    #[test]
    fn default_names_are_those_of_clearml_agent() {
        let name = |text: &str| claim(text).default_name("host", 0).map(String::from);
        assert_eq!(name("none"), Ok("host:cpu:0".into()));
        assert_eq!(name("0,1"), Ok("host:gpu0,1".into()));
        assert_eq!(name("all"), Ok("host:gpuall".into()));
        assert_eq!(name("0:1"), Ok("host:gpu0.1".into()));
        let dynamic = |text: &str| claim(text).dynamic_name("host").map(String::from);
        assert_eq!(dynamic("0-3"), Ok("host:dgpu0-3".into()));
        assert_eq!(dynamic("0,2"), Ok("host:dgpu0,2".into()));
        assert_eq!(dynamic("all"), Ok("host:dgpuall".into()));
        let below = |text: &str, worker: &str| {
            claim(text).name_below(&WorkerName::new(worker).expect("a name")).map(String::from)
        };
        assert_eq!(below("0,1", "host:dgpu0-3"), Ok("host:gpu0,1".into()));
        assert_eq!(below("0:1", "plain"), Ok("plain:gpu0.1".into()));
    }
}
