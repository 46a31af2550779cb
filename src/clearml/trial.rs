//! One login with a key pair that nobody uses yet, and what to say when it fails. Nothing is kept.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Url;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::config::{ClientConfig, ClientCredentials, ClientError};
use super::failure::Failure;
use super::http::{Http, Identity, Outcome, Request};
use super::token::Token;

/// For our own question only.
const TOKEN_LIFE_S: u64 = 300;
/// A connection that breaks once is tried again; a person waits for the answer.
const AGAIN: Duration = Duration::from_secs(1);

/// Whom the server knows by the key pair.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// The user's name; none where the server does not tell.
    pub user: Option<String>,
    /// Such as `2.0.0`.
    pub server_version: Option<String>,
}

/// How rustls says that the other side answered in plain text.
const NOT_TLS: &str = "InvalidContentType";

/// Why a login failed; each with the next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrialError {
    /// What was said cannot be right.
    #[error("{0}")]
    Unusable(String),
    /// Nobody answers there.
    #[error("{url} cannot be reached: {reason}")]
    Unreachable {
        /// The API server.
        url: String,
        /// Why.
        reason: String,
    },
    /// Its certificate is not trusted.
    #[error("the certificate of {url} is not trusted: {reason}")]
    Certificate {
        /// The API server.
        url: String,
        /// Why.
        reason: String,
    },
    /// The server does not know the key pair.
    #[error("{url} refuses the key pair: {reason}")]
    Refused {
        /// The API server.
        url: String,
        /// What it says.
        reason: String,
    },
    /// Something else answers there.
    #[error("what answers at {url} is no ClearML API server: {reason}")]
    NotTheApi {
        /// The address.
        url: String,
        /// What it says.
        reason: String,
    },
    /// The server has another objection.
    #[error("{url} answers with an error: {reason}")]
    Rejected {
        /// The API server.
        url: String,
        /// What it says.
        reason: String,
    },
}

impl TrialError {
    /// What to do about it.
    #[must_use]
    pub fn next(&self) -> String {
        match self {
            Self::Unusable(_) => "correct it and try again".to_owned(),
            Self::Unreachable { url, reason } if reason.contains(NOT_TLS) => {
                format!("that port does not speak https; try --api-server {}", url.replacen("https:", "http:", 1))
            }
            Self::Unreachable { url, .. } => match api_address(url) {
                Some(api) => format!("try the API server's address, --api-server {api}"),
                None => {
                    "check the address, the network and a firewall between (--api-server names another address)".into()
                }
            },
            Self::Certificate { .. } => {
                "name the certificate authorities of a private server with --ca-file FILE (PEM)".to_owned()
            }
            Self::Refused { .. } => "create a new key pair in that server's web UI (Settings > Workspace > Create new \
                                     credentials) and copy the block whole"
                .to_owned(),
            Self::NotTheApi { url, .. } => match api_address(url) {
                Some(api) => format!("that looks like the web UI or the file server; try --api-server {api}"),
                None => "give the address of the API server (https://api.… or http://…:8008) with --api-server".into(),
            },
            Self::Rejected { .. } => "see the server's own log, then try again".to_owned(),
        }
    }
}

impl From<ClientError> for TrialError {
    fn from(error: ClientError) -> Self {
        Self::Unusable(error.to_string())
    }
}

/// Logs in once.
///
/// # Errors
/// When the server cannot be reached, is none, or refuses.
pub async fn try_login(config: &ClientConfig) -> Result<Account, TrialError> {
    config.check_credentials()?;
    let http = Http::new(config)?;
    let fault = |failure| fault(failure, &config.api_url);
    let identity = match &config.credentials {
        ClientCredentials::KeyPair { access_key, secret_key } => Identity::key_pair(access_key, secret_key),
        ClientCredentials::Token(token) => Identity::bearer(token),
    };
    let login = Request::json("auth.login", "", &json!({ "expiration_sec": TOKEN_LIFE_S }));
    let answer = exchange(&http, &login, &identity).await.map_err(fault)?;
    let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let token = Token::from_login(&answer, Instant::now(), unix_s).map_err(fault)?;
    let whom = Request::json("users.get_current_user", "", &json!({}));
    // A nicety: the login has succeeded.
    let user = exchange(&http, &whom, &Identity::bearer(&token.secret)).await.ok();
    let name = user.as_ref().and_then(|answer| answer.pointer("/user/name")).and_then(Value::as_str);
    let name = name.map(super::failure::tame).filter(|name| !name.is_empty());
    Ok(Account { user: name, server_version: token.server_version })
}

