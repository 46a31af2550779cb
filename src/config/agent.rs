//! The section `agent`, as far as clearmld does what it says.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::SecretString;

use super::hocon::{Kind, Value};
use super::origin::{Origin, Sourced};
use super::reader::{Reader, mask_url};
use crate::domain::handover::GitCredential;
use crate::domain::hours::{KeptHours, Timetable};

/// What of `agent` is honoured.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Replaces the host name in worker ids.
    pub worker_name: Option<Sourced<String>>,
    /// Taken verbatim as the worker's id.
    pub worker_id: Option<Sourced<String>>,
    /// The hours of workers that say none themselves.
    pub hours: KeptHours,
    /// The most specific first: `agent.git.extra_credentials`, then `agent.git_user`.
    pub git: Vec<GitCredential>,
    /// Hyperparameters of section `Environment` become variables of the program.
    pub enable_task_env: bool,
    /// How packages are installed.
    pub packages: PackageConfig,
    /// `3.11`, where the task names none.
    pub default_python: Option<String>,
    /// Take `default_python` even where the task names one.
    pub ignore_requested_python_version: bool,
    /// Between two `tasks.ping`.
    pub task_ping_interval: Duration,
    /// How long the SDK's abort callback may take.
    pub abort_callback_max_timeout: Duration,
    /// The section `environment`: variables for every program, where `agent.apply_environment` is on.
    pub environment: BTreeMap<String, SecretString>,
}

/// `agent.package_manager`.
#[derive(Debug, Clone)]
pub struct PackageConfig {
    /// As it is written; `pip` when nobody says it. Which installer is used is [`OwnConfig::installer`](super::OwnConfig).
    pub kind: PackageManager,
    /// Further package indexes; may hold credentials.
    pub extra_index_urls: Vec<SecretString>,
    /// Further arguments for the installer.
    pub extra_arguments: Vec<String>,
    /// Packages of the interpreter itself are visible.
    pub system_site_packages: bool,
    /// The repository's requirements.txt wins over the task's requirements.
    pub force_repo_requirements_txt: bool,
    /// What the author wrote wins over what a former run has frozen.
    pub force_original_requirements: bool,
}

/// `agent.package_manager.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "names of programs")]
pub enum PackageManager {
    Pip,
    Uv,
    Conda,
    Poetry,
}

pub(super) fn read(reader: &mut Reader<'_>) -> AgentConfig {
    AgentConfig {
        worker_name: reader.text("agent.worker_name", Some("CLEARML_WORKER_NAME")),
        worker_id: reader.text("agent.worker_id", Some("CLEARML_WORKER_ID")),
        hours: hours(reader),
        git: git(reader),
        enable_task_env: reader.boolean("agent.enable_task_env", None, false).value,
        packages: packages(reader),
        default_python: reader.text("agent.default_python", None).map(|found| found.value),
        ignore_requested_python_version: reader.boolean("agent.ignore_requested_python_version", None, false).value,
        task_ping_interval: reader.seconds("agent.task_ping_interval_sec", None, 1.0..=3600.0, 60.0).value,
        abort_callback_max_timeout: reader
            .seconds(
                "agent.abort_callback_max_timeout",
                Some("CLEARML_AGENT_ABORT_CALLBACK_TIMEOUT"),
                0.0..=86_400.0,
                1800.0,
            )
            .value,
        environment: environment(reader),
    }
}

/// With both, clearml-agent takes no notice of either, and says so.
fn hours(reader: &mut Reader<'_>) -> KeptHours {
    let (uptime, downtime) = (reader.texts("agent.uptime"), reader.texts("agent.downtime"));
    let (key, origin) = match (uptime.first(), downtime.first()) {
        (None, None) => return KeptHours::default(),
        (Some(first), None) => ("agent.uptime", first.origin.clone()),
        (None, Some(first)) => ("agent.downtime", first.origin.clone()),
        (Some(_), Some(second)) => {
            let text = "agent.downtime: agent.uptime is set as well; as with clearml-agent neither has an effect, and \
                        workers know no hours but their own; keep one of them";
            reader.remark(second.origin.clone(), text);
            return KeptHours::default();
        }
    };
    let entries = |list: Vec<Sourced<String>>| list.into_iter().map(|entry| entry.value).collect::<Vec<_>>();
    match Timetable::of(&entries(uptime), &entries(downtime)) {
        Ok(timetable) => KeptHours { timetable, said_in: Some(format!("{key}, {origin}")) },
        Err((_, error)) => {
            reader.error(origin, key, error.to_string());
            KeptHours::default()
        }
    }
}

