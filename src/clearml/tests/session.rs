#![expect(clippy::disallowed_methods, reason = "tests own their tasks until they end")]
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::time::{Instant, advance};

use super::scripted::{Reply, Scripted, Seen, ok, refuse, token};
use super::*;
use crate::domain::ids::{QueueId, TaskId};
use crate::engine::handle::ServerLink;
use crate::engine::ports::{ClearMl, ServerError};

const MONTH: u64 = 30 * 24 * 3600;

fn task() -> TaskId {
    TaskId::new("0123456789abcdef0123456789abcdef").expect("an id")
}

fn queue() -> QueueId {
    QueueId::new("q1").expect("an id")
}

/// Answers with these codes in turn, then with success.
fn faults(codes: &'static [u16], headers: &'static str) -> impl FnMut(&Seen) -> Option<Reply> + Send + 'static {
    let mut codes = codes.iter();
    move |_| match codes.next() {
        Some(code) => Some(Reply(*code, headers.to_owned(), "<html>busy</html>".into())),
        None => ok(&json!({})),
    }
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_and_the_call_repeated_with_the_new_one() {
    let first = token(0, MONTH);
    let server = Scripted::with_login(MONTH, move |seen| {
        if seen.authorization.ends_with(&first) { refuse(401, 30, "expired") } else { ok(&json!({})) }
    })
    .await;
    client(&server).ping(&task()).await.expect("the ping");
    assert_eq!(server.paths(), ["/auth.login", "/v2.13/tasks.ping", "/auth.login", "/v2.13/tasks.ping"]);
    assert_eq!(server.seen()[3].authorization, format!("Bearer {}", token(1, MONTH)));
}

#[tokio::test]
async fn a_server_that_refuses_every_token_is_asked_twice_and_no_more() {
    let server = Scripted::with_login(MONTH, |_| refuse(401, 30, "no")).await;
    let client = client(&server);
    let error = client.ping(&task()).await.expect_err("refused");
    assert!(matches!(error, ServerError::Unauthorized { .. }), "{error}");
    assert_eq!(server.paths().len(), 4);
    assert!(matches!(*client.link().borrow(), ServerLink::Down { .. }));
}

#[tokio::test(start_paused = true)]
async fn wrong_credentials_are_told_after_one_login_and_not_tried_again_at_once() {
    let server = Scripted::start(|_| refuse(401, 22, "invalid credentials")).await;
    let client = client(&server);
    for _ in 0..3 {
        let error = soon(client.ping(&task())).await.expect_err("refused");
        assert!(error.to_string().contains("invalid credentials"), "{error}");
    }
    assert_eq!(server.paths(), ["/auth.login"]);
    advance(Duration::from_secs(11)).await;
    soon(client.ping(&task())).await.expect_err("refused");
    assert_eq!(server.paths(), ["/auth.login", "/auth.login"]);
}

#[tokio::test]
async fn twenty_first_calls_at_once_log_in_once() {
    let server = Scripted::with_login(MONTH, |_| ok(&json!({}))).await;
    let client = client(&server);
    let calls = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.ping(&task()).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("no panic").expect("the ping");
    }
    assert_eq!(server.count("/auth.login"), 1);
    assert_eq!(server.count("/v2.13/tasks.ping"), 20);
}

