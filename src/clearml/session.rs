//! Calls with patience and a token that is always fresh.
//!
//! One login at a time serves all callers: the gate is held by who logs in, the others wait for it and take what came,
//! token or failure. While a token still lives, its renewal delays nobody but the one who does it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep};

use super::config::{ClientConfig, ClientCredentials, ClientError};
use super::failure::Failure;
use super::http::{Http, Identity, Outcome, Request};
use super::patience::Patience;
use super::token::Token;
use crate::domain::ids::UnixMillis;
use crate::domain::notice::Notice;
use crate::engine::handle::ServerLink;

/// After a renewal that failed, while the old token still lives.
const RENEWAL_PAUSE: Duration = Duration::from_secs(60);
/// After a login that the server refused: wrong credentials seldom become right, and must not lock an account.
const REFUSAL_PAUSE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Session {
    http: Http,
    credentials: ClientCredentials,
    token_life_s: Option<u64>,
    token: watch::Sender<Option<Arc<Token>>>,
    gate: Mutex<Gate>,
    /// No request before this: the server's Retry-After, for all callers.
    not_before: watch::Sender<Option<Instant>>,
    link: watch::Sender<ServerLink>,
    /// Whether the last answer to our credentials was no.
    refused: AtomicBool,
}

/// What those who waited at the gate need to know.
#[derive(Debug, Default)]
struct Gate {
    failed: Option<(Instant, Failure)>,
}

impl Request {
    pub(super) fn json(name: &'static str, version: &'static str, parameters: &Value) -> Self {
        let body = parameters.to_string().into_bytes();
        Self { name, version, content_type: "application/json", body, repeatable: true }
    }

    /// For what must not happen twice.
    pub(super) fn once(mut self) -> Self {
        self.repeatable = false;
        self
    }
}

