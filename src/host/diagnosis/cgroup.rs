//! cgroup v2: what limits and counts the Runs.

use std::fs;

use super::Ground;
use crate::domain::diagnosis::Finding;
use crate::host::launch::cgroup_tree::Tree;

const CHECK: &str = "cgroup";
/// What a Run's limits and figures need.
const WANTED: [&str; 4] = ["cpu", "memory", "pids", "io"];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    mounted: Option<String>,
    controllers: Vec<String>,
    kills: bool,
    launcher_lacks: Vec<String>,
}

pub(super) fn look(ground: &Ground) -> Vec<Finding> {
    let tree = Tree::find();
    let read = |tree: &Tree| fs::read_to_string(tree.top().join("cgroup.controllers")).unwrap_or_default();
    let facts = Facts {
        controllers: tree.as_ref().map(read).unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        // The topmost cgroup has none, and the daemon may be in it.
        kills: tree.as_ref().and_then(below).is_some_and(|path| path.join("cgroup.kill").exists()),
        mounted: tree.map(|tree| tree.top().display().to_string()),
        launcher_lacks: ground.launcher_lacks.clone(),
    };
    vec![verdict(&facts)]
}

fn below(tree: &Tree) -> Option<std::path::PathBuf> {
    let entries = fs::read_dir(tree.top()).ok()?.flatten().map(|entry| entry.path());
    entries.into_iter().find(|path| path.join("cgroup.procs").exists())
}

fn verdict(facts: &Facts) -> Finding {
    const UNIFIED: &str = "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line";
    let Some(mounted) = &facts.mounted else {
        return Finding::warning(CHECK, "no cgroup v2 tree is mounted: runs are neither limited nor counted", UNIFIED);
    };
    let missing: Vec<&str> =
        WANTED.into_iter().filter(|wanted| !facts.controllers.iter().any(|found| found == wanted)).collect();
    if !missing.is_empty() {
        let detail = format!(
            "cgroup v2 at {mounted} has no controller {}: runs are not limited or counted in that",
            missing.join(", ")
        );
        let fix =
            if missing == ["memory"] { "boot with cgroup_enable=memory on the kernel's command line" } else { UNIFIED };
        return Finding::warning(CHECK, detail, fix);
    }
    if let Some(lack) = facts.launcher_lacks.iter().find(|lack| lack.contains("cgroup")) {
        return Finding::warning(
            CHECK,
            lack.clone(),
            "run clearmld as a service of systemd: `systemctl start clearmld`",
        );
    }
    let kill = if facts.kills { "cgroup.kill" } else { "no cgroup.kill (Linux 5.14): processes are ended one by one" };
    Finding::ok(CHECK, format!("cgroup v2 at {mounted} with {}; {kill}", WANTED.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnosis::Verdict;

    fn whole() -> Facts {
        Facts {
            mounted: Some("/sys/fs/cgroup".into()),
            controllers: ["cpuset", "cpu", "io", "memory", "pids"].map(String::from).into(),
            kills: true,
            launcher_lacks: Vec::new(),
        }
    }

    #[test]
    fn a_host_with_all_controllers_is_well() {
        assert_eq!(verdict(&whole()).verdict, Verdict::Ok);
    }

    #[test]
    fn each_thing_that_is_missing_is_named_with_what_brings_it() {
        let no_tree = verdict(&Facts { mounted: None, ..whole() });
        assert!(no_tree.fix.expect("a fix").contains("unified_cgroup_hierarchy=1"));
        let no_memory = verdict(&Facts { controllers: ["cpu", "io", "pids"].map(String::from).into(), ..whole() });
        assert!(no_memory.detail.contains("no controller memory"), "{no_memory:?}");
        assert!(no_memory.fix.expect("a fix").contains("cgroup_enable=memory"));
        let lack = "no cgroup for runs (read-only)".to_owned();
        let not_writable = verdict(&Facts { launcher_lacks: vec![lack.clone()], ..whole() });
        assert_eq!((not_writable.verdict, not_writable.detail), (Verdict::Warning, lack));
    }
}
