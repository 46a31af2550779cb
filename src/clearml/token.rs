//! A token of the server: a JWT whose payload is read, never verified. The server checks it; we only want to know how
//! long it lives and whom we talk to.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::time::Instant;

use super::config::is_token;
use super::failure::Failure;

/// As clearml-agent: a token is renewed when less than 12 hours of it are left ...
const RENEW_BEFORE: Duration = Duration::from_hours(12);
/// ... or a quarter of its life, so that a short-lived one is not renewed before every call.
const RENEW_BEFORE_SHARE: u32 = 4;
/// A token is used for at least so long, whatever it says of its life: a server's broken clock makes no login storm.
const LEAST_USE: Duration = Duration::from_secs(30);
/// Longer lives are cut to this; the server's own limit is a year.
const MOST_LIFE: u64 = 366 * 24 * 3600;

/// A bearer token and what it says of itself.
pub(super) struct Token {
    pub(super) secret: SecretString,
    /// When a new one should be fetched; none for a token that lives for ever.
    pub(super) renew_at: Option<Instant>,
    /// When it is dead.
    pub(super) dead_at: Option<Instant>,
    pub(super) api_version: Option<String>,
    pub(super) server_version: Option<String>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("api_version", &self.api_version).finish_non_exhaustive()
    }
}

impl Token {
    /// Reads the answer of `auth.login` that came at `now`; `unix_s` is the wall clock of that moment. The life is
    /// counted from `iat` where there is one, so that our clock need not agree with the server's.
    pub(super) fn from_login(answer: &Value, now: Instant, unix_s: u64) -> Result<Self, Failure> {
        let text = answer.get("token").and_then(Value::as_str).filter(|text| is_token(text));
        let text = text.ok_or_else(|| Failure::odd("the answer of auth.login has no token"))?;
        let claims = claims(text).unwrap_or(Value::Null);
        let seconds = |name: &str| claims.get(name).and_then(Value::as_f64).filter(|s| *s >= 0.0).map(|s| s as u64);
        let begun = seconds("iat").unwrap_or(unix_s);
        let life = seconds("exp").map(|end| Duration::from_secs(end.saturating_sub(begun).min(MOST_LIFE)));
        let version = |name: &str| {
            let text = claims.get(name)?.as_str()?;
            let plain = text.len() <= 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b));
            (plain && !text.is_empty()).then(|| text.to_owned())
        };
        Ok(Self {
            secret: SecretString::from(text.to_owned()),
            renew_at: life.map(|life| now + life.saturating_sub(margin(life)).max(LEAST_USE)),
            dead_at: life.map(|life| now + life.max(LEAST_USE)),
            api_version: version("api_version"),
            server_version: version("server_version"),
        })
    }

    pub(super) fn is_dead(&self, now: Instant) -> bool {
        self.dead_at.is_some_and(|at| now >= at)
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.renew_at.is_some_and(|at| now >= at)
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        self.secret.expose_secret() == other.secret.expose_secret()
    }
}

fn margin(life: Duration) -> Duration {
    RENEW_BEFORE.min(life / RENEW_BEFORE_SHARE)
}

fn claims(jwt: &str) -> Option<Value> {
    let payload = jwt.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn jwt(claims: &Value) -> Value {
        json!({ "token": format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims.to_string())) })
    }

    fn life(claims: &Value, unix_s: u64) -> (Option<u64>, Option<u64>) {
        let now = Instant::now();
        let token = Token::from_login(&jwt(claims), now, unix_s).expect("a token");
        (token.renew_at.map(|at| (at - now).as_secs()), token.dead_at.map(|at| (at - now).as_secs()))
    }

    #[test]
    fn a_month_is_renewed_twelve_hours_before_its_end_and_an_hour_at_three_quarters() {
        assert_eq!(life(&json!({"iat": 1000, "exp": 1000 + 2_592_000}), 5), (Some(2_548_800), Some(2_592_000)));
        assert_eq!(life(&json!({"iat": 1000, "exp": 4600}), 5), (Some(2700), Some(3600)));
    }

    #[test]
    fn a_token_of_a_server_with_a_broken_clock_is_used_for_a_while_all_the_same() {
        assert_eq!(life(&json!({"iat": 9000, "exp": 4600}), 5), (Some(30), Some(30)));
        assert_eq!(life(&json!({"exp": 4600}), 1_000_000), (Some(30), Some(30)));
        assert_eq!(life(&json!({"exp": 1e300}), 0).1, Some(MOST_LIFE));
        assert_eq!(life(&json!({"exp": "soon"}), 0), (None, None));
    }

    #[test]
    fn what_is_no_token_is_refused_and_what_has_no_claims_is_used() {
        for answer in [json!({}), json!({"token": 7}), json!({"token": ""}), json!({"token": "a\nb"})] {
            assert!(Token::from_login(&answer, Instant::now(), 0).is_err(), "{answer}");
        }
        let plain = Token::from_login(&json!({"token": "opaque"}), Instant::now(), 0).expect("a token");
        assert!(!plain.is_due(Instant::now()) && plain.api_version.is_none());
    }
}
