//! What every call passes first: a caller that may not call is refused here, before a byte of its request is read, and
//! a changing call gets its audit record even when no handler comes to see it.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use super::audit::{self, READ_ONLY, Record, UNREAD, Written};
use super::peer::{self, Peer};
use crate::domain::journal::gate::Bucket;

/// Refused calls that are recorded: a run that calls in a loop must not fill the log.
const RECORDED_A_MINUTE: u64 = 6;
const RECORDED_AT_ONCE: u64 = 20;

/// Where our own services are.
const PACKAGE: &str = "/clearmld.v1.";

/// Puts a [`Gate`] before the services.
#[derive(Debug, Clone)]
pub(super) struct GateLayer {
    refusals: Arc<Mutex<Refusals>>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Gate<S> {
    inner: S,
    refusals: Arc<Mutex<Refusals>>,
}

#[derive(Debug)]
struct Refusals {
    began: Instant,
    bucket: Bucket,
    unrecorded: u64,
}

// === impl GateLayer ===

impl GateLayer {
    pub(super) fn new() -> Self {
        let bucket = Bucket::full(RECORDED_A_MINUTE, RECORDED_AT_ONCE, 0);
        Self { refusals: Arc::new(Mutex::new(Refusals { began: Instant::now(), bucket, unrecorded: 0 })) }
    }
}

impl<S> Layer<S> for GateLayer {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate { inner, refusals: Arc::clone(&self.refusals) }
    }
}

// === impl Gate ===

impl<S> Service<Request<Body>> for Gate<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let caller = request.extensions().get::<Arc<Peer>>().cloned();
        let rpc = rpc_of(request.uri().path());
        if let Err(status) = peer::admit(caller.as_deref()) {
            self.refusals.lock().unwrap_or_else(PoisonError::into_inner).note(caller.as_deref(), &rpc, &status);
            return Box::pin(ready(Ok(status.into_http())));
        }
        if !request.uri().path().starts_with(PACKAGE) || READ_ONLY.contains(&rpc.as_str()) {
            return Box::pin(self.inner.call(request));
        }
        let written = Written::default();
        request.extensions_mut().insert(written.clone());
        let record = Record::begin(caller, rpc, UNREAD, written);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            let status = Status::from_header_map(response.headers());
            record.write(&status.as_ref().map_or_else(|| "ok".to_owned(), audit::result_of));
            Ok(response)
        })
    }
}

/// `/clearmld.v1.Workers/Add` is `Workers.Add`; what is none of ours stays as it is.
fn rpc_of(path: &str) -> String {
    path.strip_prefix(PACKAGE).map_or_else(|| path.to_owned(), |rest| rest.replacen('/', ".", 1))
}

// === impl Refusals ===

impl Refusals {
    fn note(&mut self, caller: Option<&Peer>, rpc: &str, status: &Status) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if self.bucket.has(1, now) {
            self.bucket.take(1);
            audit::refused(caller, rpc, status, std::mem::take(&mut self.unrecorded));
        } else {
            self.unrecorded += 1;
        }
    }
}
