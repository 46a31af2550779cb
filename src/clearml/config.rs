//! What the client is given: where the server is and who we are to it.

use std::path::PathBuf;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

/// Where the server is and who we are to it. Its `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// `http://127.0.0.1:8008`; a path before the service names is kept.
    pub api_url: String,
    /// The web UI, for links; may be empty.
    pub web_url: String,
    /// The file server; may be empty.
    pub files_url: String,
    /// Who we are.
    pub credentials: ClientCredentials,
    /// Whether and how the server's certificate is checked.
    pub verify: Verify,
    /// The host's name, sent as `X-ClearML-Worker`.
    pub host: String,
    /// `api.auth.request_token_expiration_sec`: how long our own tokens shall live; none leaves it to the server.
    pub request_token_expiration_s: Option<u64>,
}

/// Who we are to the server.
#[derive(Debug, Clone)]
pub enum ClientCredentials {
    /// `api.credentials`.
    KeyPair {
        /// The public half.
        access_key: String,
        /// The secret half.
        secret_key: SecretString,
    },
    /// `CLEARML_AUTH_TOKEN`: a bearer token, which renews itself.
    Token(SecretString),
}

/// `api.verify_certificate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verify {
    /// Against the host's certificate authorities.
    Yes,
    /// Not at all.
    No,
    /// Against these only (PEM), as the Python clients take a path.
    CaFile(PathBuf),
}

/// Why there can be no client with this configuration. None of these needs the network to find out.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not a URL that we can call.
    #[error("{key} is no usable URL: {reason}; write it like https://api.example.com or http://127.0.0.1:8008")]
    Url {
        /// `api.api_server`.
        key: &'static str,
        /// What is wrong; never the URL itself, which may hold a password.
        reason: String,
    },
    /// Credentials that no server could accept.
    #[error("api.credentials cannot be used: {reason}; create a key pair in the web UI (Settings > Workspace)")]
    Credentials {
        /// What is wrong with them.
        reason: &'static str,
    },
    /// A file of certificate authorities that cannot be read.
    #[error("cannot use the certificate authorities in {path}: {reason}; see api.verify_certificate")]
    Certificates {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A host name that cannot be sent.
    #[error("the host name `{host}` cannot be sent as a header")]
    Host {
        /// It.
        host: String,
    },
    /// The HTTP client itself.
    #[error("cannot set up HTTP: {reason}")]
    Http {
        /// Why.
        reason: String,
    },
}

impl ClientConfig {
    /// The base of all calls, without a slash at its end.
    pub(super) fn base(&self) -> Result<Url, ClientError> {
        let refuse = |reason: &str| ClientError::Url { key: "api.api_server", reason: reason.to_owned() };
        let mut url = Url::parse(self.api_url.trim()).map_err(|error| refuse(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("it is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it holds a user or password, which belongs into api.credentials"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it has a query or fragment"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(url)
    }

    pub(super) fn check_credentials(&self) -> Result<(), ClientError> {
        let refuse = |reason| Err(ClientError::Credentials { reason });
        match &self.credentials {
            ClientCredentials::KeyPair { access_key, secret_key } => {
                if access_key.is_empty() || secret_key.expose_secret().is_empty() {
                    return refuse("access_key or secret_key is empty");
                }
                if access_key.contains(':') {
                    return refuse("access_key holds a colon");
                }
            }
            ClientCredentials::Token(token) => {
                if !is_token(token.expose_secret()) {
                    return refuse("the token is empty or holds characters that no token has");
                }
            }
        }
        Ok(())
    }
}

/// Whether a text can be a bearer token: it must fit into a header.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 * 1024 && text.bytes().all(|byte| byte.is_ascii_graphic())
}
