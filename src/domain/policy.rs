//! What root lets Workers have: who commands the daemon (group `clearml`) says what a Worker wants, and the policy file,
//! which only root can write, says what it may have. Asked when a Worker is added, at each reload, and when a Run starts.
//!
//! A section for a queue stands alone: nothing of `[default]` is added to it. A Worker of several queues needs the leave
//! of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::sandbox::{Access, Bind, Device, Network, Part, Relaxed, Sandbox};

/// Places that are not in a sandbox anyway. Whatever else a read-only bind shows was in the payload's sight before.
const OUT_OF_SIGHT: [&str; 3] = ["/run", "/tmp", "/var/tmp"];

/// What is made for programs without privileges.
const USUAL_DEVICES: [&str; 2] = ["/dev/infiniband/uverbs*", "/dev/infiniband/rdma_cm"];

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Where it is written, or would be.
    pub file: PathBuf,
    /// Whom tasks run as when nobody says otherwise.
    pub run_as: String,
    /// `[default]`; none without one.
    pub default: Option<Grant>,
    /// `[queue.NAME]`.
    pub queues: BTreeMap<String, Grant>,
}

/// What one section lets its Workers have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// Whom tasks may run as; none for the usual user only.
    pub users: Option<BTreeSet<String>>,
    /// Where directories may be bound from.
    pub binds: Vec<Tree>,
    /// Which device nodes.
    pub devices: Vec<Nodes>,
    /// What may be relaxed.
    pub relax: Relaxed,
    /// `none` when no Worker may have the host's network.
    pub network: Network,
}

/// A directory of the host with all that is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The directory.
    pub path: PathBuf,
    /// The most that may be done there.
    pub access: Access,
}

/// A device node; with `*` at its end, all whose path begins so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nodes(pub String);

/// What a Worker, or a Run of it, wants.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The names of its queues.
    pub queues: &'a [&'a str],
    /// The payload's user, when not the usual one.
    pub user: Option<&'a str>,
    /// Its sandbox.
    pub sandbox: &'a Sandbox,
}

/// What the policy does not let a Worker have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not allowed for queue `{queue}`: {why}; leave it out, or have root allow it in {file}", file = file.display())]
pub struct Denied {
    what: String,
    queue: String,
    why: String,
    file: PathBuf,
}

impl Policy {
    /// Where no file is: nothing that a task could not have anyway, but for the nodes of InfiniBand.
    #[must_use]
    pub fn absent(file: PathBuf, run_as: String) -> Self {
        Self { file, run_as, default: None, queues: BTreeMap::new() }
    }

    /// Whether a Worker may have what it wants.
    ///
    /// # Errors
    /// The first thing that it may not.
    pub fn permit(&self, wish: Wish<'_>) -> Result<(), Denied> {
        wish.queues.iter().try_for_each(|queue| self.permit_at(queue, wish))
    }

    fn permit_at(&self, queue: &str, wish: Wish<'_>) -> Result<(), Denied> {
        let usual = Grant::usual();
        let (grant, section) = match (self.queues.get(queue), &self.default) {
            (Some(grant), _) => (grant, format!("section [queue.{queue}]")),
            (None, Some(grant)) => (grant, "section [default]".to_owned()),
            (None, None) => (&usual, "what holds without a policy of it".to_owned()),
        };
        let deny = |what: String, allowed: Vec<String>| {
            let allowed = if allowed.is_empty() { "nothing of the kind".to_owned() } else { allowed.join(", ") };
            let (queue, file) = (queue.to_owned(), self.file.clone());
            Denied { what, queue, why: format!("{section} allows {allowed}"), file }
        };
        let user = wish.user.unwrap_or(&self.run_as);
        if !grant.users.as_ref().map_or(user == self.run_as, |users| users.contains(user)) {
            let users = grant.users.iter().flatten().cloned();
            let users: Vec<String> = if grant.users.is_some() { users.collect() } else { vec![self.run_as.clone()] };
            return Err(deny(format!("user `{user}`"), users));
        }
        if let Some(bind) = wish.sandbox.binds.iter().find(|bind| !grant.binds(bind)) {
            let trees = grant.binds.iter().map(|tree| format!("{}:{}", tree.path.display(), tree.access));
            return Err(deny(format!("bind `{bind}`"), trees.collect()));
        }
        if let Some(device) = wish.sandbox.devices.iter().find(|device| !grant.devices(device)) {
            return Err(deny(
                format!("device `{device}`"),
                grant.devices.iter().map(|nodes| nodes.0.clone()).collect(),
            ));
        }
        if let Some(part) = wish.sandbox.relaxed.iter().find(|part| !grant.relax.has(*part)) {
            let parts = grant.relax.iter().map(Part::as_str).map(str::to_owned);
            return Err(deny(format!("relaxing `{part}`"), parts.collect()));
        }
        if grant.network == Network::None && wish.sandbox.network == Network::Host {
            return Err(deny("network `host`".to_owned(), vec!["network none".to_owned()]));
        }
        Ok(())
    }
}

