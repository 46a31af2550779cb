//! `users.*`: there is one.

use serde_json::{Value, json};

use super::auth::{COMPANY_ID, COMPANY_NAME, USER_ID, USER_NAME};
use super::call::{ApiError, Call};
use super::store::Kind;

fn user() -> Value {
    json!({"id": USER_ID, "name": USER_NAME, "given_name": USER_NAME, "family_name": ""})
}

pub(super) fn get_current(_: &Call<'_>) -> Result<Value, ApiError> {
    let mut user = user();
    user["role"] = json!("admin");
    user["company"] = json!({"id": COMPANY_ID, "name": COMPANY_NAME});
    Ok(json!({"user": user, "getting_started": {}, "settings": {"max_download_items": "1000"}}))
}

pub(super) fn get_all(_: &Call<'_>) -> Result<Value, ApiError> {
    Ok(json!({"users": [user()]}))
}

pub(super) fn get_by_id(call: &Call<'_>) -> Result<Value, ApiError> {
    let id = call.required_text("user")?;
    if id != USER_ID {
        return Err(ApiError::new(400, 301, format!("Invalid user id: id={id}")));
    }
    Ok(json!({"user": user()}))
}

pub(super) fn get_preferences(call: &Call<'_>) -> Result<Value, ApiError> {
    let kept = call.documents.get(Kind::Setting, "preferences")?;
    Ok(json!({"preferences": kept.unwrap_or_else(|| json!({}))}))
}

/// Dotted keys go deep.
pub(super) fn set_preferences(call: &Call<'_>) -> Result<Value, ApiError> {
    let sent =
        call.object("preferences")?.ok_or_else(|| ApiError::invalid_field("preferences", "field is required!"))?;
    let mut kept = call.documents.get(Kind::Setting, "preferences")?.unwrap_or_else(|| json!({}));
    for (key, value) in sent {
        let mut place = &mut kept;
        for segment in key.split('.') {
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[segment];
        }
        *place = value.clone();
    }
    call.documents.put(Kind::Setting, "preferences", &kept)?;
    Ok(json!({"updated": 1, "fields": {}}))
}
