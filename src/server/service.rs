//! `debug.*`, `server.*` and `login.*`: what the server says of itself.

use serde_json::{Value, json};

use super::auth::{API_VERSION, COMPANY_ID, SERVER_VERSION};
use super::call::{ApiError, Call, Version};

pub(super) fn ping(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut answer = call.body.clone();
    answer.insert("msg".to_owned(), json!("ClearML server"));
    Ok(Value::Object(answer))
}

pub(super) fn info(call: &Call<'_>) -> Result<Value, ApiError> {
    let mut answer = json!({"version": SERVER_VERSION, "build": "", "commit": ""});
    if call.version >= Version(2, 8) {
        answer["uid"] = json!(COMPANY_ID);
    }
    if call.version >= Version(2, 12) {
        answer["api_version"] = json!(API_VERSION.to_string());
    }
    Ok(answer)
}

pub(super) fn report_stats_option(_: &Call<'_>) -> Result<Value, ApiError> {
    Ok(json!({"supported": false, "enabled": false}))
}

pub(super) fn supported_modes(_: &Call<'_>) -> Result<Value, ApiError> {
    Ok(json!({
        "authenticated": false, "basic": {"enabled": false, "guest": {"enabled": false}},
        "sso": {}, "sso_providers": [], "server_errors": {"missed_es_upgrade": false, "es_connection_error": false},
    }))
}
