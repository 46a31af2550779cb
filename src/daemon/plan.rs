//! From a checked configuration to what each adapter is given.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use secrecy::SecretString;
use sha2::{Digest, Sha256};

use super::declared::Files;
use crate::clearml::{ClientConfig, ClientCredentials, Verify};
use crate::config::{
    self, Config, ConfigErrors, Credentials, Environment, Flags, InstallerChoice, MetricsChoice, ServerConfig, Sourced,
};
use crate::domain::handover::{GitCredential, Installer, Isolation};
use crate::domain::journal::Limits;
use crate::domain::reserve::{Reserve, Share};
use crate::domain::script::ScriptChoices;
use crate::domain::withheld::Strangers;
use crate::engine::Settings;
use crate::engine::ports::ServerIdentity;
use crate::host::outfit::{NETWORK_VARIABLES, Outfits, ServerAddresses};
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
        /// Where it takes orders of faults, if it does.
        faults: Option<PathBuf>,
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
    /// Where workers are declared.
    pub workers_dir: PathBuf,
    /// Where root says what workers may have.
    pub policy_file: PathBuf,
    /// Which server.
    pub server: Server,
    /// Why there is none, with the next step.
    pub not_configured: Option<String>,
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
    /// clearml.conf and what it includes.
    pub secret_files: Vec<PathBuf>,
    /// Where metrics are served, if they are.
    pub metrics: Option<MetricsChoice>,
    /// Every setting, printable, and where it comes from.
    pub described: Vec<config::Described>,
    /// What of the configuration has no effect or should be looked at.
    pub remarks: Vec<String>,
    /// What must not leave the host.
    pub secrets: Vec<SecretString>,
    /// Bytes a spool may hold.
    pub spool_budget: u64,
    /// See [`crate::host::outfit::Outfits::disk_reserve`].
    pub disk_reserve: Option<u64>,
    /// How much of a Run's output goes to the journal; none for none.
    pub journal: Option<Limits>,
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
    /// Section `environment` of clearml.conf.
    pub variables: BTreeMap<String, SecretString>,
    /// What the SDK may read of clearml.conf.
    pub sdk_config: SecretString,
    /// Proxies and the like.
    pub network: BTreeMap<String, String>,
    /// An NVML that is not the system's.
    pub nvml_library: Option<PathBuf>,
    /// The daemon's PATH.
    pub search: std::ffi::OsString,
    /// What it was made from.
    pub flags: Flags,
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

    /// What the operator and root write, for reading it again.
    pub(super) fn files(&self) -> Files {
        // An ordinary user's tasks run as that user.
        let run_as = self.users.identity(None).map_or_else(|_| self.users.default.clone(), |identity| identity.user);
        let (flags, workers, policy) = (self.flags.clone(), self.workers_dir.clone(), self.policy_file.clone());
        Files { flags, workers, policy, run_as, said: Mutex::default() }
    }

    /// What a Run is given on this host.
    pub(super) fn outfits(
        &self,
        root: &Path,
        server: ServerIdentity,
        local: Option<&LocalServer>,
        socket: &Path,
        isolation: Isolation,
    ) -> Outfits {
        // The SDK wants a web address to compose links with, whether or not anything answers there.
        let web = local.map_or(server.web_url, LocalServer::web_url);
        let socket_directory = socket.parent().map(Path::to_owned);
        Outfits {
            root: root.to_owned(),
            users: self.users.clone(),
            isolation,
            hidden: self.hidden.iter().cloned().chain(socket_directory).collect(),
            grace_ms: u64::try_from(self.settings.grace.as_millis()).unwrap_or(u64::MAX),
            spool_budget: self.spool_budget,
            disk_reserve: self.disk_reserve,
            journal: self.journal,
            server: ServerAddresses { api: server.api_url, web, files: server.files_url },
            unverified: self.verify == Verify::No,
            choices: self.choices.clone(),
            uv: (!self.pip).then(|| Uv::new(root.to_owned(), self.search.clone())),
            git: self.git.clone(),
            index_urls: self.index_urls.clone(),
            task_environment: self.task_environment,
            network: self.network.clone(),
            variables: self.variables.clone(),
            sdk_config: self.sdk_config.clone(),
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Everything that is wrong, a line each.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
}

impl Plan {
    /// Reads and checks everything that the operator can say.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn read(flags: Flags) -> Result<Self, PlanError> {
        let environment = Environment::of_this_process();
        let config = config::load(&flags, &environment)?;
        for remark in config.warnings.iter().chain(&config.unsupported) {
            tracing::warn!("{remark}");
        }
        Ok(Self::of(flags, config, &environment))
    }

    fn of(flags: Flags, config: Config, environment: &Environment) -> Self {
        let sdk_config = SecretString::from(config.for_payload());
        let host = config.worker_name().to_owned();
        let hidden = hidden(&config);
        let (described, secrets) = (config.describe(), config.secrets());
        let remarks: Vec<String> = config.warnings.iter().chain(&config.unsupported).map(ToString::to_string).collect();
        let secret_files = config.file.iter().map(|file| &file.value).chain(&config.included).cloned().collect();
        let comparable = described.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect();
        let files = digest(&config);
        let Config {
            state_dir,
            socket,
            workers_dir,
            policy_file,
            local,
            local_faults,
            server,
            agent,
            own,
            unconfigured,
            ..
        } = config;
        let verify = server.as_ref().map_or(Verify::Yes, |server| verify(&server.verify.value));
        let request_token_expiration_s = server.as_ref().and_then(|server| server.request_token_expiration_sec);
        let mut settings = Settings {
            host,
            worker_id: agent.worker_id.as_ref().map(|id| id.value.clone()),
            poll_interval: own.poll_interval,
            report_interval: own.report_interval,
            ping_interval: agent.task_ping_interval,
            grace: own.stop_grace,
            longest_callback: agent.abort_callback_max_timeout,
            keep_runs: usize::try_from(own.keep_runs).unwrap_or(usize::MAX),
            keep_runs_for: own.keep_runs_for,
            reserve: Reserve { memory: own.memory_reserve, cpus: own.cpus_reserve, disk: 0 },
            held: Share::default(),
            strangers: if own.lend_gpus_in_use {
                Strangers::Welcome
            } else {
                Strangers::respected(own.ignored_gpu_programs)
            },
            described: comparable,
            files,
            ..Settings::default()
        };
        let server = match (local, server) {
            (Some(address), _) => embedded(address, local_faults),
            (None, Some(server)) => {
                let (addresses, credentials) = addressed(server);
                Server::Remote { addresses, credentials }
            }
            (None, None) => Server::None,
        };
        let not_configured =
            matches!(server, Server::None).then(|| unconfigured.unwrap_or_else(|| NOT_CONFIGURED.to_owned()));
        settings.remarks.extend(not_configured.clone());
        settings.remarks.extend(remarks.iter().cloned());
        let packages = agent.packages;
        let pip = own.installer == InstallerChoice::Pip;
        Self {
            state_dir: state_dir.value,
            socket: socket.value,
            workers_dir: workers_dir.value,
            policy_file,
            server,
            not_configured,
            verify,
            request_token_expiration_s,
            settings,
            users: UserPolicy { default: own.run_as, fallback_uid: *own.uids.start() },
            hidden,
            secret_files,
            metrics: own.metrics,
            described,
            remarks,
            secrets,
            spool_budget: own.spool_budget,
            disk_reserve: own.disk_reserve,
            journal: own.journal,
            choices: ScriptChoices {
                // uv's place is filled in when the first Run needs it.
                installer: Installer::Pip,
                extra_index_urls: Vec::new(),
                extra_arguments: packages.extra_arguments,
                system_site_packages: packages.system_site_packages,
                python_search: Vec::new(),
                force_repo_requirements_txt: packages.force_repo_requirements_txt,
                force_original_requirements: packages.force_original_requirements,
                ignore_requested_python_version: agent.ignore_requested_python_version,
                default_python: agent.default_python,
            },
            pip,
            git: agent.git,
            index_urls: packages.extra_index_urls,
            task_environment: agent.enable_task_env,
            variables: agent.environment,
            sdk_config,
            network: network(environment),
            nvml_library: own.nvml_library,
            search: environment.get("PATH").cloned().unwrap_or_default(),
            flags,
        }
    }

    /// For a reload; what has no effect was said at the start.
    ///
    /// # Errors
    /// See [`Plan::read`].
    pub(super) fn read_again(flags: Flags) -> Result<Self, PlanError> {
        let environment = Environment::of_this_process();
        let config = config::load(&flags, &environment)?;
        Ok(Self::of(flags, config, &environment))
    }
}

