//! The file server: artifacts go up as multipart forms whose part names are paths, and come down by those paths.
//!
//! As with the real one nobody has to log in, so it listens on the loopback device unless told otherwise, and a page in
//! somebody's browser may neither write nor read. A path can only name something below the root: every segment is
//! checked, and no link is followed.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Multipart, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use axum::routing;
use futures_util::{StreamExt, TryStreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tower::ServiceExt;

use super::Shared;
use super::http::{decode_path, plain};
use super::listen::{Door, Dropped};

/// The port of the file server.
#[derive(Debug, Clone)]
pub(super) struct FilesDoor {
    router: Router,
    shared: Arc<Shared>,
}

// === impl FilesDoor ===

impl FilesDoor {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        let router = Router::new()
            .route("/", routing::get(greet).post(upload).put(upload))
            .route("/delete_many", routing::post(delete_many))
            .fallback(one_file)
            // Models are of any size; they go to the disk piece by piece.
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        Self { router, shared }
    }
}

impl Door for FilesDoor {
    async fn answer(self, request: Request, _: SocketAddr) -> Result<Response, Dropped> {
        if self.shared.faults.is_offline() {
            return Err(Dropped);
        }
        // Browsers name the page that asks, other clients do not; this server has no page of its own.
        if request.headers().contains_key(header::ORIGIN) {
            return Ok(refused(StatusCode::FORBIDDEN, "requests of web pages are refused"));
        }
        Ok(self.router.oneshot(request).await?)
    }
}

async fn greet() -> Response {
    plain(StatusCode::OK, "text/html; charset=utf-8", "OK")
}

fn refused(status: StatusCode, reason: impl std::fmt::Display) -> Response {
    plain(status, "text/plain; charset=utf-8", format!("{reason}\n"))
}

fn failed(error: &io::Error) -> Response {
    let status = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => StatusCode::NOT_FOUND,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refused(status, error)
}

/// The place of a path below `root`; none if it would lead out of it or is no path.
fn below(root: &Path, path: &str) -> Option<PathBuf> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty() && *segment != ".").collect();
    let harmless = |segment: &&str| *segment != ".." && !segment.contains('\0') && segment.len() <= 255;
    (!segments.is_empty() && segments.iter().all(harmless)).then(|| root.join(segments.iter().collect::<PathBuf>()))
}

async fn upload(State(shared): State<Arc<Shared>>, mut parts: Multipart) -> Response {
    let mut stored: Vec<String> = Vec::new();
    loop {
        let part = match parts.next_field().await {
            Ok(Some(part)) => part,
            Ok(None) => break,
            Err(error) => return refused(StatusCode::BAD_REQUEST, error.body_text()),
        };
        let Some(name) = part.name().filter(|name| !name.is_empty()).map(str::to_owned) else { continue };
        let Some(target) = below(&shared.files_root, &name) else {
            return refused(StatusCode::BAD_REQUEST, format!("{name:?} is no path below the root"));
        };
        let pieces = part.map_err(|error| io::Error::other(error.body_text()));
        if let Err(error) = write(&target, pieces).await {
            return failed(&error);
        }
        stored.push(name.trim_start_matches('/').to_owned());
    }
    plain(StatusCode::OK, "application/json", json!(stored).to_string())
}

/// Writes a file whole or not at all.
async fn write(target: &Path, mut pieces: impl StreamExt<Item = io::Result<Bytes>> + Unpin) -> io::Result<()> {
    let directory = target.parent().ok_or(io::ErrorKind::InvalidInput)?;
    tokio::fs::create_dir_all(directory).await?;
    let temporary = directory.join(format!(".{}.upload", super::call::new_id()));
    let written = async {
        let mut file = tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).await?;
        while let Some(piece) = pieces.next().await {
            file.write_all(&piece?).await?;
        }
        file.sync_all().await?;
        tokio::fs::rename(&temporary, target).await
    };
    let result = written.await;
    if result.is_err() {
        let _ = tokio::fs::remove_file(&temporary).await;
    }
    result
}

async fn one_file(State(shared): State<Arc<Shared>>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let Some(path) = below(&shared.files_root, &decode_path(uri.path())) else {
        return refused(StatusCode::NOT_FOUND, "no such file");
    };
    match method {
        Method::GET | Method::HEAD => {
            let attached = uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("download")));
            let sent = send(&path, &headers, method == Method::HEAD, attached).await;
            sent.unwrap_or_else(|error| failed(&error))
        }
        Method::DELETE => match tokio::fs::remove_file(&path).await {
            Ok(()) => plain(StatusCode::OK, "application/json", json!(decode_path(uri.path())).to_string()),
            Err(error) => failed(&error),
        },
        _ => refused(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and DELETE"),
    }
}

