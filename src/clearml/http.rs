//! One exchange with the server: a request, and what its answer means. No patience, no tokens.

use std::error::Error;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{Certificate, Response, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::config::{ClientConfig, ClientError, Verify};
use super::failure::{Failure, tame};
use super::patience::MOST_RETRY_AFTER;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Shorter than what servers and proxies use, so that a request seldom meets a connection that is just being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(10);
/// Also of what is unpacked. A page of 500 tasks with large diffs is far below.
const MOST_BODY: usize = 64 * 1024 * 1024;

/// What is sent.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// `tasks.get_all`.
    pub(super) name: &'static str,
    /// `/v2.13`, or nothing for the newest.
    pub(super) version: &'static str,
    /// `application/json`, or exactly `application/json-lines`.
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// Whether it may be sent again when it may have been carried out already.
    pub(super) repeatable: bool,
}

/// Who sends it. Its `Debug` shows nothing, being made of secrets.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    header: SecretString,
    /// What must not appear in a text, if the server should echo it.
    hidden: Vec<SecretString>,
}

impl Identity {
    pub(super) fn bearer(token: &SecretString) -> Self {
        Self { header: format!("Bearer {}", token.expose_secret()).into(), hidden: vec![token.clone()] }
    }

    pub(super) fn key_pair(access_key: &str, secret_key: &SecretString) -> Self {
        let encoded = STANDARD.encode(format!("{access_key}:{}", secret_key.expose_secret()));
        let header = format!("Basic {encoded}").into();
        Self { header, hidden: vec![encoded.into(), secret_key.clone()] }
    }

    /// A text of the server, tame and without our secrets.
    fn censor(&self, text: &str) -> String {
        let censor = |text: String, secret: &SecretString| text.replace(secret.expose_secret(), "***");
        tame(&self.hidden.iter().fold(text.to_owned(), censor))
    }
}

/// What an answer means, or that there was none.
#[derive(Debug)]
pub(super) enum Outcome {
    /// `data` of an envelope with code 200.
    Done(Value),
    /// Not now; perhaps `wait` says when.
    Later { reason: String, maybe_done: bool, wait: Option<Duration> },
    /// No use to repeat it.
    Final(Failure),
}

/// Sends requests over kept-alive connections.
#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    base: Url,
    /// Said with every failed connection when the host has no certificate authorities at all.
    no_authorities: bool,
}

impl Http {
    pub(super) fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        // Another part of the process may have installed it before us: one is as good as the other.
        let _earlier = rustls::crypto::ring::default_provider().install_default();
        let base = config.base()?;
        let builder = || basic_builder(config, &base);
        let fault = |error: reqwest::Error| ClientError::Http { reason: chain(&error) };
        let (client, no_authorities) = match &config.verify {
            Verify::No => (builder()?.tls_danger_accept_invalid_certs(true).build().map_err(fault)?, false),
            Verify::CaFile(path) => {
                let refuse = |reason| ClientError::Certificates { path: path.clone(), reason };
                let pem = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
                let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| refuse(chain(&error)))?;
                if authorities.is_empty() {
                    return Err(refuse("it holds no certificate".to_owned()));
                }
                (builder()?.tls_certs_only(authorities).build().map_err(|error| refuse(chain(&error)))?, false)
            }
            Verify::Yes => match builder()?.build() {
                Ok(client) => (client, false),
                // A host without CA certificates can still talk http, and must not lose its daemon over https.
                Err(_) => (builder()?.tls_certs_only([]).build().map_err(fault)?, true),
            },
        };
        Ok(Self { client, base, no_authorities })
    }

    /// Sends a request once.
    pub(super) async fn exchange(&self, request: &Request, identity: &Identity) -> Outcome {
        self.exchange_dated(request, identity).await.0
    }

    /// As [`Http::exchange`]; also the server's clock, in seconds since the Unix epoch, as its Date header says.
    pub(super) async fn exchange_dated(&self, request: &Request, identity: &Identity) -> (Outcome, Option<i64>) {
        let Ok(mut header) = HeaderValue::from_str(identity.header.expose_secret()) else {
            let reason = "the credentials fit into no header".to_owned();
            return (Outcome::Final(Failure::Unauthorized { reason }), None);
        };
        header.set_sensitive(true);
        let url = format!("{}{}/{}", self.base.as_str().trim_end_matches('/'), request.version, request.name);
        let sent = self
            .client
            .post(url)
            .header(AUTHORIZATION, header)
            .header(CONTENT_TYPE, request.content_type)
            .body(request.body.clone())
            .send()
            .await;
        match sent {
            Err(error) => (self.broken(error), None),
            Ok(response) => {
                let date =
                    response.headers().get(DATE).and_then(|date| jiff::fmt::rfc2822::parse(date.to_str().ok()?).ok());
                (read(response, identity).await, date.map(|date| date.timestamp().as_second()))
            }
        }
    }

    fn broken(&self, error: reqwest::Error) -> Outcome {
        let maybe_done = !error.is_connect() && !error.is_builder();
        let mut reason = chain(&error.without_url());
        if self.no_authorities && self.base.scheme() == "https" {
            reason.push_str("; this host has no CA certificates: install ca-certificates and restart clearmld");
        } else if reason.contains("certificate") {
            reason.push_str("; api.verify_certificate can name the certificate authorities that are to be trusted");
        }
        Outcome::Later { reason, maybe_done, wait: None }
    }
}

