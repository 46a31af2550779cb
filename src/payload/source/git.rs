//! git, with a configuration of ours: none of the system's or a user's, no hooks, no transports that run commands, no
//! question to a terminal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::SourceError;
use crate::domain::handover::{GitCredential, StageOrder};
use crate::payload::askpass;
use crate::payload::tool::{Redactor, Tool, ToolError};
use crate::payload::variables::{find_program, search_path, tool_variables};

/// What every call of git sees.
#[derive(Debug)]
pub(super) struct Git {
    program: PathBuf,
    variables: BTreeMap<String, String>,
    redactor: Redactor,
}

impl Git {
    /// `local`: the task's own repository is a directory of the host, so its submodules may be too.
    pub(super) fn new(order: &StageOrder, local: bool) -> Result<Self, SourceError> {
        let path = search_path(order);
        let program = find_program("git", &path).ok_or(SourceError::NoGit)?;
        let mut variables = tool_variables(order);
        let lfs = find_program("git-lfs", &path).is_some();
        let file = order.paths.tmp.join("clearmld-gitconfig");
        // A file, since git takes settings in variables away before it starts the other side of a local fetch.
        crate::sys::durable::write(&file, configuration(local, lfs).as_bytes(), 0o600)
            .map_err(|source| SourceError::Write { path: file.clone(), source })?;
        for (name, value) in [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", &file.to_string_lossy()),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("LC_ALL", "C.UTF-8"),
            // A server that sends nothing for two minutes is gone.
            ("GIT_HTTP_LOW_SPEED_LIMIT", "1"),
            ("GIT_HTTP_LOW_SPEED_TIME", "120"),
        ] {
            variables.insert(name.to_owned(), value.to_owned());
        }
        variables.entry("GIT_SSH_COMMAND".to_owned()).or_insert_with(|| "ssh -oBatchMode=yes".to_owned());
        variables.extend(askpass::variables(&order.secrets.git));
        Ok(Self { program, variables, redactor: Redactor::new(&order.secrets) })
    }

    /// git in that directory.
    pub(super) fn at(&self, directory: &Path) -> Tool {
        Tool::new("git", &self.program, &self.variables, &self.redactor).within(directory)
    }
}

fn configuration(local: bool, lfs: bool) -> String {
    let mut text = String::from(
        "[safe]\n\tdirectory = *\n[core]\n\thooksPath = /dev/null\n[credential]\n\thelper =\n\
         [advice]\n\tdetachedHead = false\n[gc]\n\tautoDetach = false\n[maintenance]\n\tautoDetach = false\n\
         [fetch]\n\trecurseSubmodules = false\n[protocol]\n\tallow = never\n",
    );
    for scheme in ["https", "http", "ssh", "git"] {
        text.push_str(&format!("[protocol \"{scheme}\"]\n\tallow = always\n"));
    }
    // `user`: from an address that we name, not from one that a .gitmodules names.
    text.push_str(&format!("[protocol \"file\"]\n\tallow = {}\n", if local { "always" } else { "user" }));
    if lfs {
        text.push_str(
            "[filter \"lfs\"]\n\tclean = git-lfs clean -- %f\n\tsmudge = git-lfs smudge -- %f\n\
             \tprocess = git-lfs filter-process\n\trequired = true\n",
        );
    }
    text
}

/// What git said why, without its advice.
pub(super) fn words(error: &ToolError) -> String {
    let advice = ["Please make sure you have", "and the repository exists", "hint:", "Cloning into", "warning:"];
    let text = error.last_words("; ", |line| !advice.iter().any(|start| line.trim_start().starts_with(start)));
    text.trim_end_matches('.').to_owned()
}

/// A directory of the host.
pub(super) fn is_local(url: &str) -> bool {
    url.starts_with('/') || url.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file://"))
}

/// ssh becomes https where a user and password are configured for the host, as clearml-agent does.
pub(super) fn effective_url(url: &str, credentials: &[GitCredential]) -> String {
    let ssh = match url.split_once("://") {
        Some(("ssh" | "git+ssh" | "ssh+git", rest)) => rest.split_once('/'),
        Some(_) => None,
        None if is_local(url) => None,
        None => url.split_once(':'),
    };
    let Some((authority, path)) = ssh else { return url.to_owned() };
    let host = authority.rsplit('@').next().unwrap_or(authority);
    // An ssh port means nothing to https.
    let host = host.split(':').next().unwrap_or(host);
    match askpass::credential_for(host, credentials) {
        Some(_) => format!("https://{host}/{}", path.trim_start_matches('/')),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn ssh_becomes_https_only_where_a_password_is_configured_for_the_host() {
        let password = SecretString::from("p".to_owned());
        let mine = [GitCredential { host: Some("github.com".into()), user: "u".into(), password }];
        for (url, wanted) in [
            ("git@github.com:a/b.git", "https://github.com/a/b.git"),
            ("ssh://git@github.com:22/a/b.git", "https://github.com/a/b.git"),
            ("git@gitlab.com:a/b.git", "git@gitlab.com:a/b.git"),
            ("https://github.com/a/b.git", "https://github.com/a/b.git"),
            ("/srv/a:b.git", "/srv/a:b.git"),
            ("file:///srv/a.git", "file:///srv/a.git"),
        ] {
            assert_eq!(effective_url(url, &mine), wanted);
        }
        assert_eq!(effective_url("git@github.com:a/b.git", &[]), "git@github.com:a/b.git");
    }
}
