//! The embedded server alone, for trials by hand: `cargo run --example local_server -- DIRECTORY [API [FILES]]`.
//!
//! Prints what a shell needs to talk to it (`eval` the output), then serves until it is interrupted.
#![expect(clippy::print_stdout, reason = "an example that is read by a shell")]

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

use clearmld::server::{self, ServerConfig};
use secrecy::ExposeSecret as _;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory: PathBuf = arguments.next().ok_or("name a directory")?.into();
    let api: SocketAddr = arguments.next().as_deref().unwrap_or("127.0.0.1:8008").parse()?;
    let files: SocketAddr = arguments.next().as_deref().unwrap_or("127.0.0.1:8081").parse()?;
    let server = server::start(ServerConfig { api, files, directory }).await?;
    println!("export CLEARML_API_HOST={}", server.api_url());
    println!("export CLEARML_WEB_HOST={}", server.web_url());
    println!("export CLEARML_FILES_HOST={}", server.files_url());
    println!("export CLEARML_API_ACCESS_KEY={}", server.credentials().access_key);
    println!("export CLEARML_API_SECRET_KEY={}", server.credentials().secret_key.expose_secret());
    tokio::signal::ctrl_c().await?;
    server.stop().await;
    Ok(())
}
