//! What is written down of calls that change something, and of those that are refused.

use std::io::Write;
use std::sync::{Arc, Mutex};

use clearmld::api::access;
use clearmld::api::audit::{READ_ONLY, UNREAD};
use clearmld::domain::notice::Notice;
use clearmld::rpc::{self, v1};
use prost::Message;
use prost::bytes::{Buf, BufMut};
use prost_types::FileDescriptorSet;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};

use super::scripted::{BUSY, Daemon, outside};
use super::{adding, channel, host, workers};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no writer panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// The daemon of these tests runs on the test's own thread.
    fn collect(&self) -> tracing::subscriber::DefaultGuard {
        let writer = self.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::set_default(log)
    }

    fn audit(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().expect("no writer panics").clone()).expect("text");
        text.lines().filter(|line| line.contains(" audit: ")).map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn each_changing_call_is_written_down_with_who_made_it_and_what_came_of_it() {
    let lines = Lines::default();
    let _guard = lines.collect();
    let daemon = Daemon::open(outside);
    let mut workers = workers(&daemon).await;
    workers.stop(v1::StopWorkerRequest { name: BUSY.into(), now: true }).await.expect("it stops");
    let _ = workers.stop(v1::StopWorkerRequest { name: "x\ny".into(), now: false }).await;
    workers.list(v1::ListWorkersRequest {}).await.expect("a list");
    let audit = lines.audit();
    assert_eq!(audit.len(), 2, "changing calls only: {audit:?}");
    for part in [
        format!("pid={}", std::process::id()),
        format!("{BUSY} now=true"),
        "uid=".into(),
        "exe=\"/".into(),
        "ok".into(),
    ] {
        assert!(audit[0].contains(&part), "{part} in {}", audit[0]);
    }
    assert!(audit[1].contains("InvalidArgument") && audit[1].contains(r"x\\ny"), "{}", audit[1]);
}

/// A client that knows no messages: bytes in, bytes out.
#[derive(Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

async fn send(daemon: &Daemon, rpc: &str, bytes: &[u8]) -> Result<(), Status> {
    let path: PathAndQuery = format!("/clearmld.v1.{}", rpc.replacen('.', "/", 1)).parse().expect("a path");
    let mut client = Grpc::new(channel(daemon).await);
    client.ready().await.expect("the daemon answers");
    client.server_streaming(Request::new(bytes.to_vec()), path, Raw).await.map(drop)
}

/// Every rpc of the package, as `Workers.Add`.
fn rpcs() -> Vec<String> {
    let set = FileDescriptorSet::decode(rpc::DESCRIPTORS).expect("our own descriptors");
    let services = set.file.into_iter().flat_map(|file| file.service);
    services
        .flat_map(|service| {
            let name = service.name().to_owned();
            service.method.into_iter().map(move |method| format!("{name}.{}", method.name())).collect::<Vec<_>>()
        })
        .collect()
}

#[tokio::test]
async fn every_rpc_that_is_not_known_to_change_nothing_is_recorded_by_its_handler() {
    let rpcs = rpcs();
    assert!(rpcs.len() > 15, "{rpcs:?}");
    for name in READ_ONLY {
        assert!(rpcs.iter().any(|rpc| rpc == name), "READ_ONLY names {name}, which there is not");
    }
    for rpc in rpcs.iter().filter(|rpc| !READ_ONLY.contains(&rpc.as_str())) {
        let lines = Lines::default();
        let _guard = lines.collect();
        let daemon = Daemon::open(outside);
        // An empty message is one of every type; most handlers find something to refuse in it.
        let _ = send(&daemon, rpc, b"").await;
        let audit = lines.audit();
        assert_eq!(audit.len(), 1, "{rpc}: {audit:?}");
        let whole = audit[0].contains(&format!("rpc=\"{rpc}\"")) && audit[0].contains(Notice::Audit.id());
        assert!(whole, "{}", audit[0]);
        assert!(
            !audit[0].contains(UNREAD),
            "{rpc} changes nothing: put it into READ_ONLY; or it does: its handler must begin with Call::open"
        );
    }
}

#[tokio::test]
async fn reading_is_not_recorded() {
    let lines = Lines::default();
    let _guard = lines.collect();
    let daemon = Daemon::open(outside);
    for rpc in READ_ONLY {
        let _ = send(&daemon, rpc, b"").await;
    }
    assert_eq!(lines.audit(), Vec::<String>::new());
}

#[tokio::test]
async fn what_no_handler_understands_is_recorded_all_the_same() {
    let lines = Lines::default();
    let _guard = lines.collect();
    let daemon = Daemon::open(outside);
    let garbage = send(&daemon, "Workers.Add", b"\xff\xff").await.expect_err("it is no message");
    let nothing = send(&daemon, "Workers.Steal", b"").await.expect_err("there is no such rpc");
    assert_eq!(nothing.code(), Code::Unimplemented);
    let audit = lines.audit();
    assert_eq!(audit.len(), 2, "{audit:?}");
    for (line, (rpc, status)) in audit.iter().zip([("Workers.Add", garbage), ("Workers.Steal", nothing)]) {
        let parts = [rpc.to_owned(), UNREAD.to_owned(), format!("{:?}", status.code())];
        assert!(parts.iter().all(|part| line.contains(part)), "{parts:?} in {line}");
    }
}

#[tokio::test]
async fn a_call_that_its_caller_gives_up_is_recorded() {
    let lines = Lines::default();
    let _guard = lines.collect();
    let daemon = Daemon::open(outside);
    // The scripted engine answers what it is asked; a handler that is not polled again is one that was given up.
    let mut client = workers(&daemon).await;
    let mut request = Request::new(v1::StopWorkerRequest { name: BUSY.into(), now: true });
    request.set_timeout(std::time::Duration::from_nanos(1));
    let _ = client.stop(request).await.expect_err("no time is left for it");
    for _ in 0..100 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        if !lines.audit().is_empty() {
            break;
        }
    }
    assert_eq!(lines.audit().len(), 1, "{:?}", lines.audit());
}

#[tokio::test]
async fn refused_calls_are_recorded_with_what_they_wanted_but_not_without_end() {
    let lines = Lines::default();
    let _guard = lines.collect();
    let daemon = Daemon::open(|_, _| Some(access::Inside::Shim));
    for _ in 0..100 {
        let _ = host(&daemon).await.get_status(v1::GetStatusRequest {}).await.expect_err("it is refused");
    }
    let _ = workers(&daemon).await.add(adding("x")).await.expect_err("it is refused");
    let audit = lines.audit();
    assert!((15..30).contains(&audit.len()), "{}", audit.len());
    for part in ["Host.GetStatus", Notice::CallRefused.id(), "PermissionDenied", "uid=", "exe=\"/"] {
        assert!(audit[0].contains(part), "{part} in {}", audit[0]);
    }
}