async fn exchange(http: &Http, request: &Request, identity: &Identity) -> Result<Value, Failure> {
    let mut tried = false;
    loop {
        match http.exchange(request, identity).await {
            Outcome::Done(answer) => return Ok(answer),
            Outcome::Final(failure) => return Err(failure),
            Outcome::Later { .. } if !tried => sleep(AGAIN).await,
            Outcome::Later { reason, maybe_done, .. } => return Err(Failure::Unreachable { reason, maybe_done }),
        }
        tried = true;
    }
}

fn fault(failure: Failure, url: &str) -> TrialError {
    let url = url.to_owned();
    match failure {
        Failure::Unreachable { reason, .. } if reason.contains("ertificate") => TrialError::Certificate { url, reason },
        Failure::Unreachable { reason, .. } => TrialError::Unreachable { url, reason },
        Failure::Unauthorized { reason } => TrialError::Refused { url, reason },
        Failure::Incomprehensible { reason } => TrialError::NotTheApi { url, reason },
        // The API knows auth.login; pages and file servers do not, or know no POST.
        Failure::Rejected { code: code @ (403..=405 | 501), message, subcode: 0 } => {
            let reason = if message.starts_with('<') { "a web page".to_owned() } else { message };
            TrialError::NotTheApi { url, reason: format!("HTTP {code}, {reason}") }
        }
        Failure::Rejected { code, message, .. } => TrialError::Rejected { url, reason: format!("{code} {message}") },
    }
}

/// Where the API of a server probably is whose web UI or file server was named: `app.` and `files.` → `api.`, port 8080
/// and 8081 → 8008, nothing after it. None where it looks like the API already.
fn api_address(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok()?;
    let host = url.host_str()?.to_owned();
    let pages = url.path() != "/";
    url.set_path("");
    url.set_query(None);
    url.set_fragment(None);
    let other = ["app.", "files."].iter().find_map(|prefix| host.strip_prefix(prefix));
    match (other, url.port()) {
        (Some(rest), _) => url.set_host(Some(&format!("api.{rest}"))).ok()?,
        (None, Some(8080 | 8081)) => url.set_port(Some(8008)).ok()?,
        // `https://clearml.example.org/dashboard`.
        (None, _) if pages => {}
        (None, _) => return None,
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_the_web_ui_leads_to_the_api() {
        for (pasted, api) in [
            ("https://app.clear.ml", Some("https://api.clear.ml")),
            ("https://app.clear.ml/settings/workspace-configuration", Some("https://api.clear.ml")),
            ("https://files.example.org", Some("https://api.example.org")),
            ("http://10.0.0.1:8080", Some("http://10.0.0.1:8008")),
            ("http://10.0.0.1:8081/", Some("http://10.0.0.1:8008")),
            ("http://10.0.0.1:8080/dashboard", Some("http://10.0.0.1:8008")),
            ("https://clearml.example.org/dashboard", Some("https://clearml.example.org")),
            ("https://api.clear.ml", None),
            ("http://10.0.0.1:8008", None),
        ] {
            assert_eq!(api_address(pasted).as_deref(), api, "{pasted}");
        }
    }

    #[test]
    fn each_failure_is_told_from_the_others_and_names_the_next_step() {
        let url = "http://h:8080";
        let unreachable = |reason: &str| Failure::Unreachable { reason: reason.into(), maybe_done: false };
        let rejected = |code, subcode, message: &str| Failure::Rejected { code, subcode, message: message.into() };
        for (failure, said, next) in [
            (unreachable("connection refused"), "cannot be reached", "--api-server http://h:8008"),
            (unreachable("invalid peer certificate: UnknownIssuer"), "is not trusted", "--ca-file"),
            (Failure::Unauthorized { reason: "no".into() }, "refuses the key pair", "Create new"),
            (Failure::odd("it is no JSON"), "no ClearML API server", "--api-server http://h:8008"),
            (rejected(405, 0, "<html>"), "HTTP 405, a web page", "--api-server http://h:8008"),
            (rejected(400, 12, "bad"), "answers with an error: 400 bad", "log"),
        ] {
            let fault = fault(failure, url);
            assert!(fault.to_string().contains(said), "{fault}");
            assert!(fault.next().contains(next), "{}", fault.next());
        }
    }
}