/// Of what the configuration was read from. One file that has gone meanwhile is as good as another content.
fn digest(config: &Config) -> String {
    let mut digest = Sha256::new();
    for file in config.file.iter().map(|file| &file.value).chain(&config.included).chain(&config.own_file) {
        digest.update(file.as_os_str().as_encoded_bytes());
        digest.update([0]);
        digest.update(std::fs::read(file).unwrap_or_default());
        digest.update([0]);
    }
    format!("{:x}", digest.finalize())
}

/// The configuration, wherever it is: it may hold the key pair, and be readable for more users than it should be.
fn hidden(config: &Config) -> Vec<PathBuf> {
    let files = config.file.iter().map(|file| &file.value).chain(&config.included);
    let files = files.chain(&config.credential).chain(&config.own_file);
    // The shim has another working directory.
    let files = files.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    [PathBuf::from("/etc/clearmld")].into_iter().filter(|path| path.is_dir()).chain(files).collect()
}

const NOT_CONFIGURED: &str = "no ClearML server is configured: run `clearmlctl init` as root with the credentials block of \
    its web UI (Settings > Workspace), put that block into clearml.conf and restart clearmld, or start it with --local";

fn embedded(address: Option<SocketAddr>, faults: Option<PathBuf>) -> Server {
    let api = address.unwrap_or(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8008));
    // Beside port 8008 ClearML's file server has 8081; beside a free port it has another free one.
    let files = match api.port() {
        0 => 0,
        port => port.checked_add(73).unwrap_or(8081),
    };
    Server::Local { api, files: SocketAddr::new(api.ip(), files), faults }
}

