//! From a checked configuration to what each adapter is given.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::clearml::{ClientConfig, ClientCredentials, Verify};
use crate::domain::handover::{GitCredential, Isolation};
use crate::domain::script::ScriptChoices;
use crate::engine::Settings;
use crate::engine::ports::ServerIdentity;
use crate::host::outfit::{Outfits, ServerAddresses};
use crate::host::users::UserPolicy;
use crate::host::uv::Uv;
use crate::server::LocalServer;

/// Which server.
#[derive(Debug, Clone)]
pub enum Server {
    /// The embedded one.
    Local {
        /// Its API.
        api: SocketAddr,
        /// Its file server.
        files: SocketAddr,
    },
    /// One somewhere.
    Remote {
        /// Where.
        addresses: ServerAddresses,
        /// Who we are to it.
        credentials: ClientCredentials,
    },
    /// None yet: the daemon serves its socket and says so.
    None,
}

/// Everything that the operator chose, checked.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where the state is.
    pub state_dir: PathBuf,
    /// Where the control socket is.
    pub socket: PathBuf,
    /// Which server.
    pub server: Server,
    /// How its certificate is checked.
    pub verify: Verify,
    /// `api.auth.request_token_expiration_sec`.
    pub request_token_expiration_s: Option<u64>,
    /// The engine's.
    pub settings: Settings,
    /// The payload's user.
    pub users: UserPolicy,
    /// Host paths out of the payload's sight.
    pub hidden: Vec<PathBuf>,
    /// Bytes a spool may hold.
    pub spool_budget: u64,
    /// How scripts are read.
    pub choices: ScriptChoices,
    /// pip instead of uv.
    pub pip: bool,
    /// git credentials.
    pub git: Vec<GitCredential>,
    /// Package indexes with credentials in them.
    pub index_urls: Vec<SecretString>,
    /// `agent.enable_task_env`.
    pub task_environment: bool,
    /// Proxies and the like.
    pub network: BTreeMap<String, String>,
    /// The daemon's PATH.
    pub search: std::ffi::OsString,
}

impl Plan {
    /// The client of the server that this plan means, if any; `local` is the embedded one, if it was started.
    pub(super) fn client(&self, local: Option<&LocalServer>) -> Option<ClientConfig> {
        let (addresses, credentials) = match (&self.server, local) {
            (Server::Local { .. }, Some(local)) => {
                // It has no web UI: no link of ours may point there.
                let pair = local.credentials();
                let addresses = ServerAddresses { api: local.api_url(), web: String::new(), files: local.files_url() };
                let (access_key, secret_key) = (pair.access_key.clone(), pair.secret_key.clone());
                (addresses, ClientCredentials::KeyPair { access_key, secret_key })
            }
            (Server::Remote { addresses, credentials }, _) => (addresses.clone(), credentials.clone()),
            (Server::None | Server::Local { .. }, _) => return None,
        };
        Some(ClientConfig {
            api_url: addresses.api,
            web_url: addresses.web,
            files_url: addresses.files,
            credentials,
            verify: self.verify.clone(),
            host: self.settings.host.clone(),
            request_token_expiration_s: self.request_token_expiration_s,
        })
    }

    pub(super) fn outfits(
        &self,
        root: &Path,
        server: ServerIdentity,
        local: Option<&LocalServer>,
        socket: &Path,
    ) -> Outfits {
        // The SDK wants a web address to compose links with, whether or not anything answers there.
        let web = local.map_or(server.web_url, LocalServer::web_url);
        let socket_directory = socket.parent().map(Path::to_owned);
        let root_user = nix::unistd::geteuid().is_root();
        Outfits {
            root: root.to_owned(),
            users: self.users.clone(),
            isolation: if root_user { Isolation::Namespaces } else { Isolation::Subreaper },
            hidden: self.hidden.iter().cloned().chain(socket_directory).collect(),
            grace_ms: u64::try_from(self.settings.grace.as_millis()).unwrap_or(u64::MAX),
            spool_budget: self.spool_budget,
            server: ServerAddresses { api: server.api_url, web, files: server.files_url },
            unverified: self.verify == Verify::No,
            choices: self.choices.clone(),
            uv: (!self.pip).then(|| Uv::new(root.to_owned(), self.search.clone())),
            git: self.git.clone(),
            index_urls: self.index_urls.clone(),
            task_environment: self.task_environment,
            network: self.network.clone(),
        }
    }
}

/// PROVISIONAL
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(String);

impl Plan {
    /// PROVISIONAL
    pub fn read(flags: crate::config::Flags) -> Result<Self, PlanError> {
        let var = |name: &str| std::env::var(name).ok();
        let state_dir = flags.state_dir.unwrap_or_else(|| "/var/lib/clearmld".into());
        let socket = flags.socket.unwrap_or_else(|| "/run/clearmld/clearmld.sock".into());
        let server = match flags.local {
            Some(address) => {
                let api = address.unwrap_or_else(|| "127.0.0.1:8008".parse().unwrap_or_else(|_| unreachable!()));
                let port = if api.port() == 0 { 0 } else { 8081 };
                Server::Local { api, files: SocketAddr::new(api.ip(), port) }
            }
            None => Server::Remote {
                addresses: ServerAddresses {
                    api: var("CLEARML_API_HOST").ok_or(PlanError("no host".into()))?,
                    web: var("CLEARML_WEB_HOST").unwrap_or_default(),
                    files: var("CLEARML_FILES_HOST").unwrap_or_default(),
                },
                credentials: ClientCredentials::KeyPair {
                    access_key: var("CLEARML_API_ACCESS_KEY").unwrap_or_default(),
                    secret_key: var("CLEARML_API_SECRET_KEY").unwrap_or_default().into(),
                },
            },
        };
        Ok(Self {
            state_dir,
            socket,
            server,
            verify: Verify::Yes,
            request_token_expiration_s: None,
            settings: Settings { host: var("CLEARML_WORKER_NAME").unwrap_or("host".into()), ..Settings::default() },
            users: UserPolicy { default: "clearml-run".into(), fallback_uid: 64_117 },
            hidden: vec![],
            spool_budget: 1 << 30,
            choices: ScriptChoices {
                installer: crate::domain::handover::Installer::Pip,
                extra_index_urls: Vec::new(),
                extra_arguments: Vec::new(),
                system_site_packages: false,
                python_search: Vec::new(),
                force_repo_requirements_txt: false,
                force_original_requirements: false,
                ignore_requested_python_version: false,
                default_python: None,
            },
            pip: false,
            git: Vec::new(),
            index_urls: Vec::new(),
            task_environment: false,
            network: BTreeMap::new(),
            search: std::env::var_os("PATH").unwrap_or_default(),
        })
    }

    pub(super) fn check_again(&self) -> Result<(), PlanError> {
        Ok(())
    }
}
