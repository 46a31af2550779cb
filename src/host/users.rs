//! The payload's user: who a task may run as.

use std::ffi::CString;

use nix::unistd::{Group, User, geteuid, getgrouplist};

use crate::domain::handover::Identity;

/// The group whose members may open the control socket.
pub const OPERATORS: &str = "clearml";

/// Why a task may not run as a user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Nobody of that name.
    #[error(
        "there is no user `{name}` on this host; create it (useradd --system --no-create-home {name}), or choose another --user"
    )]
    Unknown {
        /// Who.
        name: String,
    },
    /// uid 0.
    #[error("tasks may not run as `{name}`, which is root; choose an ordinary --user")]
    Root {
        /// Who.
        name: String,
    },
    /// A member of the operators' group could drive the daemon.
    #[error(
        "tasks may not run as `{name}`, a member of group `{OPERATORS}`: it may command this daemon; choose another --user"
    )]
    Operator {
        /// Who.
        name: String,
    },
    /// We are no root ourselves.
    #[error(
        "clearmld runs as an ordinary user here, so tasks run as that user; drop --user {name}, or run clearmld as root"
    )]
    NotRoot {
        /// Who was asked for.
        name: String,
    },
    /// The host's user database failed.
    #[error("the host's user database cannot be read for `{name}`: {source}")]
    Database {
        /// Who.
        name: String,
        /// Why.
        source: nix::Error,
    },
}

/// What the operator chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPolicy {
    /// The default user (`clearml-run`).
    pub default: String,
    /// The uid and gid of the default user on a host that does not know it.
    pub fallback_uid: u32,
}

impl UserPolicy {
    /// Who the payload is, by the name a Worker asked for or by default.
    ///
    /// # Errors
    /// When that name may not be used.
    pub fn identity(&self, wanted: Option<&str>) -> Result<Identity, UserError> {
        if !geteuid().is_root() {
            return ourselves(wanted);
        }
        let name = wanted.unwrap_or(&self.default);
        let found = User::from_name(name).map_err(|source| UserError::Database { name: name.to_owned(), source })?;
        match found {
            Some(user) => checked(user),
            None if wanted.is_none() => Ok(Identity {
                uid: self.fallback_uid,
                gid: self.fallback_uid,
                user: self.default.clone(),
                known_to_host: false,
            }),
            None => Err(UserError::Unknown { name: name.to_owned() }),
        }
    }

    /// A sentence for `status` when the default user is not there.
    #[must_use]
    pub fn remark(&self) -> Option<String> {
        let identity = self.identity(None).ok()?;
        (!identity.known_to_host).then(|| {
            format!(
                "user `{}` does not exist: tasks run as uid {}; create it with useradd --system --no-create-home {0}",
                identity.user, identity.uid
            )
        })
    }
}

fn checked(user: User) -> Result<Identity, UserError> {
    let name = user.name.clone();
    if user.uid.is_root() || user.gid.as_raw() == 0 {
        return Err(UserError::Root { name });
    }
    let database = |source| UserError::Database { name: user.name.clone(), source };
    let operators = Group::from_name(OPERATORS).map_err(database)?;
    if let (Some(operators), Ok(c_name)) = (operators, CString::new(user.name.clone())) {
        let groups = getgrouplist(&c_name, user.gid).map_err(database)?;
        if groups.contains(&operators.gid) {
            return Err(UserError::Operator { name });
        }
    }
    Ok(Identity { uid: user.uid.as_raw(), gid: user.gid.as_raw(), user: name, known_to_host: true })
}

fn ourselves(wanted: Option<&str>) -> Result<Identity, UserError> {
    let uid = geteuid();
    let user = User::from_uid(uid).ok().flatten();
    let name = user.as_ref().map_or_else(|| uid.to_string(), |user| user.name.clone());
    match wanted {
        Some(wanted) if wanted != name => Err(UserError::NotRoot { name: wanted.to_owned() }),
        Some(_) | None => {
            let gid = nix::unistd::getegid().as_raw();
            Ok(Identity { uid: uid.as_raw(), gid, user: name, known_to_host: user.is_some() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> UserPolicy {
        UserPolicy { default: "clearml-run-of-no-host".into(), fallback_uid: 64_117 }
    }

    #[test]
    fn root_is_refused_and_so_is_nobody_known() {
        if !geteuid().is_root() {
            let error = policy().identity(Some("root")).expect_err("refused");
            assert!(matches!(error, UserError::NotRoot { .. }), "{error}");
            return;
        }
        assert!(matches!(policy().identity(Some("root")), Err(UserError::Root { .. })));
        assert!(matches!(policy().identity(Some("no-such-user")), Err(UserError::Unknown { .. })));
    }

    #[test]
    fn without_the_default_user_a_uid_of_its_own_is_used_and_said() {
        if !geteuid().is_root() {
            assert_eq!(policy().identity(None).expect("ourselves").uid, geteuid().as_raw());
            return;
        }
        let identity = policy().identity(None).expect("an identity");
        assert_eq!((identity.uid, identity.known_to_host), (64_117, false));
        assert!(policy().remark().expect("a remark").contains("useradd"));
    }
}
