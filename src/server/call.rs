//! One call of an endpoint: who asks, with what, and how an answer is refused.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Map, Value};

use super::auth::{Authority, Identity};
use super::store::{Documents, Kind};
use super::time::Moment;

/// A JSON object.
pub(super) type Object = Map<String, Value>;

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32, pub(super) u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// What an endpoint is given.
pub(super) struct Call<'c> {
    pub(super) documents: &'c Documents<'c>,
    pub(super) authority: &'c Authority,
    pub(super) who: Identity,
    pub(super) version: Version,
    pub(super) body: Object,
    /// The lines of a batch; a plain body is a batch of one.
    pub(super) lines: Vec<Value>,
    /// `X-Clearml-Worker`.
    pub(super) worker: Option<String>,
    pub(super) peer: String,
    /// One moment for the whole call, so that all stamps of a change agree.
    pub(super) now: Moment,
    /// How long after its arrival a log event is shown; zero unless somebody has asked for it.
    pub(super) log_delay: Duration,
}

/// Why a call is refused: the pair `(code, subcode)` is what clients go by.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct ApiError {
    pub(super) code: u16,
    pub(super) subcode: u16,
    pub(super) message: String,
    /// The real server has no transactions: a few calls fail after they have changed something.
    pub(super) keeps_changes: bool,
}

// === impl ApiError ===

impl ApiError {
    pub(super) fn new(code: u16, subcode: u16, message: impl Into<String>) -> Self {
        Self { code, subcode, message: message.into(), keeps_changes: false }
    }

    pub(super) fn invalid_field(field: &str, reason: &str) -> Self {
        Self::new(400, 12, format!("Validation error (error for field '{field}'. {reason})"))
    }

    pub(super) fn bad_value(reason: impl std::fmt::Display) -> Self {
        Self::new(400, 16, format!("Value error in fields: {reason}"))
    }

    pub(super) fn no_task(id: &str) -> Self {
        Self::new(400, 101, format!("Invalid task id: id={id}"))
    }

    pub(super) fn database(reason: &str) -> Self {
        Self::new(500, 102, format!("Database is unavailable: {reason}"))
    }

    pub(super) fn keeping_changes(self) -> Self {
        Self { keeps_changes: true, ..self }
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        Self::database(&error.to_string())
    }
}

// === impl Call ===

impl Call<'_> {
    /// A document of ours, or the error that its absence is.
    pub(super) fn existing(&self, kind: Kind, id: &str) -> Result<Value, ApiError> {
        self.documents.get(kind, id)?.ok_or_else(|| match kind {
            Kind::Task => ApiError::no_task(id),
            Kind::Queue => ApiError::new(400, 701, format!("Invalid queue id: id={id}")),
            Kind::Worker => ApiError::new(400, 1001, format!("Invalid worker id: id={id}")),
            Kind::Project => ApiError::new(400, 401, format!("Invalid project id: id={id}")),
            Kind::Model => ApiError::new(400, 201, format!("Invalid model id: id={id}")),
            Kind::Setting => ApiError::new(400, 10, format!("Invalid id: id={id}")),
        })
    }

    pub(super) fn text(&self, field: &str) -> Result<Option<String>, ApiError> {
        text_of(&self.body, field)
    }

    pub(super) fn required_text(&self, field: &str) -> Result<String, ApiError> {
        required_text_of(&self.body, field)
    }

    /// A flag; the query string makes numbers of `0` and `1`.
    pub(super) fn flag(&self, field: &str, default: bool) -> Result<bool, ApiError> {
        match self.body.get(field) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::Number(number)) => Ok(number.as_f64() != Some(0.0)),
            Some(_) => Err(ApiError::invalid_field(field, "expected a boolean")),
        }
    }

    pub(super) fn integer(&self, field: &str) -> Result<Option<i64>, ApiError> {
        match self.body.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                integer_from(value).map(Some).ok_or_else(|| ApiError::invalid_field(field, "expected an integer"))
            }
        }
    }

    pub(super) fn object(&self, field: &str) -> Result<Option<&Object>, ApiError> {
        match self.body.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(ApiError::invalid_field(field, "expected an object")),
        }
    }

    /// A list of texts; one text is a list of one.
    pub(super) fn texts(&self, field: &str) -> Result<Option<Vec<String>>, ApiError> {
        let expected = || ApiError::invalid_field(field, "expected a list of strings");
        match self.body.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(vec![text.clone()])),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(expected))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(expected()),
        }
    }

    /// A list of objects.
    pub(super) fn objects(&self, field: &str) -> Result<Option<Vec<Object>>, ApiError> {
        let expected = || ApiError::invalid_field(field, "expected a list of objects");
        match self.body.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_object().cloned().ok_or_else(expected))
                .collect::<Result<_, _>>()
                .map(Some),
            Some(_) => Err(expected()),
        }
    }

    pub(super) fn required_objects(&self, field: &str) -> Result<Vec<Object>, ApiError> {
        self.objects(field)?.ok_or_else(|| required(field))
    }

    pub(super) fn required_texts(&self, field: &str) -> Result<Vec<String>, ApiError> {
        self.texts(field)?.ok_or_else(|| required(field))
    }

    /// The same call with another body: how `*_many` asks for each.
    pub(super) fn with_body(&self, body: Object) -> Call<'_> {
        Call {
            documents: self.documents,
            authority: self.authority,
            who: self.who.clone(),
            version: self.version,
            body,
            lines: Vec::new(),
            worker: self.worker.clone(),
            peer: self.peer.clone(),
            now: self.now,
            log_delay: self.log_delay,
        }
    }
}

fn required(field: &str) -> ApiError {
    ApiError::invalid_field(field, "field is required!")
}

/// A text of an object, null being none. Numbers are refused: an id must not be guessed.
pub(super) fn text_of(object: &Object, field: &str) -> Result<Option<String>, ApiError> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(ApiError::invalid_field(field, "expected a string")),
    }
}

pub(super) fn required_text_of(object: &Object, field: &str) -> Result<String, ApiError> {
    text_of(object, field)?.ok_or_else(|| required(field))
}

/// An integer, also one written as `3.0`.
pub(super) fn integer_from(value: &Value) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small enough just before")]
    let whole = |float: f64| (float.fract() == 0.0 && float.abs() < 9.0e15).then_some(float as i64);
    value.as_i64().or_else(|| value.as_f64().and_then(whole))
}

/// 32 lower-case hexadecimal digits.
pub(super) fn new_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// The address as the server shows it of a worker: behind a proxy the first forwarded one.
pub(super) fn shown_address(headers: &axum::http::HeaderMap, peer: SocketAddr) -> String {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let forwarded = header("x-forwarded-for").and_then(|list| list.split(',').next()).or_else(|| header("x-real-ip"));
    forwarded.map_or_else(|| peer.ip().to_string(), |address| address.trim().chars().take(64).collect())
}
