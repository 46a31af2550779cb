//! Who may not call: a process inside a Run. A pure decision over what /proc says of the caller.
//!
//! Being able to open the socket makes an operator; the payload cannot, by its user and its mounts. This is the second
//! wall: a payload that is handed root, the group or the socket's directory by mistake is still refused.

use std::fmt;
use std::path::PathBuf;

use crate::domain::ids::StateId;

/// The shim's name in /proc/PID/comm.
const SHIM: &str = "clearmld-shim";
/// Beginning of the name of a Run's unit, and so of its cgroup.
const RUN_UNIT: &str = "clearml-run-";

/// What /proc says of a caller, read while it lived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerFacts {
    /// In our pid namespace.
    pub pid: u32,
    /// At the time of connect(2).
    pub uid: u32,
    /// None where it cannot be read.
    pub exe: Option<PathBuf>,
    /// /proc/PID/cgroup.
    pub cgroup: String,
    /// Whether it lives in the daemon's pid namespace; none where that cannot be read.
    pub same_pid_namespace: Option<bool>,
    /// Whether the daemon is allowed to read all of that of every process.
    pub all_seeing: bool,
    /// Names of itself and of its ancestors, itself first.
    pub lineage: Vec<String>,
}

/// Why a caller is taken to be inside a Run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inside {
    /// Its cgroup is a Run's.
    Cgroup {
        /// The line of /proc/PID/cgroup.
        line: String,
    },
    /// It lives in another pid namespace.
    PidNamespace,
    /// A shim is its ancestor.
    Shim,
    /// It hides from us, which nobody else can.
    Hidden,
}

/// See [`inside_a_run`].
pub type Decision = fn(&PeerFacts, &StateId) -> Option<Inside>;

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cgroup { line } => write!(f, "its cgroup is a run's ({line})"),
            Self::PidNamespace => f.write_str("it lives in another pid namespace"),
            Self::Shim => f.write_str("clearmld-shim is its ancestor"),
            Self::Hidden => f.write_str("/proc does not tell its pid namespace"),
        }
    }
}

/// Whether the caller is inside a Run, by any of three signs, each of which suffices.
#[must_use]
pub fn inside_a_run(facts: &PeerFacts, state: &StateId) -> Option<Inside> {
    let ours = format!("/clearmld-{state}/");
    let of_a_run = |line: &&str| line.contains(RUN_UNIT) || format!("{line}/").contains(&ours);
    if let Some(line) = facts.cgroup.lines().find(of_a_run) {
        return Some(Inside::Cgroup { line: line.chars().take(200).collect() });
    }
    if facts.lineage.iter().any(|name| name == SHIM) {
        return Some(Inside::Shim);
    }
    match facts.same_pid_namespace {
        Some(true) => None,
        Some(false) => Some(Inside::PidNamespace),
        None if facts.all_seeing => Some(Inside::Hidden),
        // A daemon of an ordinary user cannot look into processes of others; its Runs are caught by the other signs.
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator() -> PeerFacts {
        PeerFacts {
            pid: 42,
            uid: 1000,
            exe: None,
            cgroup: "0::/user.slice/user-1000.slice/session-1.scope\n".into(),
            same_pid_namespace: Some(true),
            all_seeing: true,
            lineage: ["clearmlctl", "bash", "sshd", "systemd"].map(String::from).into(),
        }
    }

    fn decide(facts: &PeerFacts) -> Option<Inside> {
        inside_a_run(facts, &StateId::new("ab12").expect("an id"))
    }

    #[test]
    fn an_operator_in_a_shell_is_outside() {
        assert_eq!(decide(&operator()), None);
    }

    #[test]
    fn a_cgroup_of_a_run_is_inside_whether_systemd_or_we_made_it() {
        for cgroup in [
            "0::/clearml.slice/clearml-run-1.service/payload\n",
            "12:cpu:/\n0::/x/clearmld-ab12/1/payload\n",
            "0::/clearmld-ab12",
        ] {
            let facts = PeerFacts { cgroup: cgroup.into(), ..operator() };
            assert!(matches!(decide(&facts), Some(Inside::Cgroup { .. })), "{cgroup}");
        }
    }

    #[test]
    fn the_daemons_own_cgroup_and_those_of_another_daemon_are_outside() {
        for cgroup in ["0::/system.slice/clearmld.service\n", "0::/clearmld-ffff/1\n", "0::/clearmld-ab123/1\n"] {
            let facts = PeerFacts { cgroup: cgroup.into(), ..operator() };
            assert_eq!(decide(&facts), None, "{cgroup}");
        }
    }

    #[test]
    fn another_pid_namespace_is_inside() {
        let facts = PeerFacts { same_pid_namespace: Some(false), ..operator() };
        assert_eq!(decide(&facts), Some(Inside::PidNamespace));
    }

    #[test]
    fn a_descendant_of_a_shim_is_inside() {
        let facts =
            PeerFacts { lineage: ["python", "clearmld-shim", "clearmld"].map(String::from).into(), ..operator() };
        assert_eq!(decide(&facts), Some(Inside::Shim));
    }

    #[test]
    fn who_hides_from_root_is_inside_but_an_ordinary_users_daemon_cannot_tell() {
        let hidden = PeerFacts { same_pid_namespace: None, ..operator() };
        assert_eq!(decide(&hidden), Some(Inside::Hidden));
        assert_eq!(decide(&PeerFacts { all_seeing: false, ..hidden }), None);
    }
}