impl Session {
    pub(super) fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        config.check_credentials()?;
        Ok(Self {
            http: Http::new(config)?,
            credentials: config.credentials.clone(),
            token_life_s: config.request_token_expiration_s,
            token: watch::Sender::new(None),
            gate: Mutex::default(),
            not_before: watch::Sender::new(None),
            link: watch::Sender::new(ServerLink::Unknown),
            refused: AtomicBool::new(false),
        })
    }

    pub(super) fn link(&self) -> watch::Receiver<ServerLink> {
        self.link.subscribe()
    }

    pub(super) fn token_now(&self) -> Option<Arc<Token>> {
        self.token.borrow().clone()
    }

    /// Calls with our own token: a refused one is replaced once, and the call repeated with the new one.
    pub(super) async fn call(&self, request: &Request) -> Result<Value, Failure> {
        let result = self.call_as_ourselves(request).await;
        self.note(result.as_ref().err());
        result
    }

    /// Asks for what a server may lack: one try, and what comes of it says nothing of the link.
    pub(super) async fn ask(&self, request: &Request) -> Result<Value, Failure> {
        let token = self.fresh_token(None, &mut Patience::begin()).await?;
        self.persist(request, &Identity::bearer(&token.secret), &mut Patience::one_try()).await
    }

    /// A login, and nothing else.
    pub(super) async fn greet(&self) -> Result<(), Failure> {
        let result = self.fresh_token(None, &mut Patience::begin()).await.map(drop);
        self.note(result.as_ref().err());
        result
    }

    async fn call_as_ourselves(&self, request: &Request) -> Result<Value, Failure> {
        let mut patience = Patience::begin();
        let token = self.fresh_token(None, &mut patience).await?;
        match self.persist(request, &Identity::bearer(&token.secret), &mut patience).await {
            Err(Failure::Unauthorized { .. }) => {
                let token = self.fresh_token(Some(&token), &mut patience).await?;
                self.persist(request, &Identity::bearer(&token.secret), &mut patience).await
            }
            other => other,
        }
    }

    /// Calls with a token that is not ours.
    pub(super) async fn call_as(&self, request: &Request, token: &SecretString) -> Result<Value, Failure> {
        self.persist(request, &Identity::bearer(token), &mut Patience::begin()).await
    }

    /// A login of its own, whose token nobody else gets. `life_s` none is the server's default.
    pub(super) async fn separate_login(&self) -> Result<Token, Failure> {
        let result = self.separate_login_once().await;
        self.note(result.as_ref().err());
        result
    }

    async fn separate_login_once(&self) -> Result<Token, Failure> {
        let mut patience = Patience::begin();
        match &self.credentials {
            ClientCredentials::KeyPair { .. } => self.login(&self.login_identity(None), None, &mut patience).await,
            ClientCredentials::Token(_) => {
                let token = self.fresh_token(None, &mut patience).await?;
                self.login(&Identity::bearer(&token.secret), None, &mut patience).await
            }
        }
    }

    /// A token that is not `refused` and not about to die.
    async fn fresh_token(&self, refused: Option<&Token>, patience: &mut Patience) -> Result<Arc<Token>, Failure> {
        let usable =
            |token: &Arc<Token>| !refused.is_some_and(|refused| refused.same(token)) && !token.is_dead(Instant::now());
        let arrived = Instant::now();
        let current = self.token_now().filter(usable);
        let mut gate = match current {
            Some(token) if !token.is_due(arrived) => return Ok(token),
            Some(token) => match self.gate.try_lock() {
                Ok(gate) => gate,
                Err(_) => return Ok(token),
            },
            None => self.gate.lock().await,
        };
        // Whoever had the gate before may have brought what we need, or found that it cannot be had.
        let current = self.token_now().filter(usable);
        if let Some(token) = current.as_ref().filter(|token| !token.is_due(Instant::now())) {
            return Ok(token.clone());
        }
        if let Some((at, failure)) = &gate.failed {
            match &current {
                Some(token) if at.elapsed() < RENEWAL_PAUSE => return Ok(token.clone()),
                None if *at >= arrived => return Err(failure.clone()),
                None if failure.is_answer() && at.elapsed() < REFUSAL_PAUSE => return Err(failure.clone()),
                _ => {}
            }
        }
        match self.login(&self.login_identity(current.as_deref()), self.token_life_s, patience).await {
            Ok(token) => {
                gate.failed = None;
                let token = Arc::new(token);
                self.token.send_replace(Some(token.clone()));
                Ok(token)
            }
            Err(failure) => {
                gate.failed = Some((Instant::now(), failure.clone()));
                current.ok_or(failure)
            }
        }
    }

    /// How we log in: by key pair, or by the newest token that still lives, or by the one we were given.
    fn login_identity(&self, newest: Option<&Token>) -> Identity {
        match (&self.credentials, newest) {
            (ClientCredentials::KeyPair { access_key, secret_key }, _) => Identity::key_pair(access_key, secret_key),
            (ClientCredentials::Token(_), Some(newest)) => Identity::bearer(&newest.secret),
            (ClientCredentials::Token(given), None) => Identity::bearer(given),
        }
    }

    async fn login(&self, identity: &Identity, life_s: Option<u64>, patience: &mut Patience) -> Result<Token, Failure> {
        let parameters = life_s.map_or_else(|| json!({}), |life| json!({ "expiration_sec": life }));
        let request = Request::json("auth.login", "", &parameters);
        let answer = self.persist(&request, identity, patience).await.map_err(as_login)?;
        let unix_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Token::from_login(&answer, Instant::now(), unix_s)
    }

    /// Repeats what failed for a while, as long as repeating is safe and patience lasts.
    async fn persist(&self, request: &Request, identity: &Identity, patience: &mut Patience) -> Result<Value, Failure> {
        let mut maybe_done = false;
        let mut reason;
        loop {
            if let Some(at) = self.held_back() {
                let left = at.saturating_duration_since(Instant::now()).as_secs();
                reason = format!("it asked for a pause, of which {left} s are left");
            } else {
                match self.http.exchange(request, identity).await {
                    Outcome::Done(answer) => return Ok(answer),
                    Outcome::Final(failure) => return Err(failure),
                    Outcome::Later { reason: what, maybe_done: maybe, wait } => {
                        tracing::debug!(call = request.name, reason = %what, "the server is not reached");
                        maybe_done |= maybe;
                        reason = what;
                        if let Some(wait) = wait {
                            self.not_before.send_replace(Some(Instant::now() + wait));
                        }
                    }
                }
            }
            let pause = patience.next(self.held_back(), fastrand::f64());
            match pause.filter(|_| request.repeatable || !maybe_done) {
                Some(pause) => sleep(pause).await,
                None => {
                    let reason = format!("{reason} ({})", patience.spent());
                    return Err(Failure::Unreachable { reason, maybe_done });
                }
            }
        }
    }

    /// Until when the server wants no requests, if that is still to come.
    fn held_back(&self) -> Option<Instant> {
        self.not_before.borrow().filter(|at| *at > Instant::now())
    }

    /// Whether the server could be reached, for `status`. That it says no to something is an answer, too.
    fn note(&self, failure: Option<&Failure>) {
        self.note_refusal(failure);
        let reason = match failure {
            None | Some(Failure::Rejected { .. }) => None,
            Some(Failure::Unreachable { reason, .. }) => Some(reason.clone()),
            Some(Failure::Unauthorized { reason }) => {
                Some(format!("it refuses the credentials: {reason}; give it others with `clearmlctl init --force`"))
            }
            Some(Failure::Incomprehensible { reason }) => Some(format!("its answer is not understood: {reason}")),
        };
        let unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let now = UnixMillis(u64::try_from(unix_ms).unwrap_or(u64::MAX));
        let refused = matches!(failure, Some(Failure::Unauthorized { .. }));
        self.link.send_if_modified(|link| {
            let next = match (&*link, reason) {
                (ServerLink::Up { since }, None) => ServerLink::Up { since: *since },
                (ServerLink::Down { since, .. }, Some(reason)) => ServerLink::Down { since: *since, reason, refused },
                (_, None) => ServerLink::Up { since: now },
                (_, Some(reason)) => ServerLink::Down { since: now, reason, refused },
            };
            let changed = *link != next;
            *link = next;
            changed
        });
    }
}

impl Session {
    /// Says once that the credentials are refused, until they are accepted again.
    fn note_refusal(&self, failure: Option<&Failure>) {
        match failure {
            None | Some(Failure::Rejected { .. }) => self.refused.store(false, Ordering::Relaxed),
            Some(Failure::Unauthorized { reason }) => {
                if !self.refused.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        MESSAGE_ID = Notice::LoginRefused.id(),
                        reason,
                        "login_refused: the ClearML server refuses the credentials"
                    );
                }
            }
            Some(Failure::Unreachable { .. } | Failure::Incomprehensible { .. }) => {}
        }
    }
}

/// A failed login has carried out nothing of the call that needed it.
fn as_login(failure: Failure) -> Failure {
    match failure {
        Failure::Unreachable { reason, .. } => {
            Failure::Unreachable { reason: format!("logging in: {reason}"), maybe_done: false }
        }
        Failure::Rejected { code, subcode, message } => {
            Failure::Rejected { code, subcode, message: format!("logging in: {message}") }
        }
        Failure::Incomprehensible { reason } => Failure::odd(format!("logging in: {reason}")),
        unauthorized @ Failure::Unauthorized { .. } => unauthorized,
    }
}