/// Sends a file, or the part of it that a Range header names.
async fn send(path: &Path, headers: &HeaderMap, only_head: bool, attached: bool) -> io::Result<Response> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).custom_flags(libc::O_NOFOLLOW);
    let mut file = tokio::fs::OpenOptions::from(options).open(path).await?;
    let facts = file.metadata().await?;
    if !facts.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let size = facts.len();
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).and_then(|text| range_of(text, size));
    let (start, length) = range.unwrap_or((0, size));
    let body = if only_head {
        Body::empty()
    } else {
        file.seek(io::SeekFrom::Start(start)).await?;
        Body::from_stream(pieces_of(file.take(length)))
    };
    let mut response = Response::new(body);
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let text = format!("bytes {start}-{}/{size}", (start + length).saturating_sub(1));
        set(&mut response, header::CONTENT_RANGE, &text);
    }
    set(&mut response, header::CONTENT_LENGTH, &length.to_string());
    set(&mut response, header::CONTENT_TYPE, kind_of(path));
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    // What a task uploaded must never run as a page of this server.
    set(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(&mut response, header::CONTENT_SECURITY_POLICY, "sandbox");
    if attached {
        set(&mut response, header::CONTENT_DISPOSITION, "attachment");
    }
    Ok(response)
}

fn set(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

fn pieces_of(file: tokio::io::Take<tokio::fs::File>) -> impl futures_util::Stream<Item = io::Result<Bytes>> + Send {
    futures_util::stream::try_unfold(file, |mut file| async move {
        let mut piece = vec![0; 64 << 10];
        let length = file.read(&mut piece).await?;
        piece.truncate(length);
        Ok((length > 0).then(|| (Bytes::from(piece), file)))
    })
}

/// `bytes=a-b`, `bytes=a-` and `bytes=-n`, one range; anything else is answered whole.
fn range_of(text: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (first, last) {
        ("", last) => (size.saturating_sub(last.parse().ok()?), size),
        (first, "") => (first.parse().ok()?, size),
        (first, last) => (first.parse().ok()?, last.parse::<u64>().ok()?.saturating_add(1).min(size)),
    };
    (start < end).then(|| (start, end - start))
}

fn kind_of(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()).unwrap_or_default() {
        "txt" | "log" => "text/plain; charset=utf-8",
        "json" => "application/json",
        "csv" => "text/csv",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "html" => "text/html; charset=utf-8",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        _ => "application/octet-stream",
    }
}

/// Deletes files by address or path; those that are not there are errors of their own.
async fn delete_many(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let (mut deleted, mut errors) = (json!({}), json!({}));
    for url in asked["urls"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let path = url.split_once("://").map_or(url, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
        let removed = match below(&shared.files_root, &decode_path(path)) {
            Some(target) => tokio::fs::remove_file(target).await.map_err(|error| error.to_string()),
            None => Err("no path below the root".to_owned()),
        };
        match removed {
            Ok(()) => deleted[url] = json!(path),
            Err(reason) => errors[reason][url] = json!(path),
        }
    }
    plain(StatusCode::OK, "application/json", json!({"deleted": deleted, "errors": errors}).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_root() {
        let root = Path::new("/root");
        assert_eq!(below(root, "/a b/./c.bin"), Some(PathBuf::from("/root/a b/c.bin")));
        for path in ["", "/", "..", "/../etc/passwd", "a/../../b", "a\0b", "/./"] {
            assert_eq!(below(root, path), None, "{path:?}");
        }
    }

    #[test]
    fn a_range_is_cut_to_the_file_and_nonsense_is_no_range() {
        assert_eq!(range_of("bytes=0-1", 10), Some((0, 2)));
        assert_eq!(range_of("bytes=8-", 10), Some((8, 2)));
        assert_eq!(range_of("bytes=-3", 10), Some((7, 3)));
        assert_eq!(range_of("bytes=5-99", 10), Some((5, 5)));
        for text in ["bytes=10-", "bytes=3-2", "lines=1-2", "bytes=a-b"] {
            assert_eq!(range_of(text, 10), None, "{text}");
        }
    }
}
