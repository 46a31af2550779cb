//! `GET /metrics`, on a unix socket of its own or on loopback.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Mutex;
use tokio::sync::broadcast::error::RecvError;

use super::Sources;
use super::exposition::{Format, write};
use super::families::{Snapshot, families};
use super::few::Few;
use super::tally::Tally;
use crate::engine::handle::{EngineError, RunView};

/// How old figures of GPUs may be.
const GPU_AGE: Duration = Duration::from_secs(5);

/// A listener, bound.
#[derive(Debug)]
pub enum Door {
    /// For operators.
    Unix(UnixListener),
    /// For every user and every task of this host.
    Loopback(TcpListener),
}

#[derive(Debug)]
struct Scraped {
    sources: Sources,
    /// Held while a scrape counts, so that no Run is counted twice.
    tally: Mutex<Tally>,
}

/// Serves until `shutdown`. A scraper that misbehaves is no error.
///
/// # Errors
/// When the listener breaks.
pub async fn serve(
    door: Door,
    sources: Sources,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let scraped = Arc::new(Scraped { sources, tally: Mutex::default() });
    let router = Router::new().route("/metrics", get(answer)).with_state(Arc::clone(&scraped));
    let serving = async {
        match door {
            Door::Unix(listener) => axum::serve(Few::of(listener), router).with_graceful_shutdown(shutdown).await,
            Door::Loopback(listener) => axum::serve(Few::of(listener), router).with_graceful_shutdown(shutdown).await,
        }
    };
    tokio::select! {
        // Whichever ends first, nothing of the other is needed any more.
        ended = serving => ended,
        () = follow(&scraped) => Ok(()),
    }
}

/// Looks at each end as it happens: the ledger may have forgotten it by the next scrape. Never returns before the engine
/// is gone.
async fn follow(scraped: &Scraped) {
    let mut events = scraped.sources.handle.events();
    loop {
        // The first look is at what an earlier daemon has left; later ones follow the ends.
        if scraped.count().await.is_err() {
            return std::future::pending().await;
        }
        loop {
            match events.recv().await {
                Ok(event) if event.kind == "run_exited" => break,
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        }
    }
}

impl Scraped {
    async fn count(&self) -> Result<Vec<RunView>, EngineError> {
        let mut tally = self.tally.lock().await;
        let runs = self.sources.handle.runs().await?;
        tally.observe(&runs);
        Ok(runs)
    }

    async fn scrape(&self, format: Format) -> Result<String, EngineError> {
        let runs = self.count().await?;
        let handle = &self.sources.handle;
        let snapshot = Snapshot {
            status: handle.status().await?,
            workers: handle.workers().await?,
            gpus: handle.gpus(GPU_AGE).await?.gpus,
            host: self.sources.figures.host().await,
            pending: self.pending(&runs).await,
        };
        Ok(write(&families(&snapshot, &*self.tally.lock().await), format))
    }

    async fn pending(&self, runs: &[RunView]) -> u64 {
        let mut sum: u64 = 0;
        for run in runs.iter().filter(|run| run.live || run.record.phase_name() == "exited") {
            let length = tokio::fs::metadata(&run.spool).await.map_or(0, |found| found.len());
            let delivered = self.sources.store.delivery(&run.record.id).await.acknowledged;
            sum = sum.saturating_add(length.saturating_sub(delivered));
        }
        sum
    }
}

async fn answer(State(scraped): State<Arc<Scraped>>, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::accepted(accept);
    let (status, text) = match scraped.scrape(format).await {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    };
    (status, [(header::CONTENT_TYPE, format.content_type())], text)
}
