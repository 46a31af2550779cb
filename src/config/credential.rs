//! The systemd credential [`NAME`]: the section `api` that `clearmlctl init` has checked and stored. systemd hands it to
//! the daemon alone (LoadCredential=); it lies over clearml.conf, and environment variables win over both.
//!
//! A credential that cannot be used leaves the host without a server; it does not keep the daemon from supervising what
//! runs. The drop-in that declares it has [`MISSING`] as its fallback, or PID 1 would refuse to start the unit when the
//! file is gone.

use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::hocon::{self, Kind, Position, Value};

/// Its name below `CREDENTIALS_DIRECTORY`.
pub const NAME: &str = "clearml.credentials";
/// What the credential holds when the file that it comes from is not there.
pub const MISSING: &str = "missing";

/// What there is of it.
pub(super) struct Credential {
    /// Where it was found.
    pub(super) path: PathBuf,
    /// Its section `api`, or why it cannot be used, with the next step.
    pub(super) api: Result<Value, String>,
}

/// None where systemd was given none.
pub(super) fn read(environment: &Environment) -> Option<Credential> {
    let path = Path::new(environment.get("CREDENTIALS_DIRECTORY")?).join(NAME);
    let text = match hocon::read_limited(&path) {
        Ok(text) => text,
        Err(_) if !path.exists() => return None,
        Err(problem) => return Some(Credential { api: Err(unusable(&problem)), path }),
    };
    if text.trim() == MISSING {
        let problem = "the credential clearml.credentials is declared for clearmld.service, but its file is not there \
                       (`systemctl cat clearmld` names it); run `clearmlctl init` to write it anew";
        return Some(Credential { path, api: Err(problem.to_owned()) });
    }
    Some(Credential { api: section(&text, &path), path })
}

fn section(text: &str, path: &Path) -> Result<Value, String> {
    // Nothing of the host goes into it: it is to mean the same wherever it is read.
    let document = hocon::read_text(text, &path.display().to_string(), &Environment::default());
    let root = document.map_err(|errors| unusable(&first(&errors)))?.root;
    let Some(api) = root.get(&["api"]).filter(|api| matches!(api.kind, Kind::Object(_))) else {
        return Err(unusable("it has no section api"));
    };
    if api.get(&["credentials"]).is_none() && api.get(&["auth_token"]).is_none() {
        return Err(unusable("it has no api.credentials"));
    }
    let mut api = api.clone();
    // A token of clearml.conf would win over the key pair.
    if let Kind::Object(fields) = &mut api.kind {
        let nothing = || Value { kind: Kind::Null, at: Position::whole(path) };
        fields.entry("auth_token".to_owned()).or_insert_with(nothing);
    }
    Ok(api)
}

fn first(errors: &[hocon::HoconError]) -> String {
    errors.first().map(ToString::to_string).unwrap_or_default()
}

fn unusable(problem: &str) -> String {
    format!(
        "the credential clearml.credentials cannot be used: {problem}; run `clearmlctl init --force` to write it anew"
    )
}
