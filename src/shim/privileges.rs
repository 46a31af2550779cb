//! From root to the payload's user, for good.

use caps::CapSet;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::domain::handover::Identity;

/// Why a process could not become the payload's user.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrivilegeError {
    /// The user is root, or another user than an ordinary user's daemon may use.
    #[error("the payload's user {user} (uid {uid}) is refused: {reason}")]
    Refused {
        /// Its name.
        user: String,
        /// Its uid.
        uid: u32,
        /// Why.
        reason: &'static str,
    },
    /// A system call failed.
    #[error("cannot {operation}: {reason}")]
    Failed {
        /// `set the user`.
        operation: &'static str,
        /// Why.
        reason: String,
    },
    /// Something is left that must not be.
    #[error("the {set:?} capabilities are not empty after they were dropped")]
    Left {
        /// In which set.
        set: CapSet,
    },
}

fn failed(operation: &'static str) -> impl Fn(nix::Error) -> PrivilegeError {
    move |error| PrivilegeError::Failed { operation, reason: error.desc().to_owned() }
}

/// Refuses what no payload may be, before anything is made for it.
///
/// # Errors
/// See [`PrivilegeError::Refused`].
pub(super) fn check(identity: &Identity) -> Result<(), PrivilegeError> {
    let own = nix::unistd::geteuid();
    let refuse = |reason| {
        Err(PrivilegeError::Refused { user: identity.user.chars().take(64).collect(), uid: identity.uid, reason })
    };
    if identity.uid == 0 || identity.gid == 0 {
        return refuse("a task never runs as root or in its group");
    }
    // u32::MAX means "leave as it is" to setresuid.
    if identity.uid == u32::MAX || identity.gid == u32::MAX {
        return refuse("it is no user");
    }
    if !own.is_root() && own.as_raw() != identity.uid {
        return refuse("an ordinary user's daemon runs tasks as that user only");
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@$".contains(c);
    if identity.user.is_empty() || identity.user.len() > 64 || !identity.user.chars().all(plain) {
        return refuse("its name has characters that a passwd file cannot bear");
    }
    Ok(())
}

/// Drops everything. The caller execs next; a process that this has failed in must end.
///
/// # Errors
/// When anything of root is left.
pub(super) fn drop_to(identity: &Identity) -> Result<(), PrivilegeError> {
    check(identity)?;
    if nix::unistd::geteuid().is_root() {
        // Needs CAP_SETPCAP, so it goes first.
        clear(CapSet::Bounding)?;
        setgroups(&[]).map_err(failed("drop the supplementary groups"))?;
        let gid = Gid::from_raw(identity.gid);
        setresgid(gid, gid, gid).map_err(failed("set the group"))?;
        let uid = Uid::from_raw(identity.uid);
        setresuid(uid, uid, uid).map_err(failed("set the user"))?;
    }
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        clear(set)?;
    }
    prctl::set_no_new_privs().map_err(failed("set no_new_privs"))?;
    verify()
}

fn clear(set: CapSet) -> Result<(), PrivilegeError> {
    let operation = "drop capabilities";
    caps::clear(None, set).map_err(|error| PrivilegeError::Failed { operation, reason: error.to_string() })
}

fn verify() -> Result<(), PrivilegeError> {
    for set in [CapSet::Permitted, CapSet::Effective, CapSet::Inheritable, CapSet::Ambient] {
        let operation = "read capabilities";
        let left =
            caps::read(None, set).map_err(|error| PrivilegeError::Failed { operation, reason: error.to_string() })?;
        if !left.is_empty() {
            return Err(PrivilegeError::Left { set });
        }
    }
    if nix::unistd::geteuid().is_root() || nix::unistd::getuid().is_root() {
        return Err(PrivilegeError::Failed { operation: "leave root", reason: "the user is root still".to_owned() });
    }
    Ok(())
}
