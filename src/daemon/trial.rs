//! `clearmld --check-credentials`: what `clearmlctl init` asks before it stores anything. A JSON document comes in on
//! stdin and one goes out on stdout; neither is an argument, since both hold the secret.

use std::io::Read as _;

use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::plan;
use crate::clearml::{Account, ClientConfig, TrialError, try_login};
use crate::config::block::{self, Beside};
use crate::config::{ConfigErrors, ServerConfig};

/// More than any clearml.conf has.
const MOST: u64 = 1 << 20;

/// What is asked.
#[derive(Deserialize)]
struct Asked {
    /// The credentials block.
    block: String,
    api_server: Option<String>,
    web_server: Option<String>,
    files_server: Option<String>,
    /// A file of certificate authorities.
    ca_file: Option<String>,
}

/// Why there is nothing to store.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("cannot read what is asked: {0}")]
    Asked(String),
    #[error("{0}")]
    Block(#[from] ConfigErrors),
    #[error("{0}")]
    Login(#[from] TrialError),
}

impl Fault {
    fn next(&self) -> String {
        match self {
            Self::Asked(_) => "call `clearmlctl init`, which asks in the right form".to_owned(),
            Self::Block(_) => {
                "copy the block from the web UI (Settings > Workspace > Create new credentials); an address \
                               that is not in it goes into --api-server"
                    .to_owned()
            }
            Self::Login(error) => error.next(),
        }
    }
}

/// Reads stdin, logs in, and answers: `api_url`, `web_url`, `files_url`, `user`, `server_version` and the `document` to
/// store; or `error` and `next`. The second is whether it went well.
pub async fn check_credentials(input: std::io::Stdin) -> (Value, bool) {
    match checked(input).await {
        Ok(answer) => (answer, true),
        Err(fault) => (json!({ "error": fault.to_string(), "next": fault.next() }), false),
    }
}

async fn checked(input: std::io::Stdin) -> Result<Value, Fault> {
    let mut text = String::new();
    let unread = |error: &dyn std::fmt::Display| Fault::Asked(error.to_string());
    input.lock().take(MOST).read_to_string(&mut text).map_err(|error| unread(&error))?;
    // serde_json's own words could quote the text, which holds the secret.
    let asked: Asked = serde_json::from_str(&text).map_err(|_| unread(&"it is no JSON document of the right form"))?;
    let beside = Beside {
        api_server: asked.api_server,
        web_server: asked.web_server,
        files_server: asked.files_server,
        verify_certificate: asked.ca_file,
    };
    let server = block::read(&asked.block, &beside)?;
    let document = block::document(&server);
    let config = client(server);
    let Account { user, server_version } = try_login(&config).await?;
    Ok(json!({
        "api_url": config.api_url, "web_url": config.web_url, "files_url": config.files_url,
        "user": user, "server_version": server_version, "document": document.expose_secret(),
    }))
}

fn client(server: ServerConfig) -> ClientConfig {
    let verify = plan::verify(&server.verify.value);
    let (addresses, credentials) = plan::addressed(server);
    ClientConfig {
        api_url: addresses.api,
        web_url: addresses.web,
        files_url: addresses.files,
        credentials,
        verify,
        host: "clearmlctl-init".to_owned(),
        request_token_expiration_s: None,
    }
}
