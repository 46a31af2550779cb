//! Who else on this host could read or command us.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Group, geteuid};

use super::Ground;
use crate::domain::diagnosis::Finding;
use crate::host::users::{OPERATORS, UserError};

const CHECK: &str = "permissions";

/// What a path is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    StateDirectory,
    Secret,
    Socket,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    role: Role,
    path: String,
    mode: u32,
    uid: u32,
    group: Option<String>,
}

pub(super) fn look(ground: &Ground) -> Vec<Finding> {
    let places = [(Role::StateDirectory, &ground.state_dir), (Role::Socket, &ground.socket)];
    let secrets = ground.secret_files.iter().map(|path| (Role::Secret, path));
    let found: Vec<Found> = places.into_iter().chain(secrets).filter_map(|(role, path)| stat(role, path)).collect();
    let operators = Group::from_name(OPERATORS).ok().flatten().is_some();
    let ours = geteuid().as_raw();
    let mut findings: Vec<Finding> = found.iter().filter_map(|one| fault(one, ours, operators)).collect();
    findings.extend(of_user(ground.users.identity(None).err().as_ref()));
    if findings.is_empty() {
        let looked = found.iter().map(|one| format!("{} {:04o}", one.path, one.mode)).collect::<Vec<_>>();
        findings.push(Finding::ok(CHECK, looked.join(", ")));
    }
    findings
}

fn stat(role: Role, path: &Path) -> Option<Found> {
    let found = fs::metadata(path).ok()?;
    let group = Group::from_gid(found.gid().into()).ok().flatten().map(|group| group.name);
    Some(Found { role, path: path.display().to_string(), mode: found.mode() & 0o7777, uid: found.uid(), group })
}

fn fault(found: &Found, ours: u32, operators: bool) -> Option<Finding> {
    let Found { role, path, mode, uid, group } = found;
    if *uid != ours && *uid != 0 {
        let detail = format!("{path} belongs to uid {uid}, who can change what the daemon does");
        return Some(Finding::failed(CHECK, detail, format!("`chown {ours}: {path}`")));
    }
    match role {
        // Passing through is needed where a sandbox has no mounts of its own.
        Role::StateDirectory if mode & 0o066 != 0 => {
            let detail = format!("{path} has mode {mode:04o}: others than root can look into it");
            Some(Finding::failed(CHECK, detail, format!("`chmod 0700 {path}`")))
        }
        Role::Secret if mode & 0o007 != 0 => {
            let detail = format!("{path} may hold the key pair, and its mode {mode:04o} lets every user read it");
            Some(Finding::failed(CHECK, detail, format!("`chmod 0600 {path}`")))
        }
        Role::Socket if mode & 0o007 != 0 => {
            let detail = format!("{path} has mode {mode:04o}: every user of this host can command the daemon");
            Some(Finding::failed(CHECK, detail, format!("`chmod o= {path}`")))
        }
        Role::Socket if ours == 0 && operators && (*mode != 0o660 || group.as_deref() != Some(OPERATORS)) => {
            let group = group.as_deref().unwrap_or("?");
            let detail =
                format!("{path} is {mode:04o} root:{group} and not 0660 root:{OPERATORS}: operators cannot use it");
            Some(Finding::warning(CHECK, detail, "`systemctl restart clearmld`; runs go on"))
        }
        Role::StateDirectory | Role::Secret | Role::Socket => None,
    }
}

fn of_user(error: Option<&UserError>) -> Option<Finding> {
    let error = error?;
    let fix = match error {
        UserError::Operator { name } => format!("`gpasswd -d {name} {OPERATORS}`"),
        UserError::Unknown { .. } | UserError::Root { .. } | UserError::NotRoot { .. } | UserError::Database { .. } => {
            "set run_as in clearmld.toml, and restart clearmld".to_owned()
        }
    };
    Some(Finding::failed(CHECK, error.to_string(), fix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnosis::Verdict;

    fn found(role: Role, mode: u32) -> Found {
        Found { role, path: "/x".into(), mode, uid: 0, group: Some("clearml".into()) }
    }

    fn verdict(found: &Found) -> Option<Verdict> {
        fault(found, 0, true).map(|finding| finding.verdict)
    }

    #[test]
    fn what_others_can_read_or_command_is_a_failure_with_the_chmod_that_ends_it() {
        for (role, mode) in [(Role::StateDirectory, 0o755), (Role::Secret, 0o644), (Role::Socket, 0o666)] {
            let finding = fault(&found(role, mode), 0, true).expect("a fault");
            assert_eq!(finding.verdict, Verdict::Failed);
            assert!(finding.fix.expect("a fix").starts_with("`chmod"), "{role:?}");
        }
        for (role, mode) in [(Role::StateDirectory, 0o700), (Role::StateDirectory, 0o711), (Role::Secret, 0o640)] {
            assert_eq!(verdict(&found(role, mode)), None, "{role:?} {mode:o}");
        }
    }

    #[test]
    fn a_socket_that_operators_cannot_open_is_a_warning() {
        assert_eq!(verdict(&found(Role::Socket, 0o660)), None);
        assert_eq!(verdict(&found(Role::Socket, 0o600)), Some(Verdict::Warning));
        let roots = Found { group: Some("root".into()), ..found(Role::Socket, 0o660) };
        assert_eq!(verdict(&roots), Some(Verdict::Warning));
        assert_eq!(fault(&roots, 0, false), None, "a host without the group has said so in its status");
    }

    #[test]
    fn another_users_file_is_a_failure_and_so_is_a_payload_that_is_an_operator() {
        assert_eq!(verdict(&Found { uid: 1000, ..found(Role::Secret, 0o600) }), Some(Verdict::Failed));
        let operator = of_user(Some(&UserError::Operator { name: "clearml-run".into() })).expect("a fault");
        assert_eq!(operator.fix.as_deref(), Some("`gpasswd -d clearml-run clearml`"));
        assert_eq!(of_user(None), None);
    }
}