#[tokio::test(start_paused = true)]
async fn twenty_calls_that_wait_for_the_same_failed_login_share_its_failure() {
    let server = Scripted::start(|_| refuse(503, 0, "maintenance")).await;
    let (client, task) = (client(&server), task());
    let calls: Vec<_> = (0..20).map(|_| client.ping(&task)).collect();
    for result in soon(futures_util::future::join_all(calls)).await {
        let error = result.expect_err("no login");
        assert!(matches!(error, ServerError::Unreachable { maybe_done: false, .. }), "{error:?}");
    }
    assert_eq!(server.count("/auth.login"), 5, "the tries of one caller");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_it_ends_and_an_old_one_stays_in_use_when_that_fails() {
    let logins = std::sync::Arc::new(AtomicUsize::new(0));
    let count = logins.clone();
    let server = Scripted::start(move |seen| match seen.path.as_str() {
        "/auth.login" => match count.fetch_add(1, Ordering::SeqCst) {
            1 => refuse(500, 0, "broken"),
            number => ok(&json!({ "token": token(number, 3600) })),
        },
        _ => ok(&json!({})),
    })
    .await;
    let client = client(&server);
    let used = || server.seen().last().map(|seen| seen.authorization.clone()).unwrap_or_default();

    soon(client.ping(&task())).await.expect("the ping");
    advance(Duration::from_secs(2600)).await;
    soon(client.ping(&task())).await.expect("the ping");
    assert_eq!(server.count("/auth.login"), 1, "three quarters of an hour have not passed");

    advance(Duration::from_secs(150)).await;
    soon(client.ping(&task())).await.expect("the old token still lives");
    soon(client.ping(&task())).await.expect("the old token still lives");
    assert_eq!(server.count("/auth.login"), 2, "a failed renewal is not repeated at once");
    assert!(used().ends_with(&token(0, 3600)));

    advance(Duration::from_secs(61)).await;
    soon(client.ping(&task())).await.expect("the ping");
    assert_eq!(server.count("/auth.login"), 3);
    assert!(used().ends_with(&token(2, 3600)));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_busy_for_a_while_is_asked_again() {
    for codes in [&[503, 503], &[502, 504], &[429, 509]] {
        let server = Scripted::with_login(MONTH, faults(codes, "")).await;
        soon(client(&server).ping(&task())).await.expect("the third try");
        assert_eq!(server.count("/v2.13/tasks.ping"), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_busy_is_given_up_after_five_tries() {
    let server = Scripted::with_login(MONTH, faults(&[503; 100], "")).await;
    let client = client(&server);
    let began = Instant::now();
    let error = soon(client.ping(&task())).await.expect_err("busy");
    assert!(matches!(error, ServerError::Unreachable { maybe_done: true, .. }), "{error}");
    assert!(error.retryable() && error.to_string().contains("5 tries"), "{error}");
    assert_eq!(server.count("/v2.13/tasks.ping"), 5);
    assert!(began.elapsed() <= Duration::from_secs(60));
    let ServerLink::Down { reason, .. } = client.link().borrow().clone() else { panic!("it is down") };
    assert!(reason.contains("503"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_by_this_call_and_by_those_after_it() {
    let server = Scripted::with_login(MONTH, faults(&[429], "Retry-After: 20\r\n")).await;
    let began = Instant::now();
    soon(client(&server).ping(&task())).await.expect("the second try");
    assert!(began.elapsed() >= Duration::from_secs(20), "{:?}", began.elapsed());

    let server = Scripted::with_login(MONTH, faults(&[503], "Retry-After: 200\r\n")).await;
    let client = client(&server);
    soon(client.ping(&task())).await.expect_err("longer than a call may take");
    soon(client.ping(&task())).await.expect_err("still to come");
    assert_eq!(server.count("/v2.13/tasks.ping"), 1);
    advance(Duration::from_secs(200)).await;
    soon(client.ping(&task())).await.expect("the time has come");
}

#[tokio::test(start_paused = true)]
async fn nobody_at_the_port_is_unreachable_and_surely_not_done() {
    let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", closed.local_addr().expect("an address"));
    drop(closed);
    let client = Client::new(config(&url)).expect("a client");
    let began = Instant::now();
    let error = soon(client.ping(&task())).await.expect_err("nobody is there");
    assert!(matches!(error, ServerError::Unreachable { maybe_done: false, .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
    assert!(began.elapsed() <= Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_pop_whose_answer_is_lost_is_not_repeated() {
    let server = Scripted::with_login(MONTH, |_| None).await;
    let error = soon(client(&server).pop(&queue(), &task())).await.expect_err("no answer");
    assert!(matches!(error, ServerError::Unreachable { maybe_done: true, .. }), "{error:?}");
    assert_eq!(server.count("/v2.13/queues.get_next_task"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pop_that_was_turned_away_is_repeated() {
    let server = Scripted::with_login(MONTH, faults(&[429], "")).await;
    assert_eq!(soon(client(&server).pop(&queue(), &task())).await.expect("an answer"), None);
    assert_eq!(server.count("/v2.13/queues.get_next_task"), 2);
}

#[tokio::test]
async fn a_token_alone_logs_in_as_bearer_and_a_payload_gets_another() {
    let server = Scripted::with_login(MONTH, |_| ok(&json!({}))).await;
    let credentials = ClientCredentials::Token("given-token".into());
    let client = Client::new(ClientConfig { credentials, ..config(&server.url()) }).expect("a client");
    client.ping(&task()).await.expect("the ping");
    assert_eq!(server.seen()[0].authorization, "Bearer given-token");
    let payload = client.payload_token().await.expect("a token");
    assert_eq!(server.seen()[2].authorization, format!("Bearer {}", token(0, MONTH)));
    client.revoke(&payload).await.expect("the logout");
    let logout = server.seen().pop().expect("a request");
    assert_eq!((logout.path.as_str(), logout.authorization), ("/auth.logout", format!("Bearer {}", token(1, MONTH))));
}

#[tokio::test]
async fn a_key_pair_logs_in_as_basic_with_the_life_that_is_configured_but_not_for_payloads() {
    let server = Scripted::with_login(MONTH, |_| ok(&json!({}))).await;
    let client = Client::new(ClientConfig { request_token_expiration_s: Some(60), ..config(&server.url()) });
    let client = client.expect("a client");
    client.ping(&task()).await.expect("the ping");
    client.payload_token().await.expect("a token");
    let seen = server.seen();
    assert!(seen[0].authorization.starts_with("Basic ") && seen[2].authorization == seen[0].authorization);
    assert_eq!((seen[0].json(), seen[2].json()), (json!({ "expiration_sec": 60 }), json!({})));
    assert!(seen[0].head.to_ascii_lowercase().contains("x-clearml-worker: testhost"));
    assert_eq!(client.identity().api_version.as_deref(), Some("2.31"));
}

#[tokio::test]
async fn no_secret_is_shown_by_debug_or_by_an_error_even_if_the_server_echoes_it() {
    let server = Scripted::start(|seen| refuse(400, 7, &format!("bad {} {SECRET}", seen.authorization))).await;
    let config = config(&server.url());
    let client = Client::new(config.clone()).expect("a client");
    let error = client.ping(&task()).await.expect_err("refused");
    let basic = server.seen()[0].authorization["Basic ".len()..].to_owned();
    for text in [format!("{config:?}"), format!("{client:?}"), format!("{error:?}"), error.to_string()] {
        assert!(!text.contains(SECRET) && !text.contains(&basic), "{text}");
    }
    let url = "http://user:pass-word@127.0.0.1";
    let error = Client::new(ClientConfig { api_url: url.into(), ..config }).expect_err("a password in the URL");
    assert!(!error.to_string().contains("pass-word"), "{error}");
}

#[tokio::test]
async fn a_client_is_made_without_network_and_bad_configuration_is_named() {
    let https = Client::new(config("https://api.example.invalid/prefix/"));
    assert_eq!(https.expect("a client").identity().api_url, "https://api.example.invalid/prefix");
    for url in ["", "api.example.com", "ftp://x", "http://x?y=z"] {
        let error = Client::new(config(url)).expect_err(url).to_string();
        assert!(error.contains("api.api_server"), "{error}");
    }
    let verify = Verify::CaFile("/nowhere/ca.pem".into());
    let error = Client::new(ClientConfig { verify, ..config("https://x") }).expect_err("no file").to_string();
    assert!(error.contains("/nowhere/ca.pem"), "{error}");
}
