//! The embedded local ClearML server: what someone without a ClearML server uses, and what our tests run against.
//!
//! It speaks the HTTP API of the open ClearML server 2.x (API 2.31) as far as a worker, the `clearml` SDK and the stock
//! `clearml-agent` need it, with that server's state machine, errors and quirks. An endpoint it has not is a 404 in the
//! usual envelope, which every client takes as "feature off".
//!
//! A request goes: [`listen`] (connection) → [`http`] (path, query, body) → [`faults`] → [`auth`] (who) → [`endpoints`]
//! (which function) → that function, on the thread of the [`store`], inside one transaction → [`http`] (envelope). One
//! thread and one transaction a call make every call atomic: compare-and-set and the pop of a queue need nothing else.

mod auth;
mod call;
mod credentials;
mod endpoints;
mod events;
mod faults;
mod files;
mod http;
mod listen;
mod models;
mod projects;
mod properties;
mod query;
mod queues;
mod service;
mod store;
mod tasks;
mod time;
mod users;
mod workers;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

pub use credentials::Credentials;
pub use faults::{Fault, Faults, Order, OrderError, WatchdogClock};

/// Where the server listens and where it keeps what it is told.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The API; port 0 takes a free one.
    pub api: SocketAddr,
    /// The file server; port 0 takes a free one.
    pub files: SocketAddr,
    /// Made if it is missing, mode 0700.
    pub directory: PathBuf,
}

/// Why the local server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error(
        "the local server's {what} cannot listen on {address}: {source}; free that port or choose another with --local=ADDR"
    )]
    Listen {
        /// `API` or `file server`.
        what: &'static str,
        /// The wanted address.
        address: SocketAddr,
        /// What the kernel says.
        source: io::Error,
    },
    /// The directory cannot be used.
    #[error("the local server's directory {} cannot be used: {source}; check its owner and the free space", path.display())]
    Directory {
        /// What was tried.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The key pair or the signing secret is damaged.
    #[error("{} is not readable: {reason}; remove it to get a new key pair (clients must then be told)", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The database is damaged or of another program.
    #[error("the local server's database {} cannot be opened: {reason}; move it away to start with an empty one", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// The operating system gives no random numbers.
    #[error("no random numbers for a key pair: {reason}")]
    Random {
        /// What the system says.
        reason: String,
    },
}

/// What a request needs of the server, whichever connection it came by.
#[derive(Debug)]
pub(crate) struct Shared {
    store: store::Store,
    auth: auth::Authority,
    faults: Faults,
    /// Whether there are runtime properties of workers, which the open server has not.
    properties: AtomicBool,
    files_root: PathBuf,
}

impl Shared {
    fn obey(&self, order: Order) {
        match order {
            Order::Calls { fault, endpoint: None, times } => self.faults.next(times, fault),
            Order::Calls { fault, endpoint: Some(endpoint), times } => self.faults.next_of(&endpoint, times, fault),
            Order::RevokeTokens => self.auth.revoke_tokens(),
            Order::Offline(time) => self.faults.offline_for(time),
            Order::LateLog(delay) => self.faults.show_log_after(delay),
            Order::Watchdog(clock) => self.faults.set_watchdog(clock),
        }
    }
}

/// A running server; it ends when this is dropped, politely with [`LocalServer::stop`].
pub struct LocalServer {
    api: SocketAddr,
    files: SocketAddr,
    credentials: Credentials,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl fmt::Debug for LocalServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalServer").field("api", &self.api).field("files", &self.files).finish_non_exhaustive()
    }
}

/// Starts the API and the file server.
///
/// # Errors
/// When an address, the directory, the database or the key pair in it cannot be used.
pub async fn start(config: ServerConfig) -> Result<LocalServer, StartError> {
    let ServerConfig { api, files, directory } = config;
    let files_root = directory.join("files");
    credentials::make_private_directory(&directory)?;
    credentials::make_private_directory(&files_root)?;
    let kept = credentials::load_or_make(&directory)?;
    let api_listener = listen_on("API", api).await?;
    let files_listener = listen_on("file server", files).await?;
    let api = address_of("API", api, &api_listener)?;
    let files = address_of("file server", files, &files_listener)?;
    let path = directory.join("clearml.db");
    let store = store::Store::open(&path)?;
    let now = time::Moment::now();
    let seeded = store.run(move |documents| queues::ensure_default(documents, now)).await;
    seeded.map_err(|error| StartError::Database { path, reason: error.message })?;
    let authority = auth::Authority::new(kept.credentials.clone(), &kept.signing_secret).ok_or_else(|| {
        let reason = "its secret is too short".to_owned();
        StartError::Credentials { path: directory.join("signing.json"), reason }
    })?;
    let shared = Arc::new(Shared {
        store,
        auth: authority,
        faults: Faults::default(),
        properties: AtomicBool::new(false),
        files_root,
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(listen::serve(api_listener, http::ApiDoor::new(Arc::clone(&shared))));
    tasks.spawn(listen::serve(files_listener, files::FilesDoor::new(Arc::clone(&shared))));
    tasks.spawn(tasks::watchdog(Arc::clone(&shared)));
    Ok(LocalServer { api, files, credentials: kept.credentials, shared, tasks })
}

async fn listen_on(what: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { what, address, source })
}

fn address_of(what: &'static str, wanted: SocketAddr, listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen { what, address: wanted, source })
}

// === impl LocalServer ===

impl LocalServer {
    /// For `CLEARML_API_HOST`.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("http://{}", self.api)
    }

    /// For `CLEARML_FILES_HOST`.
    #[must_use]
    pub fn files_url(&self) -> String {
        format!("http://{}", self.files)
    }

    /// For `CLEARML_WEB_HOST`: there is no web interface, but the SDK composes links with it.
    #[must_use]
    pub fn web_url(&self) -> String {
        format!("http://{}:8080", self.api.ip())
    }

    /// The key pair that clients log in with.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Makes the API fail on purpose; for tests of clients.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Refuses every token that was given out so far (401/30); a key pair still gets new ones.
    pub fn revoke_tokens(&self) {
        self.shared.auth.revoke_tokens();
    }

    /// Takes orders of faults from whoever can connect to `listener`.
    pub fn take_orders(&mut self, listener: UnixListener) {
        self.tasks.spawn(faults::control::serve(listener, Arc::clone(&self.shared)));
    }

    /// From now on it has runtime properties of workers, as commercial servers do; the open one answers 404.
    pub fn offer_runtime_properties(&self) {
        self.shared.properties.store(true, Ordering::Relaxed);
    }

    /// Ends both servers and every connection, and waits until what was answered is on disk.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        self.shared.store.close().await;
    }
}
