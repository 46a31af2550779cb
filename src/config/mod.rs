//! clearml.conf, clearmld.toml, the environment and flags: read and checked whole, before anything is bound.
//!
//! [`load`] finds the files ([`places`]), reads clearml.conf ([`hocon`]), the systemd credential ([`credential`]) and
//! clearmld.toml ([`own`]), lays `CLEARML_AGENT__A__B=value` over them, and takes typed values out ([`reader`], [`server`], [`agent`]). A specific
//! variable (`CLEARML_API_HOST`) wins over both, as in clearml-agent. Everything that is wrong is told at once, each
//! with its place; everything that has no effect is a [`Remark`]. Secrets are [`secrecy::SecretString`]; no message
//! holds one.

mod agent;
pub mod block;
pub mod credential;
pub mod environment;
pub mod hocon;
mod origin;
mod own;
mod payload;
mod places;
pub mod policy;
mod reader;
mod server;
pub mod settings;
mod unsupported;
pub mod workers;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub use agent::{AgentConfig, PackageConfig, PackageManager};
pub use environment::Environment;
pub use origin::{ConfigError, ConfigErrors, Origin, Remark, Sourced};
pub use own::{InstallerChoice, MetricsChoice, OwnConfig};
pub use reader::Described;
pub use server::{Credentials, ServerConfig, Verify};

use secrecy::{ExposeSecret, SecretString};

use hocon::{Kind, Position, Value};
use reader::Reader;

/// `CLEARML_AGENT__AGENT__GIT_USER=x` is `agent.git_user: x`.
const OVERRIDE_PREFIX: &str = "CLEARML_AGENT__";

/// What the command line says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flags {
    /// `--config FILE`.
    pub config: Option<PathBuf>,
    /// `--state-dir DIR`.
    pub state_dir: Option<PathBuf>,
    /// `--socket PATH`.
    pub socket: Option<PathBuf>,
    /// `--workers-dir DIR`.
    pub workers_dir: Option<PathBuf>,
    /// `--local[=ADDR]`.
    pub local: Option<Option<SocketAddr>>,
    /// `--local-faults[=PATH]`.
    pub local_faults: Option<Option<PathBuf>>,
}

/// What is asked of the machine; tests have one of their own.
#[derive(Debug, Clone)]
struct Host {
    is_root: bool,
    etc: PathBuf,
    name: String,
}

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The clearml.conf that was read, and who named it.
    pub file: Option<Sourced<PathBuf>>,
    /// What clearml.conf includes.
    pub included: Vec<PathBuf>,
    /// The systemd credential that was read.
    pub credential: Option<PathBuf>,
    /// The clearmld.toml that was read.
    pub own_file: Option<PathBuf>,
    /// Where all state is.
    pub state_dir: Sourced<PathBuf>,
    /// The control socket.
    pub socket: Sourced<PathBuf>,
    /// Where workers are declared.
    pub workers_dir: Sourced<PathBuf>,
    /// Where root says what workers may have.
    pub policy_file: PathBuf,
    /// The embedded server is asked for, at this address if one was given. It wins over `server`.
    pub local: Option<Option<SocketAddr>>,
    /// Where the embedded server takes orders of faults, if it does.
    pub local_faults: Option<PathBuf>,
    /// This host, as the server knows it.
    pub host_name: String,
    /// None when no server is configured.
    pub server: Option<ServerConfig>,
    /// Why there is none, where somebody has said something of one: a sentence with the next step.
    pub unconfigured: Option<String>,
    /// The section `agent`.
    pub agent: AgentConfig,
    /// clearmld.toml.
    pub own: OwnConfig,
    /// What was written and has no effect.
    pub unsupported: Vec<Remark>,
    /// What should be looked at.
    pub warnings: Vec<Remark>,
    sdk: Option<Value>,
    described: Vec<Described>,
}

impl Config {
    /// `agent.worker_name`, else the host's name: the first part of worker ids.
    #[must_use]
    pub fn worker_name(&self) -> &str {
        self.agent.worker_name.as_ref().map_or(&self.host_name, |name| &name.value)
    }

    /// A clearml.conf (JSON is HOCON) for the SDK inside a payload: section `sdk` and the server's addresses.
    ///
    /// Never has anything of `agent`, nor the key pair or token of `api`. Storage credentials of `sdk` are in it only
    /// where clearmld.toml says `payload_sees_sdk_secrets = true`; so write it with mode 0600 for the payload's user.
    #[must_use]
    pub fn for_payload(&self) -> String {
        payload::document(self.sdk.as_ref(), self.server.as_ref(), self.own.payload_sees_sdk_secrets).to_string()
    }

