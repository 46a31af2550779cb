//! What a Run is given: user, caches, tools, and an environment that holds just what the program needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use nix::unistd::{SysconfVar, sysconf};
use secrecy::SecretString;

mod gpus;

use super::users::UserPolicy;
use super::uv::Uv;
use crate::domain::handover::{
    self, Caches, GitCredential, Identity, Installer, Isolation, JournalSpec, ProgramSpec, Requirements, RunSpec,
    Seccomp, Secrets,
};
use crate::domain::journal::Limits as JournalLimits;
use crate::domain::limits::{Capacity, Limits};
use crate::domain::run::RunRecord;
use crate::domain::script::{self, ScriptChoices};
use crate::domain::task::TaskSnapshot;
use crate::engine::ports::{OutfitError, Outfitter, PayloadToken};
use crate::sys::journal;

/// What the operator and the host say about every Run.
#[derive(Debug)]
pub struct Outfits {
    /// The state directory.
    pub root: PathBuf,
    /// The payload's user.
    pub users: UserPolicy,
    /// What separates the payload from the host here.
    pub isolation: Isolation,
    /// Host paths out of the payload's sight, besides the state directory.
    pub hidden: Vec<PathBuf>,
    /// From SIGTERM to SIGKILL.
    pub grace_ms: u64,
    /// Bytes a spool may hold.
    pub spool_budget: u64,
    /// Bytes of the state directory's disk that Runs leave free; none for what is usual.
    pub disk_reserve: Option<u64>,
    /// How much of a Run's output goes to the journal, where there is one; none for none.
    pub journal: Option<JournalLimits>,
    /// The server, as the payload reaches it.
    pub server: ServerAddresses,
    /// `api.verify_certificate` is off.
    pub unverified: bool,
    /// How scripts are read; the installer is filled in when the first Run needs it.
    pub choices: ScriptChoices,
    /// uv; none where the configuration refuses it, and pip installs.
    pub uv: Option<Uv>,
    /// git credentials of the configuration.
    pub git: Vec<GitCredential>,
    /// Package indexes with credentials in them.
    pub index_urls: Vec<SecretString>,
    /// `agent.enable_task_env`.
    pub task_environment: bool,
    /// Section `environment` of clearml.conf, for every program.
    pub variables: BTreeMap<String, SecretString>,
    /// What the SDK may read of clearml.conf.
    pub sdk_config: SecretString,
    /// Proxies and the like of the daemon's environment that a program needs to reach the network at all.
    pub network: BTreeMap<String, String>,
}

/// The server's three addresses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[expect(missing_docs, reason = "the names are the whole story")]
pub struct ServerAddresses {
    pub api: String,
    pub web: String,
    pub files: String,
}

/// Variables that are passed through from the daemon's environment: without them a host behind a proxy, or with a
/// certificate authority of its own, reaches nothing. None of them is a secret by convention; a proxy URL with a
/// password in it is not passed.
pub const NETWORK_VARIABLES: [&str; 9] = [
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "TZ",
];

#[async_trait]
impl Outfitter for Outfits {
    fn check_user(&self, user: Option<&str>) -> Result<(), OutfitError> {
        self.users.identity(user).map(drop).map_err(|error| OutfitError { reason: error.to_string() })
    }

    fn has_gpus(&self) -> bool {
        Path::new("/dev/nvidia0").exists()
    }

    fn capacity(&self) -> Option<Capacity> {
        let memory = rustix::system::sysinfo();
        let cpus = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten()?;
        let memory = memory.totalram.saturating_mul(u64::from(memory.mem_unit));
        Some(Capacity { memory, cpus: u32::try_from(cpus).ok()? })
    }

