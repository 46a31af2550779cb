//! `secrets.json`: what nobody else may read.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// What must never be in argv, in a log or in a world-readable file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// [`VERSION`].
    pub version: u32,
    /// Variables of the program (`CLEARML_AUTH_TOKEN`, …).
    #[serde(serialize_with = "expose_map")]
    pub variables: BTreeMap<String, SecretString>,
    /// For the source and environment stages.
    pub git: Vec<GitCredential>,
    /// Package index URLs with credentials in them, for the environment stage.
    #[serde(serialize_with = "expose_list")]
    pub index_urls: Vec<SecretString>,
    /// clearml.conf as the SDK may read it, written into the payload's home before the program starts.
    #[serde(default, serialize_with = "expose_option")]
    pub sdk_config: Option<SecretString>,
}

/// A user and password for a git host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GitCredential {
    /// Only this host; none for every host.
    pub host: Option<String>,
    /// The user.
    pub user: String,
    /// The password or personal access token.
    #[serde(serialize_with = "expose")]
    pub password: SecretString,
}

fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

fn expose_option<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(ExposeSecret::expose_secret).serialize(serializer)
}

fn expose_map<S: Serializer>(map: &BTreeMap<String, SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(map.iter().map(|(name, secret)| (name, secret.expose_secret())))
}

fn expose_list<S: Serializer>(list: &[SecretString], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(ExposeSecret::expose_secret))
}
