//! Against a scripted server on loopback.

mod calls;
mod desk;
mod scripted;
mod session;

use std::time::Duration;

use super::{Client, ClientConfig, ClientCredentials, Verify};
use scripted::Scripted;

const SECRET: &str = "s3cret-half-of-the-pair";

fn config(url: &str) -> ClientConfig {
    ClientConfig {
        api_url: url.to_owned(),
        web_url: String::from("http://web/"),
        files_url: String::new(),
        credentials: ClientCredentials::KeyPair { access_key: "ACCESS".into(), secret_key: SECRET.into() },
        verify: Verify::Yes,
        host: "testhost".into(),
        request_token_expiration_s: None,
    }
}

fn client(server: &Scripted) -> Client {
    Client::new(config(&server.url())).expect("a client")
}

/// Fails instead of hanging; in paused time this is time that only passes when nothing else can happen.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(3600), future).await.expect("it ends")
}
