//! Which files are read, and where state and socket are.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::origin::{ConfigError, Origin, Sourced};
use super::{Flags, Host};

/// The files of this configuration.
pub(super) struct Files {
    pub(super) clearml_conf: Option<Sourced<PathBuf>>,
    pub(super) clearmld_toml: Option<PathBuf>,
}

/// The first that there is; one that somebody named must be there.
pub(super) fn find(flags: &Flags, environment: &Environment, host: &Host) -> Result<Files, ConfigError> {
    let named = flags.config.clone().map(|value| Sourced { value, origin: Origin::Flag("--config") }).or_else(|| {
        let (name, path) = environment.twin("CLEARML_CONFIG_FILE")?;
        Some(Sourced { value: home_expanded(Path::new(path), environment), origin: Origin::Variable(name) })
    });
    if let Some(named) = &named
        && !named.value.is_file()
    {
        let problem = format!("`{}` is no readable file; correct the path", named.value.display());
        return Err(ConfigError { origin: named.origin.clone(), key: None, problem });
    }
    let credential =
        environment.get("CREDENTIALS_DIRECTORY").map(|directory| Path::new(directory).join("clearml.conf"));
    let home = environment.get("HOME").map(|home| Path::new(home).join("clearml.conf"));
    let clearml_conf = named.or_else(|| {
        [credential, Some(host.etc.join("clearml.conf")), home]
            .into_iter()
            .flatten()
            .find(|path| path.is_file())
            .map(|value| Sourced { value, origin: Origin::Default })
    });
    let beside = clearml_conf.as_ref().and_then(|file| file.value.parent()).map(|parent| parent.join("clearmld.toml"));
    let clearmld_toml =
        [beside, Some(host.etc.join("clearmld.toml"))].into_iter().flatten().find(|path| path.is_file());
    Ok(Files { clearml_conf, clearmld_toml })
}

/// Others than owner and group may read it.
pub(super) fn is_world_readable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// The flag, else what systemd made for the unit, else the place for root or for this user.
pub(super) fn state_dir(
    flags: &Flags,
    environment: &Environment,
    host: &Host,
) -> Result<Sourced<PathBuf>, ConfigError> {
    if let Some(value) = flags.state_dir.clone() {
        return Ok(Sourced { value: absolute(value), origin: Origin::Flag("--state-dir") });
    }
    if let Some(value) = of_systemd(environment, "STATE_DIRECTORY") {
        return Ok(value);
    }
    if host.is_root {
        return Ok(Sourced { value: PathBuf::from("/var/lib/clearmld"), origin: Origin::Default });
    }
    if let Some(value) = environment.get("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
        return Ok(Sourced { value: value.join("clearmld"), origin: Origin::Variable("XDG_STATE_HOME".to_owned()) });
    }
    match environment.get("HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(home) => Ok(Sourced { value: home.join(".local/state/clearmld"), origin: Origin::Default }),
        None => Err(ConfigError {
            origin: Origin::Variable("HOME".to_owned()),
            key: None,
            problem: "it is not set, so there is no place for the state; set it, or give --state-dir".to_owned(),
        }),
    }
}

/// See [`state_dir`].
pub(super) fn socket(flags: &Flags, environment: &Environment, host: &Host, state_dir: &Path) -> Sourced<PathBuf> {
    const NAME: &str = "clearmld.sock";
    if let Some(value) = flags.socket.clone() {
        return Sourced { value: absolute(value), origin: Origin::Flag("--socket") };
    }
    if let Some(directory) = of_systemd(environment, "RUNTIME_DIRECTORY") {
        return Sourced { value: directory.value.join(NAME), origin: directory.origin };
    }
    // A demo in a directory of its own must not meet the installed daemon's socket.
    if host.is_root && flags.state_dir.is_none() {
        return Sourced { value: Path::new("/run/clearmld").join(NAME), origin: Origin::Default };
    }
    match environment.get("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute()) {
        Some(directory) if !host.is_root && flags.state_dir.is_none() => Sourced {
            value: directory.join("clearmld").join(NAME),
            origin: Origin::Variable("XDG_RUNTIME_DIR".to_owned()),
        },
        Some(_) | None => Sourced { value: state_dir.join(NAME), origin: Origin::Default },
    }
}

/// In the state directory, unless the flag says otherwise.
pub(super) fn local_faults(flags: &Flags, state_dir: &Path) -> Option<PathBuf> {
    let named = flags.local_faults.clone()?;
    Some(named.map_or_else(|| state_dir.join("faults.sock"), absolute))
}

/// Beside the host's own configuration, never where an operator has put workers.d: only root may write there.
pub(super) fn policy_file(flags: &Flags, environment: &Environment, host: &Host, state_dir: &Path) -> PathBuf {
    const NAME: &str = "policy.toml";
    if flags.state_dir.is_some() || !host.is_root {
        return state_dir.join(NAME);
    }
    let directory = of_systemd(environment, "CONFIGURATION_DIRECTORY").map(|directory| directory.value);
    directory.unwrap_or_else(|| host.etc.clone()).join(NAME)
}

/// The flag, else clearmld.toml, else what systemd made for the unit, else the place for root or for this user. A demo in a
/// state directory of its own must not have the installed daemon's workers.
pub(super) fn workers_dir(
    flags: &Flags,
    environment: &Environment,
    host: &Host,
    own: Option<&Sourced<PathBuf>>,
    state_dir: &Path,
) -> Sourced<PathBuf> {
    const NAME: &str = "workers.d";
    if let Some(value) = flags.workers_dir.clone() {
        return Sourced { value: absolute(value), origin: Origin::Flag("--workers-dir") };
    }
    if let Some(own) = own {
        return own.clone();
    }
    if flags.state_dir.is_some() {
        return Sourced { value: state_dir.join(NAME), origin: Origin::Flag("--state-dir") };
    }
    if let Some(directory) = of_systemd(environment, "CONFIGURATION_DIRECTORY") {
        return Sourced { value: directory.value.join(NAME), origin: directory.origin };
    }
    if host.is_root {
        return Sourced { value: host.etc.join(NAME), origin: Origin::Default };
    }
    let absolute = |name: &str| environment.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let place = |directory: PathBuf| directory.join("clearmld").join(NAME);
    match (absolute("XDG_CONFIG_HOME"), absolute("HOME")) {
        (Some(home), _) => Sourced { value: place(home), origin: Origin::Variable("XDG_CONFIG_HOME".to_owned()) },
        (None, Some(home)) => Sourced { value: place(home.join(".config")), origin: Origin::Default },
        (None, None) => Sourced { value: state_dir.join(NAME), origin: Origin::Default },
    }
}

/// systemd separates several directories by `:`; the first is meant.
fn of_systemd(environment: &Environment, name: &str) -> Option<Sourced<PathBuf>> {
    let value = environment.text(name)?;
    let first = value.split(':').next().map(PathBuf::from).filter(|path| path.is_absolute())?;
    Some(Sourced { value: first, origin: Origin::Variable(name.to_owned()) })
}

fn absolute(path: PathBuf) -> PathBuf {
    // Only an empty path or a lost working directory fail here; opening it says so better.
    std::path::absolute(&path).unwrap_or(path)
}

fn home_expanded(path: &Path, environment: &Environment) -> PathBuf {
    match (path.strip_prefix("~"), environment.get("HOME")) {
        (Ok(rest), Some(home)) => Path::new(home).join(rest),
        (Ok(_) | Err(_), _) => path.to_owned(),
    }
}
