//! The wire: paths, bodies, query strings, the envelope.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::Shared;
use super::auth::{self, Proof};
use super::call::{ApiError, Call, Object, Version, new_id, shown_address};
use super::endpoints::{self, Endpoint};
use super::faults::Fault;
use super::listen::{Door, Dropped};
use super::time::Moment;

mod body;

pub(super) use body::decode_path;

/// The clients cap themselves at 15 MiB; this much is read and no more.
const MAX_BODY: usize = 64 << 20;
/// Smaller answers gain nothing from gzip.
const GZIP_FROM: usize = 500;

/// The port of the API.
#[derive(Debug, Clone)]
pub(super) struct ApiDoor {
    shared: Arc<Shared>,
}

/// What the envelope says of the endpoint.
#[derive(Debug, Default)]
struct Named {
    name: Option<String>,
    requested: Option<Version>,
    actual: Option<Version>,
}

// === impl ApiDoor ===

impl ApiDoor {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    async fn call(
        &self,
        endpoint: &'static Endpoint,
        version: Version,
        request: Request,
        peer: SocketAddr,
    ) -> Result<Value, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = axum::body::to_bytes(body, MAX_BODY)
            .await
            .map_err(|_| ApiError::new(413, 0, "Request Entity Too Large"))?;
        let shared = Arc::clone(&self.shared);
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let headers = parts.headers;
        let peer = shown_address(&headers, peer);
        self.shared
            .store
            .run(move |documents| {
                let now = Moment::now();
                let who = if endpoint.open {
                    auth::Identity { user: String::new(), user_name: String::new(), session: None }
                } else {
                    let who = shared.auth.identify(&Proof::of(&headers), documents, now)?;
                    auth::impersonate(&headers, who)?
                };
                let parsed = body::parse(&headers, &query, &bytes)?;
                (endpoint.run)(&Call {
                    documents,
                    authority: &shared.auth,
                    who,
                    version,
                    body: parsed.body,
                    lines: parsed.lines,
                    worker: text_header(&headers, "x-clearml-worker", "x-trains-worker"),
                    peer,
                    now,
                    log_delay: shared.faults.log_delay(),
                })
            })
            .await
    }
}

impl Door for ApiDoor {
    async fn answer(self, request: Request, peer: SocketAddr) -> Result<Response, Dropped> {
        if self.shared.faults.is_offline() {
            return Err(Dropped);
        }
        if request.method() == axum::http::Method::OPTIONS {
            return Ok(open_to_pages(plain(StatusCode::OK, "text/plain", "")));
        }
        if request.headers().contains_key(header::CONTENT_ENCODING) {
            return Ok(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "text/plain", "Content-Encoding is not supported"));
        }
        if request.uri().path() == "/" {
            return Ok(plain(StatusCode::OK, "text/html; charset=utf-8", WELCOME));
        }
        let headers = request.headers().clone();
        let mut named = Named::default();
        let properties = self.shared.properties.load(Ordering::Relaxed);
        let found = resolve(request.uri().path(), properties, &mut named);
        let (endpoint, version) = match found {
            Ok(found) => found,
            Err(error) => return Ok(enveloped(&headers, &named, Err(error))),
        };
        let has_token = Proof::of(&headers).is_token();
        let fault = self.shared.faults.take(endpoint.name, has_token);
        let result = match fault {
            Some(Fault::Drop) => return Err(Dropped),
            Some(Fault::Status(code)) => Err(ApiError::new(code, 0, "asked to fail")),
            Some(Fault::Refuse { code, subcode }) => Err(ApiError::new(code, subcode, "asked to refuse")),
            Some(Fault::ExpiredToken) => {
                Err(ApiError::new(401, 30, "Unauthorized (invalid token) (reason=Signature has expired)"))
            }
            Some(Fault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                self.call(endpoint, version, request, peer).await
            }
            Some(Fault::DropReply) => {
                // What it answers is what the client never learns.
                let _ = self.call(endpoint, version, request, peer).await;
                return Err(Dropped);
            }
            Some(Fault::CutReply) | None => self.call(endpoint, version, request, peer).await,
        };
        let mut response = enveloped(&headers, &named, result.as_ref());
        if endpoint.name == "auth.login"
            && let Some(token) = result.as_ref().ok().and_then(|data| data["token"].as_str())
            && let Ok(cookie) = HeaderValue::from_str(&format!(
                "clearml_token_basic={token}; Max-Age=99999999999; HttpOnly; Path=/; SameSite=Lax"
            ))
        {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        Ok(if fault == Some(Fault::CutReply) { cut(response).await } else { response })
    }
}

