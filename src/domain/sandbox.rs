//! What a Worker says about the sandbox of its Runs: what it shows more of the host, and what of it is relaxed. A task
//! says nothing here.

mod bind;
mod relaxed;

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::bind::{Access, Bind};
pub use self::relaxed::{Part, Relaxed};

/// Most paths and most device nodes of one Worker.
const MOST: usize = 64;
/// The longest path that is looked at.
const LONGEST: usize = 1024;
/// How the names of GPUs' nodes begin: NVIDIA's, AMD's, those of each driver that draws, and those of Jetson boards.
const GPUS: [&str; 6] = ["nvidia", "kfd", "dri", "nvhost", "nvmap", "nvgpu"];

/// What cannot be had in a sandbox, or makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SandboxError {
    /// It is no path that could be meant.
    #[error("`{text}` {problem}")]
    Path {
        /// What was asked for.
        text: String,
        /// `is no absolute path; begin it with /`.
        problem: &'static str,
    },
    /// A place of the sandbox's own.
    #[error("`{place}` is, holds or lies in {what}; choose another place")]
    Taken {
        /// What was asked for.
        place: String,
        /// `/tmp, which each run has of its own`.
        what: String,
    },
    /// Two binds at one place.
    #[error("`{one}` and `{other}` would lie on top of each other; keep one of them")]
    Overlap {
        /// What was asked for first.
        one: String,
        /// And then.
        other: String,
    },
    /// More than anybody means.
    #[error("there are more than {MOST}; bind a directory that holds them")]
    TooMany,
    /// A GPU's node.
    #[error("`{device}` belongs to a GPU, and GPUs are lent to one run at a time; use --gpus")]
    Gpu {
        /// What was asked for.
        device: String,
    },
    /// Nothing of that name can be relaxed.
    #[error("`{name}` is no part that can be relaxed; {hint}")]
    Part {
        /// What was asked for.
        name: String,
        /// Which can be, or why not this.
        hint: String,
    },
    /// Neither of the two.
    #[error("`{name}` is no choice of network; write host or none")]
    Network {
        /// What was asked for.
        name: String,
    },
}

/// See the module. Empty for a sandbox as it is for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sandbox {
    /// Directories and files of the host, in the payload's sight.
    pub binds: Vec<Bind>,
    /// Further device nodes.
    pub devices: Vec<Device>,
    /// What network the program has.
    pub network: Network,
    /// What holds less than for everybody.
    pub relaxed: Relaxed,
}

/// What network a program has. Code and packages are fetched over the host's in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// The host's.
    #[default]
    Host,
    /// A loopback interface of its own, and nothing else.
    None,
}

/// A character device of the host, below /dev.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Device(PathBuf);

// === impl Sandbox ===

impl Sandbox {
    /// From what a person wrote.
    ///
    /// # Errors
    /// The first that makes no sense, with its name.
    pub fn parse(
        binds: &[String],
        devices: &[String],
        network: Option<&str>,
        relaxed: &[String],
    ) -> Result<Self, (&'static str, SandboxError)> {
        let binds = list(binds).map_err(|error| ("binds", error))?;
        bind::apart(&binds).map_err(|error| ("binds", error))?;
        let mut devices: Vec<Device> = list(devices).map_err(|error| ("devices", error))?;
        devices.sort();
        devices.dedup();
        let parts: Vec<Part> = list(relaxed).map_err(|error| ("relax", error))?;
        let network = network.map_or(Ok(Network::Host), str::parse).map_err(|error| ("network", error))?;
        Ok(Self { binds, devices, network, relaxed: parts.into_iter().collect() })
    }

    /// Whether it is as for everybody.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

fn list<T: FromStr<Err = SandboxError>>(texts: &[String]) -> Result<Vec<T>, SandboxError> {
    if texts.len() > MOST {
        return Err(SandboxError::TooMany);
    }
    texts.iter().map(|text| text.parse()).collect()
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.binds.iter().map(|bind| format!("bind {bind}")).collect();
        parts.extend(self.devices.iter().map(|device| format!("device {device}")));
        if self.network == Network::None {
            parts.push("network none".to_owned());
        }
        if !self.relaxed.is_empty() {
            parts.push(format!("relaxed {}", self.relaxed));
        }
        f.write_str(&if parts.is_empty() { "as usual".to_owned() } else { parts.join(", ") })
    }
}

// === impl Network ===

impl FromStr for Network {
    type Err = SandboxError;

    fn from_str(text: &str) -> Result<Self, SandboxError> {
        match text {
            "host" => Ok(Self::Host),
            "none" => Ok(Self::None),
            other => Err(SandboxError::Network { name: printable(other) }),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::None => "none",
        })
    }
}

// === impl Device ===

impl Device {
    /// The node.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for Device {
    type Err = SandboxError;

    fn from_str(text: &str) -> Result<Self, SandboxError> {
        let path = plain_path(text)?;
        let Ok(name) = path.strip_prefix("/dev") else {
            return Err(SandboxError::Path { text: printable(text), problem: "is no device; it must lie below /dev" });
        };
        let first = name.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
        let Some(first) = first else {
            return Err(SandboxError::Path { text: printable(text), problem: "is all devices; name a node in it" });
        };
        if GPUS.iter().any(|gpu| first.starts_with(gpu)) {
            return Err(SandboxError::Gpu { device: printable(text) });
        }
        if ["null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "shm", "fd", "stdin", "stdout", "stderr"]
            .contains(&first.as_str())
        {
            let what = "what every sandbox has in /dev".to_owned();
            return Err(SandboxError::Taken { place: printable(text), what });
        }
        Ok(Self(path))
    }
}

impl TryFrom<String> for Device {
    type Error = SandboxError;

    fn try_from(text: String) -> Result<Self, SandboxError> {
        text.parse()
    }
}

impl From<Device> for String {
    fn from(device: Device) -> Self {
        device.to_string()
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// An absolute path as it is meant: without `.`, `..`, doubled or trailing slashes and whatever a terminal would obey.
///
/// # Errors
/// [`SandboxError::Path`].
pub fn plain_path(text: &str) -> Result<PathBuf, SandboxError> {
    let refuse = |problem| Err(SandboxError::Path { text: printable(text), problem });
    if text.len() > LONGEST {
        return refuse("is longer than a path may be");
    }
    if text.chars().any(|c| c.is_control() || c == ':') {
        return refuse("holds a colon or a control character, which no path may here");
    }
    let path = Path::new(text);
    if !path.is_absolute() {
        return refuse("is no absolute path; begin it with /");
    }
    let whole: PathBuf = path.components().collect();
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !plain || whole.as_os_str() != path.as_os_str() {
        return refuse("is not written plainly; leave out `.`, `..`, doubled slashes and one at the end");
    }
    Ok(whole)
}

/// For an error: nothing that a terminal would obey, and not endless.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).take(200).collect()
}

#[cfg(test)]
mod tests;