fn basic_builder(config: &ClientConfig, base: &Url) -> Result<reqwest::ClientBuilder, ClientError> {
    let refuse = |_| ClientError::Host { host: tame(&config.host) };
    let host = HeaderValue::from_str(&config.host).map_err(refuse)?;
    let program = concat!("clearmld-", env!("CARGO_PKG_VERSION"));
    let headers = HeaderMap::from_iter([
        (HeaderName::from_static("x-clearml-worker"), host),
        (HeaderName::from_static("x-clearml-client"), HeaderValue::from_static(program)),
        (ACCEPT, HeaderValue::from_static("application/json")),
    ]);
    let builder = reqwest::Client::builder()
        .default_headers(headers)
        .user_agent(concat!("clearmld/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .pool_idle_timeout(IDLE_CONNECTION)
        .redirect(redirect::Policy::none())
        .referer(false);
    let ours = matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    // No proxy can reach a server on our own loopback.
    Ok(if ours { builder.no_proxy() } else { builder })
}

async fn read(response: Response, identity: &Identity) -> Outcome {
    let status = response.status().as_u16();
    let header = |name| response.headers().get(&name).and_then(|value: &HeaderValue| value.to_str().ok());
    let wait = header(RETRY_AFTER).and_then(retry_after);
    let location = header(LOCATION).map(|text| identity.censor(text));
    let body = match body(response).await {
        Ok(body) => body,
        Err(outcome) => return outcome,
    };
    let envelope = serde_json::from_slice::<Value>(&body);
    let said = |envelope: &Value| envelope.pointer("/meta/result_msg").and_then(Value::as_str).map(str::to_owned);
    let message = match envelope.as_ref().ok().and_then(said) {
        Some(message) => identity.censor(&message),
        None => identity.censor(&String::from_utf8_lossy(&body[..body.len().min(200)])),
    };
    match status {
        200 => match envelope {
            Ok(envelope) => meaning(envelope, message),
            Err(error) => Outcome::Final(Failure::odd(format!(
                "it is no JSON ({error}); is api.api_server the API server, not the web UI?"
            ))),
        },
        300..=399 => Outcome::Final(Failure::odd(format!(
            "HTTP {status}, a redirection to {}; set api.api_server to where the API is",
            location.unwrap_or_default()
        ))),
        401 => Outcome::Final(Failure::Unauthorized { reason: message }),
        // These two say that nothing was done. Behind the others somebody may have done it.
        429 | 509 => Outcome::Later { reason: format!("HTTP {status} {message}"), maybe_done: false, wait },
        502..=504 => Outcome::Later { reason: format!("HTTP {status} {message}"), maybe_done: true, wait },
        code => Outcome::Final(Failure::Rejected { code, subcode: subcode(envelope.ok().as_ref()), message }),
    }
}

/// Of an answer with status 200. The server's status and `result_code` are always the same; a proxy may not know.
fn meaning(mut envelope: Value, message: String) -> Outcome {
    match envelope.pointer("/meta/result_code").and_then(Value::as_u64) {
        None | Some(200) => {}
        Some(401) => return Outcome::Final(Failure::Unauthorized { reason: message }),
        Some(code) => {
            let code = u16::try_from(code).unwrap_or(500);
            return Outcome::Final(Failure::Rejected { code, subcode: subcode(Some(&envelope)), message });
        }
    }
    match envelope.get_mut("data").map(Value::take) {
        Some(data @ Value::Object(_)) => Outcome::Done(data),
        _ => Outcome::Final(Failure::odd("it has no `data`; is api.api_server the API server?")),
    }
}

fn subcode(envelope: Option<&Value>) -> u32 {
    let subcode = envelope.and_then(|envelope| envelope.pointer("/meta/result_subcode")).and_then(Value::as_u64);
    subcode.and_then(|subcode| u32::try_from(subcode).ok()).unwrap_or(0)
}

async fn body(mut response: Response) -> Result<Vec<u8>, Outcome> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= MOST_BODY => body.extend_from_slice(&chunk),
            Ok(Some(_)) => {
                return Err(Outcome::Final(Failure::odd(format!("it is larger than {} MiB", MOST_BODY >> 20))));
            }
            Ok(None) => return Ok(body),
            Err(error) => {
                let reason = chain(&error.without_url());
                return Err(Outcome::Later { reason, maybe_done: true, wait: None });
            }
        }
    }
}

/// Retry-After: seconds or a date; cut to what is sane.
fn retry_after(text: &str) -> Option<Duration> {
    let asked = match text.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
            Duration::try_from(date.timestamp().duration_since(jiff::Timestamp::now())).unwrap_or_default()
        }
    };
    Some(asked.min(MOST_RETRY_AFTER))
}

/// What lies behind a reqwest error: its own text only says that sending failed.
fn chain(error: &reqwest::Error) -> String {
    let mut parts = Vec::new();
    let mut next = error.source();
    while let Some(source) = next {
        parts.push(source.to_string());
        next = source.source();
    }
    // The innermost ones tell; the rest is layers of the library.
    let parts = &parts[parts.len().saturating_sub(2)..];
    let text = if parts.is_empty() { error.to_string() } else { parts.join(": ") };
    let text = if error.is_timeout() { format!("it took too long ({text})") } else { text };
    tame(&text)
}
