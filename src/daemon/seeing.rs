//! What lets an operator look into the daemon.

use std::path::PathBuf;
use std::sync::Arc;

use super::plan::Plan;
use crate::clearml::{ClientConfig, ClientError, ServerCheck};
use crate::engine::ports::{Check, Launcher, Store};
use crate::host::diagnosis::{self, Ground, Sandbox};
use crate::host::outfit::Outfits;
use crate::host::uv::Uv;

/// What a check of the sandbox starts and where.
type Stage = (Arc<dyn Store>, Arc<dyn Launcher>, PathBuf);

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
