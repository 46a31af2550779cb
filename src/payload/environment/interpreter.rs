//! Finding a Python that the payload's user may execute.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::EnvironmentError;
use crate::domain::handover::StageOrder;
use crate::payload::speech::say;
use crate::payload::tool::{Redactor, Tool};
use crate::payload::variables::{STANDARD_PATH, executable};

/// Asking one takes some 20 ms.
const MOST: usize = 32;

const QUESTION: &str = "import json, sys, sysconfig
print(json.dumps({
    'version': '.'.join(map(str, sys.version_info[:3])),
    'platform': sysconfig.get_platform() + '-' + str(sysconfig.get_config_var('SOABI')),
}))";

/// A Python that answers.
#[derive(Debug, Clone)]
pub(super) struct Interpreter {
    /// As it was found.
    pub(super) path: PathBuf,
    /// Without symlinks.
    pub(super) real_path: PathBuf,
    /// Such as `3.11.4`.
    pub(super) version: String,
    /// Such as `linux-x86_64-cpython-311-x86_64-linux-gnu`.
    pub(super) platform: String,
}

#[derive(Debug, Deserialize)]
struct Answer {
    version: String,
    platform: String,
}

/// The wanted version, else the same minor, else the first one with a warning: so does clearml-agent, and tasks that
/// ran there run here.
pub(super) fn find(
    order: &StageOrder,
    variables: &BTreeMap<String, String>,
    redactor: &Redactor,
) -> Result<Interpreter, EnvironmentError> {
    let wanted = order.spec.environment.python.as_deref();
    let directories = directories(order, variables);
    let mut found: Vec<Interpreter> = Vec::new();
    for (path, real_path) in candidates(&directories, wanted) {
        let tool = Tool::new("python", &path, variables, redactor).args(["-I", "-S", "-c", QUESTION]).quiet();
        let Some(answer) = tool.read().ok().and_then(|text| serde_json::from_str::<Answer>(text.trim()).ok()) else {
            continue;
        };
        found.push(Interpreter { path, real_path, version: answer.version, platform: answer.platform });
        let last = found.last().map(|python| fit(&python.version, wanted));
        if last == Some(Fit::Exact) {
            break;
        }
    }
    let Some(best) = found.iter().min_by_key(|python| fit(&python.version, wanted)).cloned() else {
        let searched = directories.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(EnvironmentError::NoInterpreter { searched });
    };
    if let Some(wanted) = wanted {
        match fit(&best.version, Some(wanted)) {
            Fit::Exact => {}
            Fit::SameMinor => say(&format!("Python {wanted} is not here; {} is of the same series", best.version)),
            Fit::Other => {
                let versions: BTreeSet<&str> = found.iter().map(|python| python.version.as_str()).collect();
                say(&format!(
                    "WARNING: the task was made with Python {wanted}, which this worker does not have (found: {}). \
                     Going on with Python {}: packages may be missing or behave otherwise. \
                     Install Python {wanted} on the worker to be sure.",
                    versions.into_iter().collect::<Vec<_>>().join(", "),
                    best.version
                ));
            }
        }
    }
    Ok(best)
}

/// Best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Exact,
    SameMinor,
    Other,
}

fn fit(version: &str, wanted: Option<&str>) -> Fit {
    let Some(wanted) = wanted else { return Fit::Exact };
    let (have, want): (Vec<&str>, Vec<&str>) = (version.split('.').collect(), wanted.split('.').collect());
    if have.starts_with(&want) {
        Fit::Exact
    } else if want.len() > 2 && have.starts_with(&want[..2]) {
        Fit::SameMinor
    } else {
        Fit::Other
    }
}

/// Where interpreters are, in the order in which they are taken.
fn directories(order: &StageOrder, variables: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let mut list: Vec<PathBuf> = Vec::new();
    for directory in &order.spec.environment.python_search {
        list.extend([directory.clone(), directory.join("bin")]);
        list.extend(children(directory).into_iter().map(|child| child.join("bin")));
    }
    list.extend(STANDARD_PATH.split(':').map(PathBuf::from));
    list.extend(children(Path::new("/opt")).into_iter().map(|child| child.join("bin")));
    let managed = variables.get("UV_PYTHON_INSTALL_DIR").map(PathBuf::from);
    let home = order.paths.home.join(".local/share/uv/python");
    for parent in [Some(PathBuf::from("/opt/python")), managed, Some("/usr/local/share/uv/python".into()), Some(home)] {
        list.extend(parent.iter().flat_map(|parent| children(parent)).map(|child| child.join("bin")));
    }
    let mut seen = BTreeSet::new();
    list.retain(|directory| directory.is_dir() && seen.insert(directory.canonicalize().unwrap_or_default()));
    list
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut list: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    list.sort();
    list
}

/// Executables by their own and their real path; those whose name has the wanted version first.
fn candidates(directories: &[PathBuf], wanted: Option<&str>) -> Vec<(PathBuf, PathBuf)> {
    let minor = wanted.map(|text| text.split('.').take(2).collect::<Vec<_>>().join("."));
    let mut list = Vec::new();
    for directory in directories {
        let mut names: Vec<(bool, String)> = fs::read_dir(directory)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_python(name))
            .map(|name| (minor.is_some() && name.strip_prefix("python") != minor.as_deref(), name))
            .collect();
        // `python3` before `python3.9`: what the host calls its Python.
        names.sort_by_key(|(other, name)| (*other, name != "python3", name.clone()));
        list.extend(names.into_iter().map(|(other, name)| (other, directory.join(name))));
    }
    list.sort_by_key(|(other, _)| *other);
    let mut seen = BTreeSet::new();
    list.into_iter()
        .filter(|(_, path)| executable(path))
        .filter_map(|(_, path)| path.canonicalize().ok().map(|real| (path, real)))
        .filter(|(_, real)| seen.insert(real.clone()))
        .take(MOST)
        .collect()
}

/// `python`, `python3`, `python3.11`; not `python3-config`, not `python3.11d`.
fn is_python(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("python") else { return false };
    rest.is_empty() || (rest.starts_with('3') && rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_version_fits_better_than_its_series_and_that_better_than_any() {
        assert_eq!(fit("3.11.4", Some("3.11")), Fit::Exact);
        assert_eq!(fit("3.11.4", Some("3.11.4")), Fit::Exact);
        assert_eq!(fit("3.11.4", Some("3.11.2")), Fit::SameMinor);
        assert_eq!(fit("3.11.4", Some("3.1")), Fit::Other);
        assert_eq!(fit("3.11.4", None), Fit::Exact);
        assert!(Fit::Exact < Fit::SameMinor && Fit::SameMinor < Fit::Other);
    }

    #[test]
    fn only_pythons_are_asked() {
        for (name, asked) in
            [("python", true), ("python3", true), ("python3.12", true), ("python3-config", false), ("python2.7", false)]
        {
            assert_eq!(is_python(name), asked, "{name}");
        }
    }
}