/// The head and half of the body: then the connection breaks.
async fn cut(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    // It is in memory already, so that reading it cannot fail.
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    parts.headers.insert(header::CONTENT_LENGTH, bytes.len().into());
    let half = bytes.slice(..bytes.len() / 2);
    let pieces = stream::iter([Some(half), None]).then(|piece| async {
        match piece {
            Some(half) => Ok(half),
            None => {
                // What was written is to be on its way first.
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(Dropped)
            }
        }
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

const WELCOME: &str = "<!doctype html><title>clearmld</title><h1>clearmld local server</h1>\
<p>This is the API of the ClearML server that is part of <code>clearmld</code>. It has no web interface: use \
<code>clearmlctl</code> or the <code>clearml</code> SDK.</p>\n";

/// The endpoint a path names, and the version it is asked in. Runtime properties are a thing that a server has or not.
fn resolve(path: &str, properties: bool, named: &mut Named) -> Result<(&'static Endpoint, Version), ApiError> {
    let invalid = || {
        let shown: String = path.chars().take(200).collect();
        ApiError::new(400, 0, format!("Invalid request path {shown}"))
    };
    let mut segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if segments.last() == Some(&"") {
        segments.pop();
    }
    let (version, name) = match segments.as_slice() {
        [name] => (auth::API_VERSION, *name),
        [version, name] => (parse_version(version).ok_or_else(invalid)?, *name),
        _ => return Err(invalid()),
    };
    let (service, action) = name.split_once('.').ok_or_else(invalid)?;
    if !is_word(service) || !is_word(action) {
        return Err(invalid());
    }
    named.name = Some(name.to_owned());
    named.requested = Some(version);
    let found = endpoints::find(name, version).filter(|_| properties || !name.ends_with("_runtime_properties"));
    let (endpoint, actual) = found.ok_or_else(|| {
        ApiError::new(404, 0, format!("Unable to find endpoint for name {name} and version {version}"))
    })?;
    named.actual = Some(actual);
    Ok((endpoint, version))
}

fn parse_version(segment: &str) -> Option<Version> {
    let (major, minor) = segment.strip_prefix('v')?.split_once('.')?;
    Some(Version(major.parse().ok()?, minor.parse().ok()?))
}

fn is_word(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && text.len() >= 2
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn text_header(headers: &HeaderMap, clearml: &str, trains: &str) -> Option<String> {
    headers.get(clearml).or_else(|| headers.get(trains)).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Versions are texts, but were numbers in the clients' oldest days.
fn shown_version(version: Option<Version>, requested: Option<Version>) -> Value {
    match (version, requested) {
        (None, _) => Value::Null,
        (Some(version), Some(requested)) if requested < Version(2, 1) => {
            version.to_string().parse::<f64>().map_or(Value::Null, |number| json!(number))
        }
        (Some(version), _) => json!(version.to_string()),
    }
}

fn enveloped(
    headers: &HeaderMap,
    named: &Named,
    result: Result<&Value, impl std::borrow::Borrow<ApiError>>,
) -> Response {
    let id = new_id();
    let transaction = text_header(headers, "x-clearml-trx", "x-trains-trx").unwrap_or_else(|| id.clone());
    let empty = json!({});
    let (code, subcode, message, stack, data) = match &result {
        Ok(data) => (200, 0, "OK", json!(""), *data),
        Err(error) => {
            let error = error.borrow();
            (error.code, error.subcode, error.message.as_str(), Value::Null, &empty)
        }
    };
    let envelope = json!({
        "meta": {
            "id": id,
            "trx": transaction,
            "endpoint": {
                "name": named.name,
                "requested_version": shown_version(named.requested, named.requested),
                "actual_version": shown_version(named.actual, named.requested),
            },
            "result_code": code,
            "result_subcode": subcode,
            "result_msg": message,
            "error_stack": stack,
            "error_data": {},
        },
        "data": data,
    });
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let bytes = Bytes::from(envelope.to_string());
    match gzipped(headers, &bytes) {
        Some(small) => {
            let mut response = plain(status, "application/json", small);
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            open_to_pages(response)
        }
        None => open_to_pages(plain(status, "application/json", bytes)),
    }
}

/// As the real server does for its web interface. Every call shows a proof that a strange page has not.
fn open_to_pages(mut response: Response) -> Response {
    response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

fn gzipped(headers: &HeaderMap, bytes: &Bytes) -> Option<Vec<u8>> {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok())?;
    if bytes.len() < GZIP_FROM || !accepted.split(',').any(|coding| coding.trim().starts_with("gzip")) {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

/// A response without an envelope.
pub(super) fn plain(status: StatusCode, kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::SERVER, HeaderValue::from_static("clearml"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &str) -> Option<(u16, u16)> {
        resolve(path, false, &mut Named::default()).err().map(|error| (error.code, error.subcode))
    }

    #[test]
    fn a_path_takes_an_optional_version_and_a_trailing_slash() {
        for path in ["/tasks.ping", "/v2.5/tasks.ping", "/v2.99/tasks.ping/", "/v1.0/tasks.ping"] {
            assert_eq!(refusal(path), None, "{path}");
        }
    }

    #[test]
    fn what_is_no_path_is_told_from_what_is_no_endpoint() {
        for path in ["/tasks", "/x/tasks.ping", "/v2/tasks.ping", "/v2.5/tasks.ping/y", "/tasks.p-ng", "/../etc"] {
            assert_eq!(refusal(path), Some((400, 0)), "{path}");
        }
        for path in ["/workers.get_runtime_properties", "/users.get_vaults", "/v2.1/queues.get_all"] {
            assert_eq!(refusal(path), Some((404, 0)), "{path}");
        }
    }
}
