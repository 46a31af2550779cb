//! `GIT_ASKPASS`: git runs this same binary to ask for a user and a password, so that neither is ever in an argument
//! or in a file. The answers come in a variable that only processes of the payload's user can read, and each is given
//! to the host that it is for, and to no other that a redirect or a submodule leads to.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;

use secrecy::ExposeSecret;

use crate::domain::handover::GitCredential;

/// Set for git, and so for what git asks.
const VARIABLE: &str = "CLEARMLD_ASKPASS";

/// To be called first of all by a binary that runs stages: answers git's question, if this process was started for one.
#[must_use]
pub fn askpass() -> Option<ExitCode> {
    let credentials: Vec<GitCredential> = serde_json::from_str(&std::env::var(VARIABLE).ok()?).ok()?;
    // With no argument this is a stage that git has not started.
    let prompt = std::env::args().nth(1)?;
    let Some(word) = answer(&prompt, &credentials) else { return Some(ExitCode::FAILURE) };
    let written = writeln!(io::stdout().lock(), "{word}");
    Some(if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What git's environment needs so that it asks here; nothing when there is nothing to answer.
pub(super) fn variables(credentials: &[GitCredential]) -> BTreeMap<String, String> {
    let executable = std::env::current_exe().ok().and_then(|path| path.into_os_string().into_string().ok());
    match (executable, serde_json::to_string(credentials)) {
        (Some(executable), Ok(answers)) if !credentials.is_empty() => {
            BTreeMap::from([("GIT_ASKPASS".to_owned(), executable), (VARIABLE.to_owned(), answers)])
        }
        (Some(_) | None, Ok(_) | Err(_)) => BTreeMap::new(),
    }
}

/// The credential for a host: one that names it before one for all.
pub(super) fn credential_for<'a>(host: &str, credentials: &'a [GitCredential]) -> Option<&'a GitCredential> {
    let named = credentials.iter().find(|one| one.host.as_deref().is_some_and(|name| same_host(name, host)));
    named.or_else(|| credentials.iter().find(|one| one.host.is_none()))
}

/// A port in the configured name must match, a missing one fits every port.
fn same_host(name: &str, host: &str) -> bool {
    let name = name.split_once("://").map_or(name, |(_, rest)| rest).trim_end_matches('/');
    let host_only = host.split(':').next().unwrap_or(host);
    name.eq_ignore_ascii_case(if name.contains(':') { host } else { host_only })
}

/// `Username for 'https://host': ` or `Password for 'https://user@host': `.
fn answer<'a>(prompt: &str, credentials: &'a [GitCredential]) -> Option<&'a str> {
    let address = prompt.split('\'').nth(1)?;
    let rest = address.split_once("://")?.1;
    let authority = rest.split('/').next()?;
    let host = authority.rsplit('@').next()?;
    let credential = credential_for(host, credentials)?;
    if prompt.starts_with("Username") {
        Some(&credential.user)
    } else if prompt.starts_with("Password") {
        Some(credential.password.expose_secret())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    fn credential(host: Option<&str>, user: &str) -> GitCredential {
        let password = SecretString::from(format!("{user}-password"));
        GitCredential { host: host.map(str::to_owned), user: user.to_owned(), password }
    }

    #[test]
    fn a_credential_is_given_to_its_own_host_only() {
        let mine = [credential(Some("git.example.org"), "me")];
        assert_eq!(answer("Username for 'https://git.example.org': ", &mine), Some("me"));
        assert_eq!(answer("Password for 'https://me@git.example.org': ", &mine), Some("me-password"));
        assert_eq!(answer("Password for 'https://me@git.example.org:8443': ", &mine), Some("me-password"));
        assert_eq!(answer("Password for 'https://git.example.org@evil.org': ", &mine), None);
        assert_eq!(answer("Password for 'https://git.example.org.evil.org': ", &mine), None);
        assert_eq!(answer("Enter passphrase for key '/home/x': ", &mine), None);
    }

    #[test]
    fn a_named_host_wins_over_a_credential_for_all() {
        let both = [credential(None, "all"), credential(Some("h:8443"), "one")];
        assert_eq!(answer("Username for 'https://h:8443/x.git': ", &both), Some("one"));
        assert_eq!(answer("Username for 'https://h/x.git': ", &both), Some("all"));
    }
}
