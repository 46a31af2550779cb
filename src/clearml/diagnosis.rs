//! Whether the server can be reached, lets us in and has our time: asked now, once, without patience.

use async_trait::async_trait;
use serde_json::json;

use super::config::{ClientConfig, ClientCredentials, ClientError};
use super::failure::Failure;
use super::http::{Http, Identity, Outcome, Request};
use crate::domain::diagnosis::Finding;
use crate::engine::ports::Check;

const SERVER: &str = "server";
const CLOCK: &str = "clock";
/// The header has no fractions of a second, and the answer takes its time.
const NOTHING_S: i64 = 5;
/// Tokens that were made in the future, or have ended, are refused.
const TOO_MUCH_S: i64 = 120;
/// Of the login that is made for this.
const TOKEN_LIFE_S: u64 = 60;

/// See the module.
#[derive(Debug)]
pub struct ServerCheck {
    /// None where no server is configured.
    asked: Option<(Http, Identity, String)>,
}

impl ServerCheck {
    /// Of the server that the daemon works for.
    ///
    /// # Errors
    /// As [`Client::new`](super::Client::new).
    pub fn new(config: Option<&ClientConfig>) -> Result<Self, ClientError> {
        let Some(config) = config else { return Ok(Self { asked: None }) };
        let identity = match &config.credentials {
            ClientCredentials::KeyPair { access_key, secret_key } => Identity::key_pair(access_key, secret_key),
            ClientCredentials::Token(token) => Identity::bearer(token),
        };
        Ok(Self { asked: Some((Http::new(config)?, identity, config.api_url.clone())) })
    }
}

#[async_trait]
impl Check for ServerCheck {
    fn name(&self) -> &'static str {
        SERVER
    }

    async fn look(&self) -> Vec<Finding> {
        let Some((http, identity, url)) = &self.asked else {
            let detail = "no ClearML server is configured: no task is taken";
            return vec![Finding::failed(
                SERVER,
                detail,
                "`clearmlctl init`, or put the credentials into clearml.conf",
            )];
        };
        let request = Request::json("auth.login", "", &json!({ "expiration_sec": TOKEN_LIFE_S }));
        let began = jiff::Timestamp::now();
        let (outcome, date) = http.exchange_dated(&request, identity).await;
        let half = jiff::Timestamp::now().duration_since(began) / 2;
        let skew = date.map(|date| (date - began.as_second()) - half.as_secs());
        let mut findings = vec![login(url, &outcome)];
        findings.extend(clock(skew));
        findings
    }
}

fn login(url: &str, outcome: &Outcome) -> Finding {
    const CREDENTIALS: &str =
        "make new credentials in the web UI (Settings > Workspace), and `clearmlctl init --force` with them";
    const ADDRESS: &str = "correct api.api_server in clearml.conf, and restart clearmld";
    match outcome {
        Outcome::Done(answer) if answer.get("token").is_some() => {
            Finding::ok(SERVER, format!("{url} answers, and the login is valid"))
        }
        Outcome::Done(_) => Finding::failed(SERVER, format!("{url} answers a login without a token"), ADDRESS),
        Outcome::Later { reason, .. } => Finding::failed(
            SERVER,
            format!("{url} cannot be reached: {reason}"),
            "look at the network and at the server; runs go on, and everything is delivered later",
        ),
        Outcome::Final(Failure::Unauthorized { reason }) => {
            Finding::failed(SERVER, format!("{url} refuses the credentials: {reason}"), CREDENTIALS)
        }
        Outcome::Final(Failure::Rejected { code, message, .. }) => {
            Finding::failed(SERVER, format!("{url} rejects the login with {code}: {message}"), CREDENTIALS)
        }
        Outcome::Final(Failure::Incomprehensible { reason } | Failure::Unreachable { reason, .. }) => {
            Finding::failed(SERVER, format!("{url} is answered by no ClearML server: {reason}"), ADDRESS)
        }
    }
}

/// `skew` is the server's time less ours, in seconds.
fn clock(skew: Option<i64>) -> Option<Finding> {
    let skew = skew?;
    let side = if skew > 0 { "behind" } else { "ahead of" };
    let detail = format!("this host's clock is {} s {side} the server's", skew.abs());
    let fix = "`timedatectl set-ntp true` here, or correct the server's clock";
    Some(if skew.abs() <= NOTHING_S {
        Finding::ok(CLOCK, "as the server's")
    } else if skew.abs() < TOO_MUCH_S {
        Finding::warning(CLOCK, detail, fix)
    } else {
        Finding::failed(CLOCK, format!("{detail}: tokens are refused, and logs are out of order"), fix)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::diagnosis::Verdict;

    #[test]
    fn the_clock_is_judged_by_its_distance_in_either_direction() {
        let verdict = |skew| clock(Some(skew)).map(|finding| finding.verdict);
        assert_eq!(clock(None), None);
        for skew in [0, 5, -5] {
            assert_eq!(verdict(skew), Some(Verdict::Ok));
        }
        assert_eq!(verdict(-30), Some(Verdict::Warning));
        assert_eq!(verdict(3600), Some(Verdict::Failed));
        assert!(clock(Some(3600)).expect("known").detail.contains("3600 s behind"));
        assert!(clock(Some(-3600)).expect("known").detail.contains("3600 s ahead of"));
    }

    #[test]
    fn a_login_fails_for_one_of_three_reasons_each_with_a_fix_of_its_own() {
        let refused = Outcome::Final(Failure::Unauthorized { reason: "invalid credentials".into() });
        let away = Outcome::Later { reason: "refused".into(), maybe_done: false, wait: None };
        let other = Outcome::Final(Failure::odd("it is no JSON"));
        let fixes: Vec<String> =
            [refused, away, other].iter().map(|outcome| login("http://x", outcome).fix.expect("a fix")).collect();
        assert!(fixes[0].contains("credentials") && fixes[1].contains("network") && fixes[2].contains("api_server"));
        assert_eq!(login("http://x", &Outcome::Done(json!({"token": "t"}))).verdict, Verdict::Ok);
    }
}
