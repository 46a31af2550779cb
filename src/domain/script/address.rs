//! A repository's address and revision: words that become arguments of git.

use secrecy::SecretString;

use super::{GitCredential, ScriptError};

/// Transports of git that only fetch. `ext::`, `fd::` and other helpers run commands.
const SCHEMES: [&str; 7] = ["https", "http", "ssh", "git", "file", "git+ssh", "ssh+git"];

/// A user name of this length in an http address, without a password, is an access token.
const SHORTEST_TOKEN: usize = 20;

/// The address without user and password (http only; an ssh user is part of the address), and those apart.
pub(super) fn read(text: &str) -> Result<(String, Option<GitCredential>), ScriptError> {
    let refuse = |reason| Err(ScriptError::refused("repository", text, reason));
    if text.starts_with('-') {
        return refuse("it starts with `-` and would be taken for an option");
    }
    if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return refuse("it holds a blank or a control character");
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        if text.contains("::") {
            return refuse("only https, http, ssh, git and file addresses are fetched");
        }
        return match text.split_once(':') {
            _ if text.starts_with('/') => Ok((text.to_owned(), None)),
            // `git@host:path`: a host or path with a leading dash is an option to ssh.
            Some((host, path)) if !host.is_empty() && !host.contains('/') && !path.starts_with('-') => {
                let bare = host.rsplit('@').next().unwrap_or(host);
                if bare.is_empty() || bare.starts_with('-') {
                    return refuse("its host is not a name");
                }
                Ok((text.to_owned(), None))
            }
            Some(_) | None => refuse("it is no address that git can fetch"),
        };
    };
    if !SCHEMES.contains(&scheme.to_ascii_lowercase().as_str()) {
        return refuse("only https, http, ssh, git and file addresses are fetched");
    }
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (userinfo, host) = match authority.rsplit_once('@') {
        Some((userinfo, host)) => (Some(userinfo), host),
        None => (None, authority),
    };
    if host.starts_with('-') || (host.is_empty() && !scheme.eq_ignore_ascii_case("file")) {
        return refuse("its host is not a name");
    }
    let (user, password) = match userinfo.map(|userinfo| userinfo.split_once(':').unwrap_or((userinfo, ""))) {
        Some((user, password)) => (decoded(user), decoded(password)),
        None => return Ok((text.to_owned(), None)),
    };
    if !scheme.to_ascii_lowercase().starts_with("http") {
        // A password means nothing to ssh; the user does.
        let user = userinfo.map_or("", |userinfo| userinfo.split(':').next().unwrap_or_default());
        if user.starts_with('-') {
            return refuse("its user starts with `-` and would be taken for an option");
        }
        return Ok((format!("{scheme}://{user}@{host}{path}"), None));
    }
    // A user name alone is replaced by the configured credentials, as clearml-agent does.
    let known = !password.is_empty() || user.len() >= SHORTEST_TOKEN;
    let name = host.split(':').next().unwrap_or(host).to_owned();
    let credential = known.then(|| GitCredential { host: Some(name), user, password: SecretString::from(password) });
    Ok((format!("{scheme}://{host}{path}"), credential))
}

/// A branch, tag or commit that git takes for nothing else.
pub(super) fn revision<'a>(field: &'static str, text: &'a str) -> Result<&'a str, ScriptError> {
    let refuse = |reason| Err(ScriptError::refused(field, text, reason));
    if text.starts_with('-') {
        return refuse("it starts with `-` and would be taken for an option");
    }
    if text.contains("..") || text.contains("@{") {
        return refuse("it is a range, not one revision");
    }
    // What git-check-ref-format(1) forbids.
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c)) {
        return refuse("it holds a character that no revision can have");
    }
    Ok(text)
}

/// The address without what stands before `@`, for people.
pub(super) fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    format!("{scheme}://{host}{path}")
}

/// Percent-decoded; what is not valid stays as it is.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = text.get(at + 1..at + 3).filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(code) => {
                out.push(code);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}
