//! Reading answers: tolerant of odd types where a default is harmless, strict where it is not. A list of tasks that is
//! missing must not read as "all tasks are deleted".

use std::str::FromStr;

use serde_json::Value;

use super::failure::Failure;
use crate::domain::ids::InvalidId;

/// A text; numbers and truth values as they are written, anything else is empty.
pub(super) fn text(value: &Value, key: &str) -> String {
    plain(value.get(key))
}

/// A trimmed text that is not empty.
pub(super) fn word(value: &Value, key: &str) -> Option<String> {
    Some(text(value, key).trim().to_owned()).filter(|text| !text.is_empty())
}

pub(super) fn plain(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        None | Some(Value::Null | Value::Array(_) | Value::Object(_)) => String::new(),
    }
}

/// A list whose absence would mean something else than its emptiness.
pub(super) fn required_list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], Failure> {
    let list = value.get(key).and_then(Value::as_array);
    list.map(Vec::as_slice).ok_or_else(|| Failure::odd(format!("it has no list `{key}`")))
}

/// A list that may be absent.
pub(super) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// An identifier, checked: it becomes a path here.
pub(super) fn id<T: FromStr<Err = InvalidId>>(value: &Value, key: &str) -> Result<T, Failure> {
    match value.get(key).and_then(Value::as_str) {
        Some(text) => text.parse().map_err(|error: InvalidId| Failure::odd(error.to_string())),
        None => Err(Failure::odd(format!("it has no text `{key}`"))),
    }
}

/// Texts of a list, whatever else is in it.
pub(super) fn texts(value: &Value, key: &str) -> Vec<String> {
    list(value, key).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// What Python would take for true.
pub(super) fn truthy(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(truth)) => *truth,
        Some(Value::Number(number)) => number.as_f64().is_some_and(|number| number != 0.0),
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(map)) => !map.is_empty(),
    }
}

/// A number of seconds, rounded up; also when it is written as a text. Negative ones and nonsense are none.
pub(super) fn seconds(value: Option<&Value>) -> Option<u64> {
    const MOST: f64 = 1e9;
    let number = match value? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    (number >= 0.0).then(|| number.min(MOST).ceil() as u64)
}

/// Requirements: a text, a list of lines, or nothing. An empty list is a section that is there, and empty.
pub(super) fn lines(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.clone()),
        Value::Array(lines) => Some(lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}
