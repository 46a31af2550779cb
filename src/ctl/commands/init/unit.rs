//! clearmld.service: enabled, and started anew. Runs are units of their own, which this leaves alone.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, sleep};
use tonic::transport::Channel;

use super::super::LARGEST_ANSWER;
use crate::ctl::connection;
use crate::ctl::console::Console;
use crate::ctl::failure::{self, Failure};
use crate::rpc::v1;

const UNIT: &str = "clearmld.service";
/// For the first login after the start; the daemon itself goes on trying.
const LINK_PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(200);

/// Whether there is a systemd to start it. Asked before anything is written.
pub(super) fn possible() -> Result<(), Failure> {
    if Path::new("/run/systemd/system").is_dir() {
        return Ok(());
    }
    Err(Failure::Setup {
        what: "this host does not run systemd, which init would have start clearmld".to_owned(),
        next: "put the credentials block into /etc/clearmld/clearml.conf, mode 0600, and start clearmld yourself"
            .to_owned(),
        code: failure::FAILED,
    })
}

/// Has systemd read the drop-in, and starts the unit with it, now and at each boot.
pub(super) async fn apply(changed: bool) -> Result<(), Failure> {
    if changed {
        systemctl(&["daemon-reload"]).await?;
    }
    systemctl(&["enable", "--quiet", UNIT]).await?;
    systemctl(&[if changed { "restart" } else { "start" }, UNIT]).await
}

async fn systemctl(arguments: &[&str]) -> Result<(), Failure> {
    let said = Command::new("systemctl").args(arguments).stdin(std::process::Stdio::null()).output().await;
    let why = match said {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default().trim().to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Failure::Setup {
        what: format!("`systemctl {}` failed: {why}", arguments.join(" ")),
        next: "what was given is stored; `journalctl -u clearmld -n 20` says what is wrong, then `systemctl restart clearmld`"
            .to_owned(),
        code: failure::NOT_RUNNING,
    })
}

/// The daemon, once the server has let it in.
pub(super) async fn until_it_serves(
    socket: Option<&Path>,
    api_url: Option<&str>,
    console: &Console,
) -> Result<Channel, Failure> {
    let channel = connection::connect(socket).await?;
    let mut client = v1::host_client::HostClient::new(channel.clone()).max_decoding_message_size(LARGEST_ANSWER);
    let until = Instant::now() + LINK_PATIENCE;
    loop {
        let status = client.get_status(v1::GetStatusRequest {}).await?.into_inner();
        let server = status.server.unwrap_or_default();
        if let Some(stored) = api_url.filter(|stored| *stored != server.api_url) {
            return Err(not_heeded(stored, &server.api_url, &status.remarks));
        }
        match server.link() {
            v1::Link::Up => {
                console.say(&format!("clearmld is up, and works for {}", server.api_url));
                return Ok(channel);
            }
            v1::Link::Unknown | v1::Link::Unspecified | v1::Link::Down if Instant::now() < until => sleep(LOOK).await,
            v1::Link::Unknown | v1::Link::Unspecified | v1::Link::Down => {
                return Err(no_link(&server));
            }
        }
    }
}

fn not_heeded(stored: &str, used: &str, remarks: &[String]) -> Failure {
    let what = match (used, remarks.first()) {
        ("", Some(remark)) => format!("clearmld does not use {stored}: {remark}"),
        ("", None) => format!("clearmld does not use {stored}, but no server at all"),
        (used, _) => format!("clearmld does not use {stored}, but {used}"),
    };
    Failure::Setup {
        what,
        next:
            "look for --local, CLEARML_API_HOST and the like in `systemctl cat clearmld`, which win over what is stored"
                .to_owned(),
        code: failure::CONFLICT,
    }
}

fn no_link(server: &v1::Server) -> Failure {
    let reason = server.reason.as_deref().unwrap_or("it has not answered yet");
    let address = if server.api_url.is_empty() { "a server (none is configured)" } else { &server.api_url };
    Failure::Setup {
        what: format!("clearmld is up, but cannot work for {address}: {reason}"),
        next: "it goes on trying: look at `clearmlctl status`; `clearmlctl init --force` gives it another server or key pair"
            .to_owned(),
        code: failure::FAILED,
    }
}
