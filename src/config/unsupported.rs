//! Settings that clearml-agent would have honoured and clearmld does not: each is told once, with its place.
//!
//! What a stock file says is quiet, and so is what has no meaning here (clearmld has caches of its own).

use super::hocon::{Kind, Value};
use super::origin::{Origin, Remark};

/// Honoured, or without meaning here: everything at and below these.
const QUIET: [&str; 43] = [
    "api.api_server",
    "api.host",
    "api.web_server",
    "api.files_server",
    "api.credentials",
    "api.auth_token",
    "api.verify_certificate",
    "api.version",
    "api.default_version",
    "api.http",
    "api.auth",
    "agent.worker_id",
    "agent.worker_name",
    "agent.uptime",
    "agent.downtime",
    "agent.git_user",
    "agent.git_pass",
    "agent.git_host",
    "agent.git.extra_credentials",
    "agent.default_python",
    "agent.ignore_requested_python_version",
    "agent.package_manager.extra_index_url",
    "agent.package_manager.extra_pip_install_flags",
    "agent.package_manager.system_site_packages",
    "agent.package_manager.force_repo_requirements_txt",
    "agent.package_manager.force_original_requirements",
    "agent.venvs_dir",
    "agent.venvs_cache",
    "agent.vcs_cache",
    "agent.pip_download_cache",
    "agent.docker_pip_cache",
    "agent.docker_apt_cache",
    "agent.docker_poetry_cache",
    "agent.docker_internal_mounts",
    "agent.default_docker",
    "agent.bootstrap",
    "agent.enable_task_env",
    "agent.task_ping_interval_sec",
    "agent.abort_callback_max_timeout",
    "agent.apply_environment",
    "agent.sanitize_config_printout",
    "agent.hide_docker_command_env_vars",
    "agent.disable_agent_update_check",
];

/// What the stock file says (as JSON), or what we do anyway: saying it changes nothing. Anything else is told.
const STOCK: [(&str, &str); 30] = [
    ("agent.force_git_ssh_protocol", "false"),
    ("agent.translate_ssl_replacement_scheme", "\"https\""),
    ("agent.reload_config", "false"),
    ("agent.docker_force_pull", "false"),
    ("agent.disable_task_docker_override", "false"),
    ("agent.docker_apply_environment_from_vault", "true"),
    ("agent.apply_files", "true"),
    ("agent.forbidden_docker_args", "[\"entrypoint\"]"),
    ("agent.package_manager.force_upgrade", "false"),
    ("agent.package_manager.torch_nightly", "false"),
    ("agent.package_manager.poetry_files_from_repo_working_dir", "false"),
    ("agent.package_manager.uv_sync_locked_if_lock_file", "true"),
    ("agent.package_manager.uv_files_from_repo_working_dir", "false"),
    ("agent.package_manager.uv_unsafe_best_match", "false"),
    ("agent.package_manager.uv_replace_pip", "false"),
    ("agent.package_manager.priority_packages", "[\"cython\",\"numpy\",\"setuptools\",\"pip\",\"uv\"]"),
    ("agent.package_manager.priority_optional_packages", "[\"pygobject\"]"),
    ("agent.package_manager.post_packages", "[\"horovod\"]"),
    ("agent.git_host_match_prefix", "false"),
    ("agent.enable_git_ask_pass", "true"),
    ("agent.git_fetch_args", "[\"--all\",\"--tags\",\"--recurse-submodules\"]"),
    ("agent.translate_ssh", "true"),
    ("agent.suppress_carriage_return", "true"),
    // Which of the two installs is clearmld.toml's to say: every stock file says pip.
    ("agent.package_manager.type", "\"pip\""),
    ("agent.package_manager.type", "\"uv\""),
    ("agent.package_manager.pip_version", PIP_VERSION),
    ("agent.package_manager.pip_legacy_resolver", "[\">=20.3,<24.3\"]"),
    ("agent.package_manager.conda_channels", "[\"pytorch\",\"conda-forge\",\"nvidia\",\"defaults\"]"),
    ("agent.package_manager.conda_channels", "[\"pytorch\",\"conda-forge\",\"defaults\"]"),
    // What we do: packages are left as the task names them.
    ("agent.package_manager.pytorch_resolve", "\"none\""),
];

/// pip's own version is the installer's affair here.
const PIP_VERSION: &str = "[\"<20.2 ; python_version < '3.10'\",\"<22.3 ; python_version >= '3.10' and python_version <= '3.11'\",\
    \">=23,<26 ; python_version >= '3.12'\"]";

/// Sections that are read elsewhere, or mean nothing to a worker.
const SECTIONS: [&str; 6] = ["api", "agent", "sdk", "environment", "logging", super::own::SECTION];

pub(super) fn remarks(root: &Value) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let Kind::Object(sections) = &root.kind else { return remarks };
    for (name, value) in sections {
        match name.as_str() {
            "api" | "agent" => walk(name, value, &mut remarks),
            known if SECTIONS.contains(&known) => {}
            _ if says_nothing(value) => {}
            _ => remarks.push(told(name, value, "the section")),
        }
    }
    remarks
}

/// Whether the key, or a section it is in, is honoured or has no meaning here.
#[cfg(test)]
pub(super) fn is_quiet(key: &str) -> bool {
    QUIET.iter().any(|quiet| key.strip_prefix(quiet).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

fn walk(path: &str, value: &Value, remarks: &mut Vec<Remark>) {
    if QUIET.contains(&path) || says_nothing(value) {
        return;
    }
    match &value.kind {
        Kind::Object(fields) => fields.iter().for_each(|(key, value)| walk(&format!("{path}.{key}"), value, remarks)),
        Kind::Null | Kind::Bool(_) | Kind::Integer(_) | Kind::Float(_) | Kind::Text(_) | Kind::List(_) => {
            if !STOCK.iter().any(|(key, stock)| *key == path && is_stock(value, stock)) {
                remarks.push(told(path, value, "the key"));
            }
        }
    }
}

fn is_stock(value: &Value, stock: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(stock).is_ok_and(|stock| stock == value.to_json())
}

fn told(path: &str, value: &Value, what: &str) -> Remark {
    let text = format!("{path}: {what} is not supported by clearmld and has no effect; remove it to silence this");
    Remark { origin: Origin::from(&value.at), text }
}

fn says_nothing(value: &Value) -> bool {
    match &value.kind {
        Kind::Null => true,
        Kind::Text(text) => text.is_empty(),
        Kind::List(items) => items.is_empty(),
        Kind::Object(fields) => fields.is_empty(),
        Kind::Bool(_) | Kind::Integer(_) | Kind::Float(_) => false,
    }
}
