//! What setting up a task needs of the host: git, and uv or a Python.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::Ground;
use crate::domain::diagnosis::Finding;
use crate::engine::ports::Check;

const CHECK: &str = "tools";

#[derive(Debug)]
pub(super) struct Tools {
    pub(super) ground: Arc<Ground>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Facts {
    git: Option<PathBuf>,
    python: Option<PathBuf>,
    uv: Option<PathBuf>,
    /// Whether pip is to install.
    pip: bool,
}

#[async_trait]
impl Check for Tools {
    fn name(&self) -> &'static str {
        CHECK
    }

    async fn look(&self) -> Vec<Finding> {
        let (uv, pip) = match &self.ground.uv {
            Some(uv) => (uv.find().await, false),
            None => (None, true),
        };
        let find = |name: &str| {
            let places = std::env::split_paths(&self.ground.search).map(|place| place.join(name));
            places.into_iter().find(|path| is_executable(path))
        };
        verdict(&Facts { git: find("git"), python: find("python3"), uv, pip })
    }
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o001 != 0)
}

fn verdict(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if facts.git.is_none() {
        let detail = "there is no git: tasks whose code is in a repository fail";
        findings.push(Finding::failed(CHECK, detail, "`apt install git`, or the like"));
    }
    match (facts.pip, &facts.uv, &facts.python) {
        (true, _, None) => {
            let detail = "there is no python3, and installer = \"pip\": no task in Python can run";
            findings.push(Finding::failed(CHECK, detail, "`apt install python3 python3-venv`, or the like"));
        }
        (false, None, None) => {
            let detail = "there is neither uv nor a python3 to fetch it with: no task in Python can run";
            let fix = "install uv (https://docs.astral.sh/uv), or `apt install python3 python3-venv`";
            findings.push(Finding::failed(CHECK, detail, fix));
        }
        (false, None, Some(_)) => {
            let detail = "there is no uv yet: the first task waits until it is fetched from PyPI";
            findings.push(Finding::warning(CHECK, detail, "install uv where every user can execute it"));
        }
        (true, _, Some(_)) | (false, Some(_), _) => {}
    }
    if findings.is_empty() {
        let all = [("git", &facts.git), ("python3", &facts.python), ("uv", &facts.uv)];
        let found = all.iter().filter_map(|(name, path)| Some(format!("{name} {}", path.as_ref()?.display())));
        findings.push(Finding::ok(CHECK, found.collect::<Vec<_>>().join(", ")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnosis::Verdict;

    #[test]
    fn what_no_task_can_do_without_is_a_failure_and_what_can_be_fetched_a_warning() {
        let path = || Some(PathBuf::from("/usr/bin/x"));
        let whole = Facts { git: path(), python: path(), uv: path(), pip: false };
        let cases = [
            (whole.clone(), vec![Verdict::Ok]),
            (Facts { git: None, ..whole.clone() }, vec![Verdict::Failed]),
            (Facts { uv: None, ..whole.clone() }, vec![Verdict::Warning]),
            (Facts { python: None, ..whole.clone() }, vec![Verdict::Ok]),
            (Facts { pip: true, uv: None, ..whole.clone() }, vec![Verdict::Ok]),
            (Facts { pip: true, python: None, ..whole }, vec![Verdict::Failed]),
            (Facts::default(), vec![Verdict::Failed, Verdict::Failed]),
        ];
        for (facts, wanted) in cases {
            let found: Vec<Verdict> = verdict(&facts).into_iter().map(|finding| finding.verdict).collect();
            assert_eq!(found, wanted, "{facts:?}");
        }
    }
}
