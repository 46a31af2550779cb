//! The section `api`: which server, and who we are to it.

use std::path::PathBuf;

use secrecy::SecretString;

use super::origin::{Origin, Sourced};
use super::reader::{Reader, truth};

/// A ClearML server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// `http(s)://host[:port]`, without a slash at its end.
    pub api: Sourced<String>,
    /// The pages; none where nobody says it and it cannot be guessed.
    pub web: Option<Sourced<String>>,
    /// The file server; none as above.
    pub files: Option<Sourced<String>>,
    /// Who we are.
    pub credentials: Credentials,
    /// How its certificate is checked.
    pub verify: Sourced<Verify>,
    /// How long a token is asked for.
    pub request_token_expiration_sec: Option<u64>,
}

/// Who we are to the server.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// An access key and its secret.
    KeyPair {
        /// Shown in the UI; no secret.
        access_key: Sourced<String>,
        /// The secret.
        secret_key: Sourced<SecretString>,
    },
    /// A bearer token.
    Token(Sourced<SecretString>),
}

/// How the server's certificate is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verify {
    /// Against the system's authorities.
    System,
    /// Against the authorities of this PEM file.
    Authority(PathBuf),
    /// Not at all.
    Off,
}

/// None when no server is configured. A key pair without a server is an error; a server without a key pair is none:
/// it is said in words, since the key pair may be yet to come as a credential.
pub(super) fn read(reader: &mut Reader<'_>, complete: bool) -> (Option<ServerConfig>, Option<String>) {
    let api = url(reader, "api.api_server", Some("CLEARML_API_HOST")).or_else(|| url(reader, "api.host", None));
    let web = url(reader, "api.web_server", Some("CLEARML_WEB_HOST"));
    let files = url(reader, "api.files_server", Some("CLEARML_FILES_HOST"));
    let credentials = credentials(reader, complete);
    let verify = verify(reader);
    let expiration = reader.integer("api.auth.request_token_expiration_sec", None, 60..=31_536_000);
    let half = |value: &Option<Sourced<String>>| value.as_ref().map(|value| value.origin.clone());
    let told = !complete || !reader.errors.is_empty();
    let server = match (api, credentials) {
        (Some(api), Some(credentials)) => ServerConfig {
            web: web.or_else(|| guessed(reader, "api.web_server", &api, "app.", 8080)),
            files: files.or_else(|| guessed(reader, "api.files_server", &api, "files.", 8081)),
            request_token_expiration_sec: expiration.map(|seconds| seconds.value),
            api,
            credentials,
            verify,
        },
        // Each of these is said only where the other half is not an error already.
        (Some(api), None) if !told => {
            let keyless = format!(
                "there are no credentials for {} ({}): run `clearmlctl init`, or set api.credentials.access_key and \
                 api.credentials.secret_key",
                api.value, api.origin
            );
            return (None, Some(keyless));
        }
        (None, Some(credentials)) if !told => {
            reader.error(credentials.origin().clone(), "api.api_server", NO_SERVER);
            return (None, None);
        }
        (None, None) if !told => {
            if let Some(origin) = half(&web).or_else(|| half(&files)) {
                reader.error(origin, "api.api_server", NO_SERVER);
            }
            return (None, None);
        }
        _ => return (None, None),
    };
    (Some(server), None)
}

const NO_SERVER: &str = "there is no API server to go with it; set api.api_server or CLEARML_API_HOST";

impl Credentials {
    fn origin(&self) -> &Origin {
        match self {
            Self::KeyPair { access_key, .. } => &access_key.origin,
            Self::Token(token) => &token.origin,
        }
    }
}

