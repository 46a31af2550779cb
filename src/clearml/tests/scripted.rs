#![expect(clippy::disallowed_methods, reason = "tests own their tasks until they end")]
//! A server whose answers a test writes: just enough HTTP/1.1 for our own client.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A request, as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// `/v2.13/tasks.get_all`.
    pub(super) path: String,
    pub(super) authorization: String,
    pub(super) content_type: String,
    pub(super) head: String,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }
}

/// What is answered: status, further headers, body.
pub(super) struct Reply(pub(super) u16, pub(super) String, pub(super) Vec<u8>);

type Script = Box<dyn FnMut(&Seen) -> Option<Reply> + Send>;

/// The server; it lives as long as its test's runtime.
pub(super) struct Scripted {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
}

pub(super) fn ok(data: &Value) -> Option<Reply> {
    let body = json!({ "meta": { "result_code": 200, "result_subcode": 0, "result_msg": "OK" }, "data": data });
    Some(Reply(200, String::new(), body.to_string().into()))
}

pub(super) fn refuse(code: u16, subcode: u32, message: &str) -> Option<Reply> {
    let body = json!({ "meta": { "result_code": code, "result_subcode": subcode, "result_msg": message }, "data": {} });
    Some(Reply(code, String::new(), body.to_string().into()))
}

/// A token as the server makes them; `mark` tells it from others.
pub(super) fn token(mark: usize, life_s: u64) -> String {
    let claims = json!({
        "iat": 1_000_000, "exp": 1_000_000 + life_s, "api_version": "2.31", "server_version": "2.0.0", "mark": mark,
    });
    format!("h.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

impl Scripted {
    /// Starts it. None from `script` closes the connection without an answer.
    pub(super) async fn start(script: impl FnMut(&Seen) -> Option<Reply> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let log = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, script.clone(), log.clone()));
            }
        });
        Self { port, seen }
    }

    /// Logs everybody in, with tokens numbered from 0; the rest is the script's.
    pub(super) async fn with_login(
        life_s: u64,
        mut script: impl FnMut(&Seen) -> Option<Reply> + Send + 'static,
    ) -> Self {
        let mut logins = 0;
        Self::start(move |seen| {
            if seen.path != "/auth.login" {
                return script(seen);
            }
            logins += 1;
            ok(&json!({ "token": token(logins - 1, life_s) }))
        })
        .await
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no panic").clone()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.path).collect()
    }

    pub(super) fn count(&self, path: &str) -> usize {
        self.paths().iter().filter(|seen| *seen == path).count()
    }
}

async fn serve(stream: TcpStream, script: Arc<Mutex<Script>>, log: Arc<Mutex<Vec<Seen>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let seen = read(&mut stream).await?;
        log.lock().ok()?.push(seen.clone());
        let Reply(status, headers, body) = (script.lock().ok()?)(&seen)?;
        let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.into_bytes(), body].concat()).await.ok()?;
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut head = String::new();
    loop {
        let begun = head.len();
        stream.read_line(&mut head).await.ok().filter(|read| *read > 0)?;
        if &head[begun..] == "\r\n" {
            break;
        }
    }
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        line.map(|line| line[name.len() + 1..].trim().to_owned()).unwrap_or_default()
    };
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let path = head.split(' ').nth(1)?.to_owned();
    let (authorization, content_type) = (header("authorization"), header("content-type"));
    Some(Seen { path, authorization, content_type, body: String::from_utf8(body).ok()?, head })
}
