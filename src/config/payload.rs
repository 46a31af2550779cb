//! What the SDK inside a payload may read of the configuration.

use secrecy::SecretString;
use serde_json::{Map, Value as Json, json};

use super::hocon::Value;
use super::server::{ServerConfig, Verify};

/// clearml-agent's `hide_secrets`, and the keys of storage and of a key pair that it does not name.
const SECRET_PARTS: [&str; 6] = ["secret", "pass", "token", "account_key", "contents", "credential"];
const SECRET_NAMES: [&str; 4] = ["key", "access_key", "sas", "private_key"];

pub(super) fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_NAMES.contains(&key.as_str()) || SECRET_PARTS.iter().any(|part| key.contains(part))
}

/// Takes every secret out; tells how many there were.
pub(super) fn without_secrets(value: &mut Json) -> usize {
    match value {
        Json::Object(fields) => {
            let before = fields.len();
            // An empty value is no secret, and stock files are full of them.
            fields.retain(|key, value| !is_secret_key(key) || value.is_boolean() || is_empty(value));
            let removed = before - fields.len();
            removed + fields.values_mut().map(without_secrets).sum::<usize>()
        }
        Json::Array(items) => items.iter_mut().map(without_secrets).sum(),
        Json::String(text) => {
            let masked = super::reader::mask_url(text);
            let changed = usize::from(masked != *text);
            *text = masked;
            changed
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
    }
}

/// Every secret in it.
pub(super) fn secrets(value: &Json, found: &mut Vec<SecretString>) {
    match value {
        Json::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Json::String(text) if is_secret_key(key) => found.push(SecretString::from(text.clone())),
                    other => secrets(other, found),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| secrets(item, found)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(fields) => fields.values().all(is_empty),
        Json::Bool(_) | Json::Number(_) => false,
    }
}

pub(super) fn document(sdk: Option<&Value>, server: Option<&ServerConfig>, with_secrets: bool) -> Json {
    let mut sdk = sdk.map_or_else(|| json!({}), Value::to_json);
    if !with_secrets {
        without_secrets(&mut sdk);
    }
    let mut api = Map::new();
    if let Some(server) = server {
        api.insert("api_server".to_owned(), json!(server.api.value));
        for (key, url) in [("web_server", &server.web), ("files_server", &server.files)] {
            if let Some(url) = url {
                api.insert(key.to_owned(), json!(url.value));
            }
        }
        let verify = match &server.verify.value {
            Verify::System => json!(true),
            Verify::Off => json!(false),
            Verify::Authority(path) => json!(path),
        };
        api.insert("verify_certificate".to_owned(), verify);
    }
    json!({ "api": api, "sdk": sdk })
}
