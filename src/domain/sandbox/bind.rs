//! A directory or file of the host in the payload's sight.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{SandboxError, plain_path, printable};

/// Places that the sandbox makes itself; nothing may be put on, above or below them.
const OWN: [(&str, &str); 7] = [
    ("/proc", "/proc, which is of the run's own processes"),
    ("/sys", "/sys, which is the kernel's"),
    ("/dev", "/dev, which is made for each run; use --device"),
    ("/clearml", "/clearml, where code and environment are"),
    ("/tmp", "/tmp, which each run has of its own"),
    ("/var/tmp", "/var/tmp, which each run has of its own"),
    ("/run/systemd/resolve", "/run/systemd/resolve, where names are looked up"),
];

/// File systems of the kernel: what is in them is no directory to be shared.
const NO_SOURCE: [&str; 4] = ["/proc", "/sys", "/dev", "/clearml"];

/// Whether a payload may write, as far as its user may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Access {
    /// Read.
    #[serde(rename = "ro")]
    ReadOnly,
    /// Read and write.
    #[serde(rename = "rw")]
    ReadWrite,
}

/// `SOURCE[:TARGET][:ro|rw]`, as it is written; read-only unless it says otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bind {
    /// On the host.
    pub source: PathBuf,
    /// Inside.
    pub target: PathBuf,
    /// Whether it can be written to.
    pub access: Access,
}

impl FromStr for Bind {
    type Err = SandboxError;

    fn from_str(text: &str) -> Result<Self, SandboxError> {
        let (paths, access) = match text.rsplit_once(':') {
            Some((paths, "ro")) => (paths, Access::ReadOnly),
            Some((paths, "rw")) => (paths, Access::ReadWrite),
            Some(_) | None => (text, Access::ReadOnly),
        };
        let (source, target) = paths.split_once(':').unwrap_or((paths, paths));
        if target.contains(':') {
            let problem = "has too many colons; write SOURCE, SOURCE:TARGET or SOURCE:TARGET:rw";
            return Err(SandboxError::Path { text: printable(text), problem });
        }
        let (source, target) = (plain_path(source)?, plain_path(target)?);
        if source == Path::new("/") {
            return Err(SandboxError::Path {
                text: printable(text),
                problem: "is the whole host; name what is needed",
            });
        }
        if let Some(own) = NO_SOURCE.iter().find(|own| source.starts_with(own)) {
            let what = format!("{own}, which is no directory to be shown");
            return Err(SandboxError::Taken { place: source.display().to_string(), what });
        }
        let taken = OWN.iter().find(|(own, _)| target.starts_with(own) || Path::new(own).starts_with(&target));
        if let Some((_, what)) = taken {
            return Err(SandboxError::Taken { place: target.display().to_string(), what: (*what).to_owned() });
        }
        Ok(Self { source, target, access })
    }
}

impl TryFrom<String> for Bind {
    type Error = SandboxError;

    fn try_from(text: String) -> Result<Self, SandboxError> {
        text.parse()
    }
}

impl From<Bind> for String {
    fn from(bind: Bind) -> Self {
        bind.to_string()
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.display().fmt(f)?;
        if self.target != self.source {
            write!(f, ":{}", self.target.display())?;
        }
        write!(f, ":{}", self.access)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "ro",
            Self::ReadWrite => "rw",
        })
    }
}

/// Refuses binds that hide one another, whatever their order.
pub(super) fn apart(binds: &[Bind]) -> Result<(), SandboxError> {
    for (at, one) in binds.iter().enumerate() {
        let over = |other: &&Bind| one.target.starts_with(&other.target) || other.target.starts_with(&one.target);
        if let Some(other) = binds[..at].iter().find(over) {
            return Err(SandboxError::Overlap { one: other.to_string(), other: one.to_string() });
        }
    }
    Ok(())
}
