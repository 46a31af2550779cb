//! The gRPC door: `proto/clearmld/v1` on a unix socket, over the engine's [`Handle`] and the [`Desk`].
//!
//! [`socket`] makes the socket, [`access`] decides who may not call, [`gate`] refuses those and sees to it that [`audit`]
//! has a record of who changed what; each service parses ([`parse`]), makes one call, and converts ([`convert`], [`status`]).

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tonic::transport::Server;

use crate::domain::ids::StateId;
use crate::engine::handle::Handle;
use crate::engine::ports::Desk;
use crate::rpc::{self, v1};

pub mod access;
pub mod audit;
mod convert;
mod declarations;
mod diagnosis;
mod explain;
mod gate;
mod gpus;
mod host;
mod logs;
mod parse;
mod peer;
mod runs;
pub mod socket;
mod spool;
mod status;
mod tasks;
mod workers;

pub use diagnosis::{Seeing, Setting};
pub use socket::{BindError, Listening, bind};

/// How long calls in flight may take after the shutdown has begun.
const LINGER: Duration = Duration::from_secs(3);

/// What the door needs.
pub struct Door {
    /// From [`bind`].
    pub listening: Listening,
    /// The engine.
    pub handle: Handle,
    /// The server, for people.
    pub desk: Arc<dyn Desk>,
    /// Names the cgroups of our Runs.
    pub state: StateId,
    /// What it shows of itself.
    pub seeing: Seeing,
    /// Whether a caller is inside a Run: [`access::inside_a_run`], but for tests of what follows from it.
    pub inside: access::Decision,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("listening", &self.listening).field("state", &self.state).finish_non_exhaustive()
    }
}

/// Why the door could not be kept open.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The descriptions of our own services do not parse.
    #[error("cannot offer gRPC reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The server ended with an error.
    #[error("cannot serve the control socket")]
    Transport(#[source] tonic::transport::Error),
}

/// Serves until `shutdown` resolves, then ends the streams, lets other calls finish for a few seconds, and removes the
/// socket.
///
/// # Errors
/// When the transport fails; a caller that misbehaves is no error.
pub async fn serve(door: Door, shutdown: impl Future<Output = ()> + Send) -> Result<(), ServeError> {
    let Door { listening, handle, desk, state, seeing, inside } = door;
    let (close, closing) = watch::channel(false);
    let (health_reporter, health) = tonic_health::server::health_reporter();
    health_reporter.set_serving::<v1::host_server::HostServer<host::HostService>>().await;
    health_reporter.set_serving::<v1::workers_server::WorkersServer<workers::WorkersService>>().await;
    health_reporter.set_serving::<v1::gpus_server::GpusServer<gpus::GpusService>>().await;
    health_reporter
        .set_serving::<v1::declarations_server::DeclarationsServer<declarations::DeclarationsService>>()
        .await;
    health_reporter.set_serving::<v1::runs_server::RunsServer<runs::RunsService>>().await;
    health_reporter.set_serving::<v1::diagnosis_server::DiagnosisServer<diagnosis::DiagnosisService>>().await;
    health_reporter.set_serving::<v1::explanations_server::ExplanationsServer<explain::ExplanationsService>>().await;
    health_reporter.set_serving::<v1::queues_server::QueuesServer<tasks::DeskService>>().await;
    health_reporter.set_serving::<v1::tasks_server::TasksServer<tasks::DeskService>>().await;

    let desk_service = Arc::new(tasks::DeskService { desk: Arc::clone(&desk) });
    let router = Server::builder()
        .layer(gate::GateLayer::new())
        .add_service(health)
        .add_service(reflection().build_v1().map_err(ServeError::Reflection)?)
        .add_service(reflection().build_v1alpha().map_err(ServeError::Reflection)?)
        .add_service(v1::host_server::HostServer::new(host::HostService {
            handle: handle.clone(),
            closing: closing.clone(),
        }))
        .add_service(v1::workers_server::WorkersServer::new(workers::WorkersService { handle: handle.clone() }))
        .add_service(v1::gpus_server::GpusServer::new(gpus::GpusService { handle: handle.clone() }))
        .add_service(v1::declarations_server::DeclarationsServer::new(declarations::DeclarationsService {
            handle: handle.clone(),
        }))
        .add_service(v1::runs_server::RunsServer::new(runs::RunsService {
            handle: handle.clone(),
            desk,
            closing: closing.clone(),
        }))
        .add_service(v1::explanations_server::ExplanationsServer::new(explain::ExplanationsService {
            handle: handle.clone(),
        }))
        .add_service(v1::diagnosis_server::DiagnosisServer::new(diagnosis::DiagnosisService { handle, seeing }))
        .add_service(v1::queues_server::QueuesServer::from_arc(Arc::clone(&desk_service)))
        .add_service(v1::tasks_server::TasksServer::from_arc(desk_service));

    let (incoming, _socket_file) = listening.into_incoming(peer::Fence::new(state, inside));
    let stop = async move {
        shutdown.await;
        // Nobody listening is as good as everybody told.
        let _ = close.send(true);
    };
    let serving = router.serve_with_incoming_shutdown(incoming, stop);
    tokio::select! {
        // Neither arm is polled again after the other has won, so nothing that cancelling could lose is needed later.
        ended = serving => ended.map_err(ServeError::Transport),
        () = linger(closing) => Ok(()),
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(rpc::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Resolves [`LINGER`] after the shutdown has begun.
async fn linger(mut closing: watch::Receiver<bool>) {
    closed(&mut closing).await;
    tokio::time::sleep(LINGER).await;
}

/// Resolves once the shutdown has begun.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: that too is the end.
    let _ = closing.wait_for(|closing| *closing).await;
}