pub(super) fn addressed(server: ServerConfig) -> (ServerAddresses, ClientCredentials) {
    let text = |url: Option<Sourced<String>>| url.map(|url| url.value).unwrap_or_default();
    let addresses = ServerAddresses { api: server.api.value, web: text(server.web), files: text(server.files) };
    let credentials = match server.credentials {
        Credentials::KeyPair { access_key, secret_key } => {
            ClientCredentials::KeyPair { access_key: access_key.value, secret_key: secret_key.value }
        }
        Credentials::Token(token) => ClientCredentials::Token(token.value),
    };
    (addresses, credentials)
}

pub(super) fn verify(choice: &config::Verify) -> Verify {
    match choice {
        config::Verify::System => Verify::Yes,
        config::Verify::Authority(file) => Verify::CaFile(file.clone()),
        config::Verify::Off => Verify::No,
    }
}

fn network(environment: &Environment) -> BTreeMap<String, String> {
    // A password in a proxy's URL would be in every program's environment.
    let harmless = |value: &String| !value.contains('@');
    let passed = |name: &&str| Some(((*name).to_owned(), environment.text(name).filter(harmless)?));
    NETWORK_VARIABLES.iter().filter_map(passed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::durable;

    #[test]
    fn no_run_sees_the_configuration_wherever_it_is_and_whoever_may_read_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let (conf, own) = (directory.path().join("clearml.conf"), directory.path().join("clearmld.toml"));
        durable::write(&conf, b"agent { worker_name: x }", 0o644).expect("written");
        durable::write(&own, b"", 0o644).expect("written");
        let flags = Flags { config: Some(conf.clone()), state_dir: Some(directory.path().into()), ..Flags::default() };
        let plan = Plan::read(flags).expect("read");
        assert!(plan.hidden.contains(&conf) && plan.hidden.contains(&own), "{:?}", plan.hidden);
    }
}