impl Grant {
    fn usual() -> Self {
        Self { devices: USUAL_DEVICES.map(|name| Nodes(name.to_owned())).into(), ..Self::default() }
    }

    fn binds(&self, bind: &Bind) -> bool {
        let in_sight = !OUT_OF_SIGHT.iter().any(|place| bind.source.starts_with(place));
        let named = |tree: &Tree| bind.source.starts_with(&tree.path) && bind.access <= tree.access;
        (bind.access == Access::ReadOnly && in_sight) || self.binds.iter().any(named)
    }

    fn devices(&self, device: &Device) -> bool {
        self.devices.iter().any(|nodes| nodes.has(device.path()))
    }
}

impl Nodes {
    fn has(&self, device: &Path) -> bool {
        match (self.0.strip_suffix('*'), device.to_str()) {
            (Some(beginning), Some(device)) => device.starts_with(beginning),
            (None, Some(device)) => device == self.0,
            (_, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(binds: &[&str], devices: &[&str], relax: &[&str]) -> Sandbox {
        let texts = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        Sandbox::parse(&texts(binds), &texts(devices), None, &texts(relax)).expect("parsed")
    }

    fn absent() -> Policy {
        Policy::absent("/etc/clearmld/policy.toml".into(), "clearml-run".into())
    }

    fn asked(policy: &Policy, queues: &[&str], user: Option<&str>, sandbox: &Sandbox) -> Result<(), String> {
        policy.permit(Wish { queues, user, sandbox }).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_file_a_worker_gets_nothing_that_its_tasks_could_not_have_anyway() {
        let policy = absent();
        let ask = |binds: &[&str], devices: &[&str], relax: &[&str]| {
            asked(&policy, &["default"], None, &sandbox(binds, devices, relax))
        };
        assert_eq!(ask(&["/data", "/mnt/x:/y"], &["/dev/infiniband/uverbs3", "/dev/infiniband/rdma_cm"], &[]), Ok(()));
        for (refused, what) in [
            (ask(&["/etc:/x:rw"], &[], &[]), "bind `/etc:/x:rw`"),
            (ask(&["/run/docker"], &[], &[]), "bind `/run/docker:ro`"),
            (ask(&["/tmp/x:/x"], &[], &[]), "bind `/tmp/x:/x:ro`"),
            (ask(&[], &["/dev/fuse"], &[]), "device `/dev/fuse`"),
            (ask(&[], &["/dev/infiniband/umad0"], &[]), "device `/dev/infiniband/umad0`"),
            (ask(&[], &[], &["io-uring"]), "relaxing `io-uring`"),
            (asked(&policy, &["default"], Some("alice"), &Sandbox::default()), "user `alice`"),
        ] {
            let error = refused.expect_err(what);
            assert!(error.contains(what) && error.contains("/etc/clearmld/policy.toml"), "{error}");
        }
        assert_eq!(asked(&policy, &["default"], Some("clearml-run"), &Sandbox::default()), Ok(()));
    }

    #[test]
    fn a_queue_with_a_section_has_that_and_nothing_of_the_default() {
        let tree = |path: &str, access| Tree { path: path.into(), access };
        let default = Grant { relax: [Part::IoUring].into_iter().collect(), ..Grant::default() };
        let team = Grant {
            users: Some(["team-a".to_owned()].into()),
            binds: vec![tree("/scratch", Access::ReadOnly), tree("/scratch/a", Access::ReadWrite)],
            ..Grant::default()
        };
        let queues = [("team-a".to_owned(), team)].into();
        let policy = Policy { default: Some(default), queues, ..absent() };
        let writes = sandbox(&["/scratch/a/b:rw"], &[], &[]);
        assert_eq!(asked(&policy, &["team-a"], Some("team-a"), &writes), Ok(()));
        let beside = sandbox(&["/scratch/ab:rw"], &[], &[]);
        assert!(asked(&policy, &["team-a"], Some("team-a"), &beside).is_err(), "a name that begins alike is another");
        assert!(asked(&policy, &["team-a"], None, &Sandbox::default()).expect_err("refused").contains("allows team-a"));
        assert!(asked(&policy, &["other"], Some("team-a"), &Sandbox::default()).is_err());
        let uring = sandbox(&[], &[], &["io-uring"]);
        assert_eq!(asked(&policy, &["other"], None, &uring), Ok(()));
        assert!(asked(&policy, &["team-a"], Some("team-a"), &uring).is_err());
        // Of two queues, the stricter one counts.
        assert!(asked(&policy, &["other", "team-a"], None, &uring).is_err());
    }

    #[test]
    fn a_queue_that_must_have_no_network_gets_no_worker_with_one() {
        let grant = Grant { network: Network::None, ..Grant::default() };
        let policy = Policy { queues: [("quiet".to_owned(), grant)].into(), ..absent() };
        assert!(asked(&policy, &["quiet"], None, &Sandbox::default()).is_err());
        let quiet = Sandbox { network: Network::None, ..Sandbox::default() };
        assert_eq!(asked(&policy, &["quiet"], None, &quiet), Ok(()));
    }
}
