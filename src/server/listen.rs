//! Connections. Not `axum::serve`, since a test must be able to close a connection without an answer.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped on purpose")]
pub(super) struct Dropped;

impl From<Infallible> for Dropped {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// What answers the requests of one port.
pub(super) trait Door: Clone + Send + Sync + 'static {
    /// Answers one request of `peer`.
    fn answer(self, request: Request, peer: SocketAddr) -> impl Future<Output = Result<Response, Dropped>> + Send;
}

/// More than a workgroup opens; the next one waits in the kernel's queue. Any local user can connect, and two ports full
/// of connections must leave the daemon most of the 1024 descriptors that a service has.
const MAX_CONNECTIONS: usize = 256;

/// Accepts connections for ever; dropping the future closes all of them.
pub(super) async fn serve<D: Door>(listener: TcpListener, door: D) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, peer)) => {
                connections.spawn(converse(stream, OneConnection { door: door.clone(), peer }));
            }
            // Out of descriptors: waiting is all that helps, and must not spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn converse<D: Door>(stream: TcpStream, service: OneConnection<D>) {
    // Answers are small; waiting for more would only cost the client's round trip.
    let _ = stream.set_nodelay(true);
    let http = auto::Builder::new(TokioExecutor::new()).http1_only();
    // An error here is the client's (it went away) or wanted (`Dropped`): there is nobody left to tell.
    let _ = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
}

#[derive(Clone)]
struct OneConnection<D> {
    door: D,
    peer: SocketAddr,
}

impl<D, B> tower::Service<axum::http::Request<B>> for OneConnection<D>
where
    D: Door,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response;
    type Error = Dropped;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Dropped>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Dropped>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: axum::http::Request<B>) -> Self::Future {
        Box::pin(self.door.clone().answer(request.map(Body::new), self.peer))
    }
}
