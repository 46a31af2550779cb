//! The client of the ClearML server: HTTP, sessions and the shapes of its answers.
//!
//! From the outside in: [`Client`] is what the engine (`port`) and people (`desk`) call; `queues`, `tasks`, `workers`
//! and `events` know the calls and read the answers through `shape`; `session` keeps one fresh token for all and
//! repeats what may be repeated, as long as `patience` lasts; `trial` logs in once with what is not used yet; `http` does one exchange and says what its answer means.
//!
//! Two rules hold everywhere. What the server sends is hostile until read: bounded in size, ids checked, a missing list
//! never taken for an empty one. And what may have happened is told: a call that must not happen twice is not
//! repeated after a failure that leaves this open ([`ServerError::Unreachable`]'s `maybe_done`).
//!
//! [`ServerError::Unreachable`]: crate::engine::ports::ServerError::Unreachable

mod absent;
mod config;
mod desk;
mod diagnosis;
mod events;
mod failure;
mod http;
mod patience;
mod port;
mod queues;
mod session;
mod shape;
mod tasks;
#[cfg(test)]
mod tests;
mod token;
mod trial;
mod workers;

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Duration, sleep};

pub use absent::Absent;
pub use config::{ClientConfig, ClientCredentials, ClientError, Verify};
pub use diagnosis::ServerCheck;
pub use trial::{Account, TrialError, try_login};

use crate::engine::handle::ServerLink;
use crate::engine::ports::ServerIdentity;
use session::Session;

/// Between two greetings of a server that does not let us in.
const GREETING_PAUSE: Duration = Duration::from_secs(60);

/// A session with the server; clones share it.
#[derive(Clone)]
pub struct Client {
    session: Arc<Session>,
    identity: ServerIdentity,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("api_url", &self.identity.api_url).finish_non_exhaustive()
    }
}

impl Client {
    /// Checks the configuration and prepares connections; the network is not used yet.
    ///
    /// # Errors
    /// When the URL, the credentials or the file of certificate authorities cannot be used. A host without any
    /// certificate authorities is no error here; https then fails with a reason that says so.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let session = Arc::new(Session::new(&config)?);
        let trim = |url: String| url.trim().trim_end_matches('/').to_owned();
        let identity = ServerIdentity {
            api_url: trim(config.api_url),
            web_url: trim(config.web_url),
            files_url: trim(config.files_url),
            ..ServerIdentity::default()
        };
        Ok(Self { session, identity })
    }

    /// Logs in, so that [`link`](Self::link) tells whether the server takes the credentials before any worker needs it.
    /// Returns once it does; until then it asks now and then.
    pub async fn greet(&self) {
        while self.session.greet().await.is_err() {
            sleep(GREETING_PAUSE).await;
        }
    }

    /// Whether the last calls reached the server.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<ServerLink> {
        self.session.link()
    }
}