    /// Every secret that the operator has told us, to be taken out of what leaves the host.
    #[must_use]
    pub fn secrets(&self) -> Vec<SecretString> {
        let mut found = Vec::new();
        match self.server.as_ref().map(|server| &server.credentials) {
            Some(Credentials::KeyPair { secret_key, .. }) => found.push(secret_key.value.clone()),
            Some(Credentials::Token(token)) => found.push(token.value.clone()),
            None => {}
        }
        found.extend(self.agent.git.iter().map(|git| git.password.clone()));
        for url in &self.agent.packages.extra_index_urls {
            found.extend(reader::password(url.expose_secret()).map(SecretString::from));
            found.push(url.clone());
        }
        // Nobody says which of the variables are secret; a path or a number is none.
        let harmless = |text: &str| text.starts_with('/') || text.parse::<f64>().is_ok();
        let variables = self.agent.environment.values().filter(|value| !harmless(value.expose_secret()));
        found.extend(variables.cloned());
        if let Some(sdk) = &self.sdk {
            payload::secrets(&sdk.to_json(), &mut found);
        }
        found
    }

    /// Every setting in force, printable, with its origin.
    #[must_use]
    pub fn describe(&self) -> Vec<Described> {
        self.described.clone()
    }
}

/// Reads and checks everything.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(flags: &Flags, environment: &Environment) -> Result<Config, ConfigErrors> {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host = Host {
        is_root: nix::unistd::geteuid().is_root(),
        etc: PathBuf::from("/etc/clearmld"),
        name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned()),
    };
    load_on(&host, flags, environment)
}

fn load_on(host: &Host, flags: &Flags, environment: &Environment) -> Result<Config, ConfigErrors> {
    let mut tree = Tree::new();
    let files = places::find(flags, environment, host).unwrap_or_else(|error| {
        tree.errors.push(error);
        tree.is_complete = false;
        places::Files { clearml_conf: None, clearmld_toml: None }
    });
    tree.read_files(&files, environment);
    tree.lay_credential(environment);
    tree.lay_overrides(environment);

    let mut reader = Reader::new(&tree.root, environment);
    reader.remarks = tree.warnings;
    // A file that could not be read has not said all: what is missing is then no error of its own.
    let (server, keyless) = server::read(&mut reader, tree.is_complete && tree.unusable.is_none());
    let agent = agent::read(&mut reader);
    let own = own::read(&mut reader);
    let sdk = reader.find("sdk").cloned();
    remark_on_secrets(&mut reader, &files, sdk.as_ref(), &own);

    let mut errors = tree.errors;
    errors.append(&mut reader.errors);
    let state_dir = places::state_dir(flags, environment, host).map_err(|error| errors.push(error)).ok();
    let Some(state_dir) = state_dir.filter(|_| errors.is_empty()) else { return Err(ConfigErrors { errors }) };
    let socket = places::socket(flags, environment, host, &state_dir.value);
    reader.describe("state_dir", state_dir.value.display().to_string(), &state_dir.origin);
    let workers_dir = places::workers_dir(flags, environment, host, own.workers_dir.as_ref(), &state_dir.value);
    let policy_file = places::policy_file(flags, environment, host, &state_dir.value);
    reader.describe("workers_dir", workers_dir.value.display().to_string(), &workers_dir.origin);
    reader.describe("socket", socket.value.display().to_string(), &socket.origin);
    Ok(Config {
        unsupported: unsupported::remarks(&tree.root),
        warnings: reader.remarks,
        described: reader.described,
        host_name: own.host_name.clone().unwrap_or_else(|| host.name.clone()),
        file: files.clearml_conf,
        included: tree.included,
        credential: tree.credential,
        unconfigured: server.is_none().then_some(tree.unusable.or(keyless)).flatten(),
        own_file: files.clearmld_toml,
        local: flags.local,
        local_faults: places::local_faults(flags, &state_dir.value),
        state_dir,
        socket,
        workers_dir,
        policy_file,
        server,
        agent,
        own,
        sdk,
    })
}

/// All files and overrides in one tree.
struct Tree {
    root: Value,
    /// clearml.conf was found and read as far as there is one.
    is_complete: bool,
    included: Vec<PathBuf>,
    credential: Option<PathBuf>,
    /// Why the credential could not be used.
    unusable: Option<String>,
    errors: Vec<ConfigError>,
    warnings: Vec<Remark>,
}

