//! Composition: from what the operator chose to a host that serves. In this order: the state directory is locked, the
//! control socket is bound, the ledger is adopted, READY is said; only then is the server asked for anything.

mod arguments;
mod declared;
mod ends;
mod local;
mod plan;
mod seeing;
mod signals;
mod trial;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Duration, interval};

use crate::api::{self, Door};
use crate::clearml::{Absent, Client, ClientError};
use crate::domain::disk::Room;
use crate::domain::handover::Isolation;
use crate::domain::notice::Notice;
use crate::engine::handle::{Handle, HostStatus, ServerLink};
use crate::engine::ports::{ClearMl, Desk, Figures, Launcher, Outfitter as _, Store as _, StoreError};
use crate::engine::{Engine, LoopEnded, Settings, World};
use crate::host::figures::HostGauges;
use crate::host::launch;
use crate::host::machine::ProcfsMachine;
use crate::host::nvml::{NvmlGpus, Places};
use crate::host::outfit::Outfits;
use crate::host::store::{FileStore, OpenError, StateDirectory};
use crate::host::{clock, notify};
use crate::metrics::Sources;
use crate::server::StartError;
use crate::sys::disk;

pub use arguments::Arguments;
use ends::Ends;
pub use plan::{Plan, PlanError, Server};
pub use trial::check_credentials;