    async fn outfit(
        &self,
        record: &RunRecord,
        user: Option<&str>,
        task: &TaskSnapshot,
        token: &PayloadToken,
        cgroup: Option<PathBuf>,
    ) -> Result<(RunSpec, Secrets), OutfitError> {
        let unfit = |error: &dyn std::error::Error| OutfitError { reason: error.to_string() };
        let identity = self.users.identity(user).map_err(|error| unfit(&error))?;
        let mut choices = self.choices.clone();
        let mut tools = Vec::new();
        let plan = script::read(&task.script, &choices).map_err(|error| unfit(&error))?;
        if let Some(uv) = self.uv.as_ref().filter(|_| plan.environment.requirements != Requirements::Nothing) {
            let path = uv.provide().await.map_err(|error| unfit(&error))?;
            tools.extend(path.parent().map(Path::to_owned));
            choices.installer = Installer::Uv { path };
        }
        let plan = script::read(&task.script, &choices).map_err(|error| unfit(&error))?;
        let mut git = plan.git;
        git.extend(self.git.iter().cloned());
        let mut variables = self.variables(record, &identity);
        if self.task_environment {
            variables.extend(task.environment.iter().filter(|(name, _)| is_variable(name)).map(clone_pair));
        }
        let spec = RunSpec {
            version: handover::VERSION,
            run: record.id.clone(),
            task: record.task.clone(),
            caches: self.caches(&identity),
            identity,
            isolation: self.isolation,
            cgroup,
            hidden: std::iter::once(self.root.clone()).chain(self.hidden.iter().cloned()).collect(),
            tools,
            // The engine fills them in: they are the Worker's.
            limits: Limits::default(),
            disk_reserve: self.disk_reserve,
            seccomp: Seccomp::Default,
            stop_grace_ms: self.grace_ms,
            spool_budget: self.spool_budget,
            journal: self.journal(record),
            devices: gpus::devices(&record.lease(), Path::new("/dev")),
            source: plan.source,
            environment: plan.environment,
            program: ProgramSpec { variables, ..plan.program },
        };
        let token = ("CLEARML_AUTH_TOKEN".to_owned(), token.token.clone());
        let secrets = Secrets {
            version: handover::VERSION,
            variables: self.variables.clone().into_iter().chain([token]).collect(),
            sdk_config: Some(self.sdk_config.clone()),
            git,
            index_urls: self.index_urls.clone(),
        };
        Ok((spec, secrets))
    }
}

impl Outfits {
    /// Caches are shared among the Runs of one user, and of nobody else: anybody's setup.py runs while an environment is
    /// built.
    fn caches(&self, identity: &Identity) -> Caches {
        let domain = self.root.join("cache").join(format!("uid-{}", identity.uid));
        Caches {
            mirrors: domain.join("mirrors"),
            packages: domain.join("packages"),
            environments: domain.join("environments"),
        }
    }

    fn journal(&self, record: &RunRecord) -> Option<JournalSpec> {
        let limits = self.journal?;
        let socket = PathBuf::from(journal::SOCKET);
        socket.exists().then(|| JournalSpec {
            socket,
            worker: record.worker.clone(),
            queue: record.queue.name.clone(),
            lines_per_second: limits.lines_per_second,
            budget: limits.budget,
        })
    }

    /// What clearml-agent.md 3.8 lists, each CLEARML_ variable with its TRAINS_ twin; nothing of the daemon's own.
    fn variables(&self, record: &RunRecord, _identity: &Identity) -> BTreeMap<String, String> {
        let mut variables = self.network.clone();
        let mut clearml = |name: &str, value: &str| {
            variables.insert(format!("CLEARML_{name}"), value.to_owned());
            variables.insert(format!("TRAINS_{name}"), value.to_owned());
        };
        clearml("TASK_ID", record.task.as_str());
        clearml("WORKER_ID", record.worker_id().as_str());
        clearml("WORKER_NAME", record.worker_id().as_str());
        clearml("LOG_LEVEL", "INFO");
        // The worker ships the console; the SDK must not do it again.
        clearml("LOG_TASK_TO_BACKEND", "0");
        clearml("API_HOST", &self.server.api);
        clearml("WEB_HOST", &self.server.web);
        clearml("FILES_HOST", &self.server.files);
        if self.unverified {
            clearml("API_HOST_VERIFY_CERT", "0");
        }
        let mut plain = |name: &str, value: &str| variables.insert(name.to_owned(), value.to_owned());
        plain("PYTHONIOENCODING", "utf-8");
        variables.extend(gpus::variables(&record.lease()));
        variables
    }
}

fn clone_pair((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

/// Names that a task may set: nothing that makes the loader or git run code of the task before the program, where
/// caches of others can be written, and nothing that we set ourselves.
fn is_variable(name: &str) -> bool {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let ours = ["CLEARML_", "TRAINS_", "LD_", "GIT_"].iter().any(|prefix| name.starts_with(prefix));
    plain && !ours && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests;