fn credentials(reader: &mut Reader<'_>, complete: bool) -> Option<Credentials> {
    if let Some(token) = reader.secret("api.auth_token", Some("CLEARML_AUTH_TOKEN")) {
        return Some(Credentials::Token(token));
    }
    let access_key = reader.text("api.credentials.access_key", Some("CLEARML_API_ACCESS_KEY"));
    let secret_key = reader.secret("api.credentials.secret_key", Some("CLEARML_API_SECRET_KEY"));
    match (access_key, secret_key) {
        (Some(access_key), Some(secret_key)) => Some(Credentials::KeyPair { access_key, secret_key }),
        (Some(access_key), None) if complete => {
            let problem = "its secret is missing; set api.credentials.secret_key or CLEARML_API_SECRET_KEY";
            reader.error(access_key.origin, "api.credentials.access_key", problem);
            None
        }
        (None, Some(secret_key)) if complete => {
            let problem = "its access key is missing; set api.credentials.access_key or CLEARML_API_ACCESS_KEY";
            reader.error(secret_key.origin, "api.credentials.secret_key", problem);
            None
        }
        (Some(_) | None, None) | (None, Some(_)) => None,
    }
}

fn verify(reader: &mut Reader<'_>) -> Sourced<Verify> {
    let key = "api.verify_certificate";
    let Some(found) = reader.text(key, Some("CLEARML_API_HOST_VERIFY_CERT")) else {
        return Sourced { value: Verify::System, origin: Origin::Default };
    };
    let value = match truth(&found.value) {
        Some(true) => Verify::System,
        Some(false) => {
            reader.remark(
                found.origin.clone(),
                "the server's certificate is not checked: anybody between may read along",
            );
            Verify::Off
        }
        None if std::path::Path::new(&found.value).is_file() => Verify::Authority(PathBuf::from(found.value)),
        None => {
            let problem = "it is neither true, false nor a file; name a file of PEM certificates";
            reader.error(found.origin.clone(), key, problem);
            Verify::System
        }
    };
    Sourced { value, origin: found.origin }
}

fn url(reader: &mut Reader<'_>, key: &str, variable: Option<&str>) -> Option<Sourced<String>> {
    let found = reader.text(key, variable)?;
    match checked_url(&found.value) {
        Ok(value) => Some(Sourced { value, origin: found.origin }),
        Err(problem) => {
            reader.error(found.origin, key, problem);
            None
        }
    }
}

/// Without the slashes at its end.
fn checked_url(text: &str) -> Result<String, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("it is no URL; write http://host:port or https://host")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err("its scheme is neither http nor https; write http://host:port or https://host");
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err("a user or password in the URL would show in logs; put them into api.credentials");
    }
    let (host, port) = split_port(authority);
    if host.is_empty() || !host.chars().all(|c| c.is_alphanumeric() || "-._[]:".contains(c)) {
        return Err("its host is missing or has a character that no host has; write http://host:port or https://host");
    }
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Err("its port is no number from 1 to 65535");
    }
    if path.contains([' ', '?', '#']) {
        return Err("it has a blank, a query or a fragment in it; write the server's address only");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Host and port; an IPv6 address is in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        Some(_) | None => (authority, None),
    }
}

/// ClearML's guess from the API server's address: `api.` → `app.`, `files.`; port 8008 → 8080, 8081.
fn guessed(
    reader: &mut Reader<'_>,
    key: &str,
    api: &Sourced<String>,
    prefix: &str,
    port: u16,
) -> Option<Sourced<String>> {
    let (scheme, rest) = api.value.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let value = match (split_port(authority), authority.strip_prefix("api.")) {
        ((host, Some("8008")), _) => format!("{scheme}://{host}:{port}{path}"),
        (_, Some(rest)) => format!("{scheme}://{prefix}{rest}{path}"),
        (_, None) => {
            let text = format!("{key} is not set and cannot be guessed from this address; set it");
            reader.remark(api.origin.clone(), text);
            return None;
        }
    };
    reader.describe(key, format!("{value} (guessed from api.api_server)"), &api.origin);
    Some(Sourced { value, origin: api.origin.clone() })
}