/// Why the daemon did not come up, or ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] OpenError),
    /// The control socket.
    #[error(transparent)]
    Socket(#[from] api::BindError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] StoreError),
    /// The embedded server.
    #[error(transparent)]
    Local(#[from] StartError),
    /// The socket for orders of faults.
    #[error("the embedded server can take no orders of faults (--local-faults): {0}")]
    Faults(#[source] api::BindError),
    /// The client of the server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The shim's program.
    #[error(
        "clearmld-shim is not beside {daemon}, nor in lib/clearmld of where that is installed: install the whole package, \
         or build it with `make build`"
    )]
    NoShim {
        /// Our own program.
        daemon: PathBuf,
    },
    /// Signals.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    /// The host has no thread left for us.
    #[error("cannot start a thread for the NVIDIA driver: {0}")]
    Thread(io::Error),
    /// A defect of ours: systemd starts the daemon anew.
    #[error(transparent)]
    Engine(#[from] LoopEnded),
    /// The door broke.
    #[error(transparent)]
    Door(#[from] api::ServeError),
}

/// Serves until SIGTERM or SIGINT. Runs go on without the daemon.
///
/// # Errors
/// When it cannot come up.
pub async fn serve(plan: Plan) -> Result<(), DaemonError> {
    let directory = StateDirectory::open(&plan.state_dir, clock::mint_state())?;
    let state = directory.id().clone();
    let listening = api::bind(&plan.socket)?;
    let signals = signals::Signals::listen().map_err(DaemonError::Signals)?;
    let mut local = local::start(&plan, directory.path()).await?;
    let orders = local::take_orders(&plan, local.as_mut())?;
    let client = plan.client(local.as_ref()).map(Client::new).transpose()?;
    let (clearml, desk, link) = connect(client.clone());
    let shim = shim_program()?;
    let launcher = launch::choose(&state, shim.clone()).await;
    let (isolation, not_isolated) = match launcher.describe().name {
        // PID 1 starts the shim, outside of whatever confines the daemon.
        "systemd" => (Isolation::Namespaces, None),
        _ => launch::isolation(&shim).await,
    };
    let store = Arc::new(FileStore::new(directory));
    let root = store.root().to_owned();
    let outfits = || plan.outfits(&root, clearml.identity(), local.as_ref(), listening.path(), isolation);
    let checks =
        seeing::checks(&plan, plan.client(local.as_ref()), outfits(), (store.clone(), Arc::clone(&launcher), shim))?;
    let outfits = outfits();
    let mut settings = plan.settings.clone();
    settings.state_id = state.clone();
    let unreserved = reserve(&plan, &mut settings, &outfits, launcher.as_ref(), &root).await;
    settings.remarks.extend(unreserved);
    settings.remarks.extend(listening.remark.clone());
    settings.remarks.extend(outfits.users.remark());
    settings.remarks.extend(not_isolated);
    settings.remarks.extend(orders.as_ref().map(|orders| orders.remark.clone()));
    // Looked at from here on, beside everything else: a driver may take its time.
    let gpus = NvmlGpus::start(plan.nvml_library.clone(), Places::default()).map_err(DaemonError::Thread)?;
    let metered = store.clone();
    let ends = Ends { launcher: Arc::clone(&launcher) };
    let world = World {
        clearml,
        link,
        launcher,
        store,
        outfitter: Arc::new(outfits),
        gpus: Arc::new(gpus),
        declarations: Arc::new(plan.files()),
        clock: Arc::new(clock::HostClock),
    };
    #[cfg(debug_assertions)]
    let world = crate::failpoints::around(world);
    let machine = Box::new(ProcfsMachine::new(&plan.state_dir));
    let (engine, handle) = Engine::adopt(world, settings, machine).await?;
    for remark in engine.remarks() {
        tracing::warn!("{remark}");
    }
    let figures: Arc<dyn Figures> = Arc::new(HostGauges::new(root.clone()));
    let sources = Sources { handle: handle.clone(), figures: Arc::clone(&figures), store: metered };
    let _metrics = seeing::metrics(&plan, sources).await;
    let seeing = seeing::seeing(&plan, local.as_ref(), checks, figures);
    let door = Door { listening, handle: handle.clone(), desk, state, seeing, inside: api::access::inside_a_run };
    attend(engine, handle, door, (signals, &plan), (ends, client)).await?;
    if let Some(local) = local {
        local.stop().await;
    }
    Ok(())
}

/// The daemon's life proper.
async fn attend(
    engine: Engine,
    handle: Handle,
    door: Door,
    (mut signals, plan): (signals::Signals, &Plan),
    (ends, client): (Ends, Option<Client>),
) -> Result<(), DaemonError> {
    let (close, closing) = watch::channel(false);
    let closed = |mut closing: watch::Receiver<bool>| async move {
        // A sender that is gone means the same.
        let _ = closing.wait_for(|closing| *closing).await;
    };
    let pulse = engine.pulse();
    let socket = door.listening.path().to_owned();
    let serving = api::serve(door, closed(closing.clone()));
    let close_too = close.clone();
    let running = async {
        let ended = engine.run(closed(closing.clone())).await;
        let _ = close_too.send(true);
        ended
    };
    let announcing = announce(handle.clone(), socket, plan.not_configured.clone());
    // Nobody waits for the server's answer; `status` shows what came of it.
    let greeting = async move {
        if let Some(client) = client {
            client.greet().await;
        }
        std::future::pending::<()>().await
    };
    let watching = async {
        // Cancel-safe: whichever is first, the daemon ends, and none of the others is polled again.
        tokio::select! {
            () = signals.shutdown(&handle) => {}
            () = notify::watchdog(pulse) => {}
            () = announcing => {}
            () = greeting => {}
            () = closed(closing.clone()) => {}
        }
        notify::stopping();
        tracing::info!(MESSAGE_ID = Notice::GoingDown.id(), "going down; runs go on");
        ends.delivered(&handle).await;
        let _ = close.send(true);
    };
    let (served, ran, ()) = tokio::join!(serving, running, watching);
    served?;
    Ok(ran?)
}

/// Holds all Runs together to what the reserve leaves; a sentence when that cannot be done.
async fn reserve(
    plan: &Plan,
    settings: &mut Settings,
    outfits: &Outfits,
    launcher: &dyn Launcher,
    root: &Path,
) -> Option<String> {
    let usual = || disk::room(root).ok().map(Room::usual_reserve);
    settings.reserve.disk = plan.disk_reserve.or_else(usual).unwrap_or_default();
    match launcher.hold(settings.reserve.share(outfits.capacity()?)).await {
        Ok(held) => {
            settings.held = held;
            None
        }
        Err(error) => Some(format!("{error}; all tasks together can use all that this host has")),
    }
}

/// READY, then one line of status now and then.
async fn announce(handle: Handle, socket: PathBuf, not_configured: Option<String>) {
    let mut said = String::new();
    let mut look = interval(Duration::from_secs(2));
    loop {
        look.tick().await;
        let Ok(status) = handle.status().await else { return std::future::pending().await };
        let line = line(&status, not_configured.as_deref());
        if said.is_empty() {
            notify::ready(&line);
            tracing::info!(MESSAGE_ID = Notice::Ready.id(), socket = %socket.display(), "ready: {line}");
            if status.server.api_url.is_empty() {
                tracing::warn!(MESSAGE_ID = Notice::NotConfigured.id(), "not configured: no server to take tasks from");
            }
        } else if said != line {
            notify::status(&line);
        }
        said = line;
    }
}

fn line(status: &HostStatus, not_configured: Option<&str>) -> String {
    let work =
        format!("{} workers, {} runs, {} to be reported", status.workers, status.live_runs, status.unsettled_runs);
    let draining = if status.draining { ", draining" } else { "" };
    let server = match (&status.link, not_configured) {
        (_, Some(reason)) => return format!("not configured: {reason} ({work}{draining})"),
        (ServerLink::Unknown, None) => "server not asked yet".to_owned(),
        (ServerLink::Up { .. }, None) => "server up".to_owned(),
        (ServerLink::Down { reason, .. }, None) => format!("server down: {reason}"),
    };
    format!("{work}{draining}; {server}")
}

/// A server as the engine and as people see it, and how it is.
type Connection = (Arc<dyn ClearMl>, Arc<dyn Desk>, watch::Receiver<ServerLink>);

fn connect(client: Option<Client>) -> Connection {
    match client {
        Some(client) => {
            let link = client.link();
            (Arc::new(client.clone()), Arc::new(client), link)
        }
        None => (Arc::new(Absent), Arc::new(Absent), watch::channel(ServerLink::Unknown).1),
    }
}

/// Beside our own program (a build), else where it is installed with it.
fn shim_program() -> Result<PathBuf, DaemonError> {
    let daemon = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/bin/clearmld"));
    let beside = daemon.with_file_name("clearmld-shim");
    let installed = daemon.ancestors().nth(2).map(|prefix| prefix.join("lib/clearmld/clearmld-shim"));
    let packaged = PathBuf::from("/usr/lib/clearmld/clearmld-shim");
    [Some(beside), installed, Some(packaged)]
        .into_iter()
        .flatten()
        .find(|path| path.is_file())
        .ok_or(DaemonError::NoShim { daemon })
}