impl Tree {
    fn new() -> Self {
        let root = object(Path::new("(no file)"), std::iter::empty());
        Self {
            root,
            is_complete: true,
            included: Vec::new(),
            credential: None,
            unusable: None,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn read_files(&mut self, files: &places::Files, environment: &Environment) {
        if let Some(file) = &files.clearml_conf {
            match hocon::read_file(&file.value, environment) {
                Ok(document) => {
                    self.root.merge(document.root);
                    self.included = document.included;
                    self.warnings.extend(
                        document
                            .left_out
                            .into_iter()
                            .map(|error| Remark { origin: Origin::from(&error.at), text: error.problem }),
                    );
                }
                Err(errors) => {
                    self.errors.extend(errors.into_iter().map(ConfigError::from));
                    self.is_complete = false;
                }
            }
        }
        let Some(path) = &files.clearmld_toml else { return };
        let text = hocon::read_limited(path)
            .map_err(|problem| vec![ConfigError { origin: Origin::File(Position::whole(path)), key: None, problem }]);
        match text.and_then(|text| own::parse(&text, path)) {
            Ok(own) => self.root.merge(object(path, [(own::SECTION.to_owned(), own)])),
            Err(errors) => self.errors.extend(errors),
        }
    }

    fn lay_credential(&mut self, environment: &Environment) {
        let Some(found) = credential::read(environment) else { return };
        match found.api {
            Ok(api) => {
                if let Some(pair) = self.root.get(&["api", "credentials", "access_key"]) {
                    let text = "this key pair has no effect: the credential that `clearmlctl init` stored wins over it";
                    self.warnings.push(Remark { origin: Origin::from(&pair.at), text: text.to_owned() });
                }
                self.root.merge(object(&found.path, [("api".to_owned(), api)]));
            }
            Err(problem) => self.unusable = Some(problem),
        }
        self.credential = Some(found.path);
    }

    fn lay_overrides(&mut self, environment: &Environment) {
        for (name, value) in environment.with_prefix(OVERRIDE_PREFIX) {
            let failed =
                |problem: String| ConfigError { origin: Origin::Variable(name.to_owned()), key: None, problem };
            let path = name[OVERRIDE_PREFIX.len()..].replace("__", ".").to_lowercase();
            let Some(value) = value.to_str() else {
                self.errors.push(failed("it is no UTF-8; set it again, or unset it".to_owned()));
                continue;
            };
            match hocon::read_text(&format!("{path}: {value}"), name, environment) {
                Ok(document) => self.root.merge(document.root),
                Err(errors) => self.errors.extend(errors.into_iter().map(|error| failed(error.problem))),
            }
        }
        if let Some((name, _)) = environment.twin("CLEARML_CONFIG_PATH") {
            let text = "a folder of configuration files is not supported and has no effect; use CLEARML_CONFIG_FILE";
            self.warnings.push(Remark { origin: Origin::Variable(name), text: text.to_owned() });
        }
    }
}

fn object(path: &Path, fields: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value { kind: Kind::Object(fields.into_iter().collect()), at: Position::whole(path) }
}

fn remark_on_secrets(reader: &mut Reader<'_>, files: &places::Files, sdk: Option<&Value>, own: &OwnConfig) {
    let held_back = sdk.map_or(0, |sdk| payload::without_secrets(&mut sdk.to_json()));
    if let Some(sdk) = sdk.filter(|_| held_back > 0 && !own.payload_sees_sdk_secrets) {
        let text = format!(
            "sdk: {held_back} storage credentials are held back from tasks; `payload_sees_sdk_secrets = true` in \
             clearmld.toml hands them on"
        );
        reader.remark(Origin::from(&sdk.at), text);
    }
    let has_secrets = held_back > 0
        || ["api.credentials.secret_key", "agent.git_pass", "agent.git.extra_credentials", "environment"]
            .iter()
            .any(|key| reader.find(key).is_some());
    if let Some(file) = files.clearml_conf.as_ref().filter(|_| has_secrets)
        && places::is_world_readable(&file.value)
    {
        let text = "it holds secrets and every user of this host can read it; chmod 0600 it";
        reader.remark(Origin::File(Position::whole(&file.value)), text);
    }
}

#[cfg(test)]
mod tests;
