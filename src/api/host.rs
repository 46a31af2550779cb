//! The service `Host`.

use futures_util::stream::{BoxStream, StreamExt};
use tokio::sync::watch;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::{Request, Response, Status};

use super::audit::Call;
use crate::engine::handle::Handle;
use crate::rpc::v1;

pub(super) struct HostService {
    pub(super) handle: Handle,
    pub(super) closing: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl v1::host_server::Host for HostService {
    type WatchEventsStream = BoxStream<'static, Result<v1::Event, Status>>;

    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::HostStatus>, Status> {
        Ok(Response::new(self.handle.status().await?.into()))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::HostStatus>, Status> {
        let (call, _) = Call::open(request, "Host.Drain", |_| String::new());
        call.close(async {
            self.handle.drain().await?;
            Ok(self.handle.status().await?.into())
        })
        .await
    }

    async fn resume(&self, request: Request<v1::ResumeRequest>) -> Result<Response<v1::HostStatus>, Status> {
        let (call, _) = Call::open(request, "Host.Resume", |_| String::new());
        call.close(async {
            self.handle.resume().await?;
            Ok(self.handle.status().await?.into())
        })
        .await
    }

    async fn watch_events(
        &self,
        _: Request<v1::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchEventsStream>, Status> {
        let mut closing = self.closing.clone();
        let end = async move { super::closed(&mut closing).await };
        let events = BroadcastStream::new(self.handle.events()).map(|event| Ok(event.map_or_else(missed, Into::into)));
        Ok(Response::new(events.take_until(end).boxed()))
    }
}

fn missed(error: BroadcastStreamRecvError) -> v1::Event {
    let BroadcastStreamRecvError::Lagged(count) = error;
    let message = format!("{count} events were missed: the reader is too slow");
    v1::Event { kind: "events_missed".to_owned(), message, ..v1::Event::default() }
}
