//! What lets an operator look into the daemon.

use std::path::PathBuf;
use std::sync::Arc;

use super::plan::Plan;
use crate::api::{Seeing, Setting};
use crate::clearml::{ClientConfig, ClientError, ServerCheck};
use crate::config::Described;
use crate::engine::ports::{Check, Launcher, Store};
use crate::host::diagnosis::{self, Ground, Sandbox};
use crate::host::outfit::Outfits;
use crate::host::uv::Uv;
use crate::redaction::Redaction;
use crate::server::LocalServer;

/// What a check of the sandbox starts and where.
type Stage = (Arc<dyn Store>, Arc<dyn Launcher>, PathBuf);

/// What the daemon shows of itself to an operator who looks into a problem.
pub(super) fn seeing(plan: &Plan, local: Option<&LocalServer>, checks: Vec<Arc<dyn Check>>) -> Seeing {
    let setting = |one: &Described| {
        let (key, value, origin) = (one.key.clone(), one.value.clone(), one.origin.to_string());
        Setting { key, value, origin }
    };
    let own = local.map(|local| local.credentials().secret_key.clone());
    Seeing {
        checks,
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
