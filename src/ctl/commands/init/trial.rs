//! Asks the clearmld program, not the service, to log in with what was given: it knows the block's format and the
//! server, and need not run for it. Nothing secret is an argument.

use std::path::PathBuf;
use std::process::Stdio;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::ctl::args::init::Init;
use crate::ctl::failure::{self, Failure};

/// What may be stored.
#[derive(Debug)]
pub(super) struct Approved {
    pub(super) api_url: String,
    /// Whom the server knows by the key pair.
    pub(super) user: Option<String>,
    pub(super) server_version: Option<String>,
    pub(super) document: SecretString,
}

pub(super) async fn run(asked: &Init, block: SecretString) -> Result<Approved, Failure> {
    let program = program();
    let unusable = |why: &dyn std::fmt::Display| Failure::Setup {
        what: format!("{} cannot try the credentials: {why}", program.display()),
        next: "install clearmld and clearmlctl of the same version".to_owned(),
        code: failure::FAILED,
    };
    let ca_file = asked.ca_file.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    let question = json!({
        "block": block.expose_secret(), "api_server": asked.api_server, "web_server": asked.web_server,
        "files_server": asked.files_server, "ca_file": ca_file,
    });
    let mut command = Command::new(&program);
    command.arg("--check-credentials").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().map_err(|error| unusable(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(question.to_string().as_bytes()).await.map_err(|error| unusable(&error))?;
    }
    let output = child.wait_with_output().await.map_err(|error| unusable(&error))?;
    let answer: Value = serde_json::from_slice(&output.stdout).map_err(|_| unusable(&"it gives no answer"))?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    match (text("error"), text("api_url"), text("document")) {
        (None, Some(api_url), Some(document)) => Ok(Approved {
            api_url,
            user: text("user"),
            server_version: text("server_version"),
            document: SecretString::from(document),
        }),
        (Some(what), _, _) => {
            Err(Failure::Setup { what, next: text("next").unwrap_or_default(), code: failure::FAILED })
        }
        (None, _, _) => Err(unusable(&"its answer is not understood")),
    }
}

/// Beside us (a build), else where packages put it.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name("clearmld"));
    beside.filter(|path| path.is_file()).unwrap_or_else(|| PathBuf::from("/usr/bin/clearmld"))
}