fn packages(reader: &mut Reader<'_>) -> PackageConfig {
    let key = "agent.package_manager.type";
    let kind = reader.text(key, None).map_or(PackageManager::Pip, |found| match found.value.as_str() {
        "pip" => PackageManager::Pip,
        "uv" => PackageManager::Uv,
        other @ ("conda" | "poetry") => {
            let text = format!("{key}: {other} is not supported; packages are installed by uv or pip");
            reader.remark(found.origin, text);
            if other == "conda" { PackageManager::Conda } else { PackageManager::Poetry }
        }
        _ => {
            reader.error(found.origin, key, "it is none of pip, uv, conda, poetry; write one of them");
            PackageManager::Pip
        }
    });
    let mut extra_arguments = reader.texts("agent.package_manager.extra_pip_install_flags");
    if let Some(flags) = reader.environment.text("CLEARML_EXTRA_PIP_INSTALL_FLAGS") {
        // As clearml-agent: the variable replaces the key; flags are separated by blanks.
        let origin = Origin::Variable("CLEARML_EXTRA_PIP_INSTALL_FLAGS".to_owned());
        extra_arguments =
            flags.split_whitespace().map(|flag| Sourced { value: flag.to_owned(), origin: origin.clone() }).collect();
    }
    let mut extra_index_urls: Vec<SecretString> = reader
        .texts("agent.package_manager.extra_index_url")
        .into_iter()
        .map(|text| SecretString::from(text.value))
        .collect();
    let extra_arguments = without_urls(reader, extra_arguments, &mut extra_index_urls);
    PackageConfig {
        kind,
        extra_index_urls,
        extra_arguments,
        system_site_packages: reader.boolean("agent.package_manager.system_site_packages", None, false).value,
        force_repo_requirements_txt: reader
            .boolean("agent.package_manager.force_repo_requirements_txt", None, false)
            .value,
        force_original_requirements: reader
            .boolean("agent.package_manager.force_original_requirements", None, false)
            .value,
    }
}

/// Index URLs are no arguments: they may hold credentials, and every user of the host can read argv.
fn without_urls(
    reader: &mut Reader<'_>,
    arguments: Vec<Sourced<String>>,
    index_urls: &mut Vec<SecretString>,
) -> Vec<String> {
    const FLAG: &str = "--extra-index-url";
    let mut kept = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let text = &argument.value;
        let inline = text.strip_prefix(FLAG).and_then(|rest| rest.strip_prefix(['=', ' ']));
        if let Some(url) = inline {
            index_urls.push(SecretString::from(url.trim().to_owned()));
        } else if text == FLAG {
            index_urls.extend(arguments.next().map(|url| SecretString::from(url.value)));
        } else if mask_url(text) != *text {
            let problem = "a URL with a password would show in the process list; \
                           put it into agent.package_manager.extra_index_url";
            reader.error(argument.origin, "agent.package_manager.extra_pip_install_flags", problem);
        } else {
            kept.push(argument.value);
        }
    }
    kept
}

fn git(reader: &mut Reader<'_>) -> Vec<GitCredential> {
    let mut credentials = extra_git(reader);
    let user = reader.text("agent.git_user", Some("CLEARML_AGENT_GIT_USER"));
    let password = reader.secret("agent.git_pass", Some("CLEARML_AGENT_GIT_PASS"));
    let host = reader.text("agent.git_host", Some("CLEARML_AGENT_GIT_HOST")).map(|found| found.value);
    match (user, password) {
        (Some(user), Some(password)) => {
            credentials.push(GitCredential { host, user: user.value, password: password.value });
        }
        (Some(user), None) => {
            reader.error(
                user.origin,
                "agent.git_user",
                "its password is missing; set agent.git_pass, or remove the user",
            );
        }
        (None, Some(password)) => {
            reader.error(
                password.origin,
                "agent.git_pass",
                "its user is missing; set agent.git_user, or remove the password",
            );
        }
        (None, None) => {}
    }
    credentials
}

fn extra_git(reader: &mut Reader<'_>) -> Vec<GitCredential> {
    const KEY: &str = "agent.git.extra_credentials";
    let Some(value) = reader.find(KEY) else { return Vec::new() };
    let Kind::List(items) = &value.kind else {
        reader.error(Origin::from(&value.at), KEY, "it is no list; write [{user: …, pass: …, host: …}]");
        return Vec::new();
    };
    let mut credentials = Vec::new();
    for item in items {
        let field = |names: [&str; 2]| {
            let text = names.iter().find_map(|name| item.get(&[name]).and_then(Value::scalar_text));
            text.filter(|text| !text.is_empty())
        };
        match (field(["user", "username"]), field(["pass", "password"])) {
            (Some(user), Some(password)) => {
                let host = field(["host", "host"]);
                credentials.push(GitCredential { host, user, password: SecretString::from(password) });
            }
            _ => reader.error(Origin::from(&item.at), KEY, "an entry needs user and pass; complete it or remove it"),
        }
    }
    reader.describe(KEY, format!("{} entries", credentials.len()), &Origin::from(&value.at));
    credentials
}

fn environment(reader: &mut Reader<'_>) -> BTreeMap<String, SecretString> {
    let apply = reader.boolean("agent.apply_environment", Some("CLEARML_AGENT_ENABLE_ENV_CONFIG_SECTION"), true).value;
    let mut variables = BTreeMap::new();
    let Some(Value { kind: Kind::Object(fields), .. }) = reader.find("environment").filter(|_| apply) else {
        return variables;
    };
    for (name, value) in fields {
        let key = format!("environment.{name}");
        let origin = Origin::from(&value.at);
        match value.scalar_text() {
            Some(text) if !name.is_empty() && !name.contains(['=', '\0']) && !text.contains('\0') => {
                reader.describe(&key, "****", &origin);
                variables.insert(name.clone(), SecretString::from(text));
            }
            Some(_) => reader.error(origin, &key, "no variable can have this name or value; change it"),
            None => reader.error(origin, &key, format!("it is {}; write one plain value", value.kind.name())),
        }
    }
    variables
}
