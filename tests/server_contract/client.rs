//! A server of one's own, and somebody who calls it.

use std::sync::Once;

use clearmld::server::{self, LocalServer, ServerConfig};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;

/// An answer: HTTP status, subcode, version that answered, message, data.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) meta: Value,
    pub(crate) data: Value,
}

impl Answer {
    /// The pair that clients go by.
    pub(crate) fn code(&self) -> (u16, u64) {
        (self.status, self.meta["result_subcode"].as_u64().expect("a subcode"))
    }
}

/// A server in a directory that goes with it.
pub(crate) struct Site {
    pub(crate) server: LocalServer,
    pub(crate) http: reqwest::Client,
    directory: TempDir,
}

impl Site {
    pub(crate) async fn new() -> Self {
        Self::at(tempfile::tempdir().expect("a directory")).await
    }

    async fn at(directory: TempDir) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            rustls::crypto::ring::default_provider().install_default().expect("the first provider");
        });
        let any = || "127.0.0.1:0".parse().expect("an address");
        let config = ServerConfig { api: any(), files: any(), directory: directory.path().join("server") };
        let server = server::start(config).await.expect("started");
        Self { server, http: reqwest::Client::new(), directory }
    }

    /// The same directory, another process as it were.
    pub(crate) async fn restart(self) -> Self {
        self.server.stop().await;
        Self::at(self.directory).await
    }

    /// A request with the key pair; the caller may change it before it is sent.
    pub(crate) fn request(&self, path: &str) -> reqwest::RequestBuilder {
        let credentials = self.server.credentials();
        self.http
            .post(format!("{}/{path}", self.server.api_url()))
            .basic_auth(&credentials.access_key, Some(credentials.secret_key.expose_secret()))
    }

    pub(crate) async fn call(&self, path: &str, body: Value) -> Answer {
        answer(self.request(path).json(&body)).await.expect("an answer")
    }

    /// The data of a call that must succeed.
    pub(crate) async fn ok(&self, path: &str, body: Value) -> Value {
        let answer = self.call(path, body).await;
        assert_eq!(answer.code(), (200, 0), "{path}: {}", answer.meta);
        answer.data
    }

    pub(crate) async fn task(&self, name: &str) -> String {
        let made =
            self.ok("tasks.create", json!({"name": name, "type": "training", "script": {"entry_point": "a.py"}}));
        made.await["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn default_queue(&self) -> String {
        self.ok("queues.get_default", json!({})).await["id"].as_str().expect("an id").to_owned()
    }
}

/// Sends a request and reads the envelope.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let mut envelope: Value = response.json().await?;
    assert_eq!(envelope["meta"]["result_code"], status, "the envelope repeats the status");
    Ok(Answer { status, meta: envelope["meta"].take(), data: envelope["data"].take() })
}
