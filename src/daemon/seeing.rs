//! What lets an operator look into the daemon.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::plan::Plan;
use crate::api::socket::SocketFile;
use crate::api::{self, Seeing, Setting};
use crate::clearml::{ClientConfig, ClientError, ServerCheck};
use crate::config::{Described, MetricsChoice};
use crate::engine::ports::{Check, Figures, Launcher, Store};
use crate::host::diagnosis::{self, Ground, Sandbox};
use crate::host::outfit::Outfits;
use crate::host::uv::Uv;
use crate::metrics::{self, Sources};
use crate::redaction::Redaction;
use crate::server::LocalServer;

/// What a check of the sandbox starts and where.
type Stage = (Arc<dyn Store>, Arc<dyn Launcher>, PathBuf);

/// What the daemon shows of itself to an operator who looks into a problem.
pub(super) fn seeing(
    plan: &Plan,
    local: Option<&LocalServer>,
    checks: Vec<Arc<dyn Check>>,
    figures: Arc<dyn Figures>,
) -> Seeing {
    let setting = |one: &Described| {
        let (key, value, origin) = (one.key.clone(), one.value.clone(), one.origin.to_string());
        Setting { key, value, origin }
    };
    let own = local.map(|local| local.credentials().secret_key.clone());
    Seeing {
        checks,
        figures: Some(figures),
        settings: plan.described.iter().map(setting).collect(),
        files: plan.secret_files.iter().map(|path| path.display().to_string()).collect(),
        remarks: plan.remarks.clone(),
        redaction: Redaction::knowing(plan.secrets.iter().cloned().chain(own)),
    }
}

/// What `clearmlctl doctor` looks at, in the order in which people read it.
pub(super) fn checks(
    plan: &Plan,
    client: Option<ClientConfig>,
    outfits: Outfits,
    (store, launcher, shim): Stage,
) -> Result<Vec<Arc<dyn Check>>, ClientError> {
    let root = store.root().to_owned();
    let ground = Ground {
        state_dir: root.clone(),
        socket: plan.socket.clone(),
        secret_files: plan.secret_files.clone(),
        users: plan.users.clone(),
        uv: (!plan.pip).then(|| Uv::new(root, plan.search.clone())),
        search: plan.search.clone(),
        launcher_lacks: launcher.describe().missing,
    };
    let target = client.as_ref().and_then(|client| diagnosis::target(&client.api_url, &plan.network));
    let server: Arc<dyn Check> = Arc::new(ServerCheck::new(client.as_ref())?);
    let sandbox: Arc<dyn Check> = Arc::new(Sandbox::new(store, launcher, outfits, shim, target));
    Ok([server, sandbox].into_iter().chain(diagnosis::checks(ground)).collect())
}

/// Metrics that are being served; dropping it ends that.
#[derive(Debug)]
pub(super) struct Serving {
    _task: JoinSet<()>,
    _file: Option<SocketFile>,
}

/// Serves metrics where the operator wants them. A place that cannot be had is a line in the log, and no daemon less.
pub(super) async fn metrics(plan: &Plan, sources: Sources) -> Option<Serving> {
    let place = plan.metrics?;
    let (door, file, said) = match place {
        MetricsChoice::Unix => {
            let path = plan.socket.with_file_name("metrics.sock");
            match api::bind(&path) {
                Ok(listening) => {
                    let (listener, file) = listening.into_plain();
                    (Ok(metrics::Door::Unix(listener)), Some(file), path.display().to_string())
                }
                Err(error) => (Err(error.to_string()), None, path.display().to_string()),
            }
        }
        MetricsChoice::Loopback(address) => {
            let bound = TcpListener::bind(address).await.map_err(|error| error.to_string());
            (bound.map(metrics::Door::Loopback), None, format!("http://{address}/metrics"))
        }
    };
    let door = match door {
        Ok(door) => door,
        Err(error) => {
            tracing::error!(
                "metrics are not served on {said}: {error}; correct `metrics` in clearmld.toml and restart"
            );
            return None;
        }
    };
    tracing::info!("metrics are served on {said}");
    let mut task = JoinSet::new();
    task.spawn(async move {
        if let Err(error) = metrics::serve(door, sources, std::future::pending()).await {
            tracing::error!(%error, "metrics are served no more");
        }
    });
    Some(Serving { _task: task, _file: file })
}
