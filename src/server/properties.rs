//! `workers.get_runtime_properties` and `set_runtime_properties`, in the shape that clearml-agent expects of servers that
//! have them.

use serde_json::{Value, json};

use super::call::{ApiError, Call, required_text_of};
use super::store::Kind;

/// Beside other small settings; the same worker of another user is another worker.
fn key(call: &Call<'_>, worker: &str) -> String {
    format!("runtime_properties_{}_{worker}", call.who.user)
}

/// Those that have not expired, as they are stored.
fn kept(call: &Call<'_>, worker: &str) -> Result<Vec<Value>, ApiError> {
    let found = call.documents.get(Kind::Setting, &key(call, worker))?;
    let mut properties = found.and_then(|found| found["properties"].as_array().cloned()).unwrap_or_default();
    properties.retain(|property| property["expires_ms"].as_i64().is_none_or(|at| at > call.now.millis()));
    Ok(properties)
}

/// `expiry` is in seconds from now; null is never.
pub(super) fn get(call: &Call<'_>) -> Result<Value, ApiError> {
    let worker = call.required_text("worker")?;
    let shown = |property: Value| {
        let left = property["expires_ms"].as_i64().map(|at| (at - call.now.millis()).div_euclid(1000));
        json!({"key": property["key"], "value": property["value"], "expiry": left})
    };
    let properties: Vec<Value> = kept(call, &worker)?.into_iter().map(shown).collect();
    Ok(json!({"runtime_properties": properties}))
}

pub(super) fn set(call: &Call<'_>) -> Result<Value, ApiError> {
    let worker = call.required_text("worker")?;
    let mut properties = kept(call, &worker)?;
    for property in call.objects("runtime_properties")?.unwrap_or_default() {
        let (name, value) = (required_text_of(&property, "key")?, required_text_of(&property, "value")?);
        properties.retain(|known| known["key"] != name);
        let expires = property.get("expiry").and_then(Value::as_i64).map(|left| call.now.millis() + left * 1000);
        properties.push(json!({"key": name, "value": value, "expires_ms": expires}));
    }
    call.documents.put(Kind::Setting, &key(call, &worker), &json!({"properties": properties}))?;
    Ok(json!({}))
}
