//! Shims as transient units `clearml-run-<run>.service` in clearml.slice: PID 1 is their parent, and ends what is left
//! of them. They stop before the daemon at shutdown (`After=`), and need it for nothing.
//!
//! A unit that is ordered after clearmld.service starts only once that is ready: nothing here may be awaited before
//! the daemon has said READY=1.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::sleep;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, Variant};

use super::cgroup_tree::{self, Tree};
use super::confinement;
use super::supervised;
use crate::domain::handover::{JournalSpec, ProcessIdentity, RunSpec, Started, file};
use crate::domain::ids::RunId;
use crate::domain::limits::Controllers;
use crate::domain::reserve::Share;
use crate::engine::ports::{LaunchError, Launcher, LauncherDescription};
use crate::sys::durable;

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const SLICE: &str = "clearml.slice";
/// For the shim to record the end, after the last process has gone.
const BEYOND_GRACE: Duration = Duration::from_secs(15);

/// Between two tries to start a unit on a host that goes down.
const AGAIN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub struct Systemd {
    shim: PathBuf,
    manager: Manager,
    /// See [`Systemd::also`].
    wanted: Vec<&'static str>,
    /// This systemd knows less than it takes to confine Runs.
    plain: AtomicBool,
    description: LauncherDescription,
}

#[derive(Debug)]
struct Manager {
    bus: Connection,
}

impl Systemd {
    /// Connects to the system bus.
    ///
    /// # Errors
    /// When there is none, or systemd does not answer on it.
    pub async fn connect(shim: PathBuf) -> zbus::Result<Self> {
        let manager = Manager { bus: Connection::system().await? };
        // A bus without systemd behind the name answers with an error here, not at the first launch.
        let peer = Some("org.freedesktop.DBus.Peer");
        manager.bus.call_method(Some(NAME), PATH, peer, "Ping", &()).await?;
        Ok(Self { shim, manager, wanted: Vec::new(), plain: AtomicBool::new(false), description: description() })
    }

    /// Confines Runs by one more yes-or-no property, where systemd knows it.
    #[must_use]
    pub fn also(mut self, property: &'static str) -> Self {
        self.wanted.push(property);
        self
    }

    /// Starts the unit, confined as far as systemd knows how.
    async fn start(&self, run: &RunId, properties: Properties<'_>, confinement: Properties<'_>) -> zbus::Result<()> {
        let unit = run.unit();
        let start = async |properties: &Properties<'_>| {
            let none: Vec<(&str, Properties<'_>)> = Vec::new();
            let body = (unit.as_str(), "fail", properties, none);
            self.manager.call::<_, OwnedObjectPath>("StartTransientUnit", &body).await.map(drop)
        };
        if !self.plain.load(Ordering::Relaxed) {
            let confined: Properties<'_> = properties.iter().chain(&confinement).cloned().collect();
            match start(&confined).await {
                Err(error) if is_unknown_property(&error) => {
                    tracing::warn!(%error, "this systemd cannot confine the units of runs; they start without");
                    self.plain.store(true, Ordering::Relaxed);
                }
                result => return result,
            }
        }
        start(&properties).await
    }
}

type Properties<'a> = Vec<(&'static str, Variant<'a>)>;

/// What systemd says of a property, or of a value of it, that it does not know.
fn is_unknown_property(error: &zbus::Error) -> bool {
    use zbus::fdo::Error::{InvalidArgs, PropertyReadOnly, UnknownProperty};
    matches!(error, zbus::Error::FDO(error) if matches!(**error, PropertyReadOnly(_) | InvalidArgs(_) | UnknownProperty(_)))
}

/// What systemd calls its version, such as `252.39-1~deb12u1`.
///
/// # Errors
/// In words, when it cannot be asked.
pub async fn version() -> Result<String, String> {
    let bus = Connection::system().await.map_err(|error| error.to_string())?;
    Manager { bus }.version().await.map_err(|error| error.to_string())
}

fn description() -> LauncherDescription {
    let (missing, controllers) = match Tree::find().and_then(|tree| tree.of_systemd()) {
        // PID 1 gives a unit that is delegated whatever it has itself.
        Some(top) => super::limited(cgroup_tree::controllers(&top)),
        None => {
            let place = "no cgroup v2 tree is mounted".to_owned();
            let missing = vec![format!("{place}: memory and CPU are neither limited nor counted")];
            (missing, Controllers { place, ..Controllers::default() })
        }
    };
    LauncherDescription { name: "systemd", missing, controllers }
}

/// The properties of a Run's unit.
fn properties<'a>(shim: &'a str, directory: &'a str, description: String, grace_ms: u64) -> Properties<'a> {
    let command = vec![(shim, vec![shim, "run", directory, "--devices-closed"], false)];
    let stop = Duration::from_millis(grace_ms).saturating_add(BEYOND_GRACE);
    let stop = u64::try_from(stop.as_micros()).unwrap_or(u64::MAX);
    vec![
        ("Description", Variant::from(description)),
        ("Slice", Variant::from(SLICE)),
        ("Type", Variant::from("exec")),
        ("ExecStart", Variant::from(command)),
        ("After", Variant::from(vec!["clearmld.service", "network-online.target"])),
        ("Delegate", Variant::from(true)),
        // SIGTERM goes to the shim alone, which does the rest; what outlives it is killed.
        ("KillMode", Variant::from("mixed")),
        ("SendSIGKILL", Variant::from(true)),
        ("TimeoutStopUSec", Variant::from(stop)),
        // The payload has a limit of its own, and what that refuses is counted.
        ("TasksMax", Variant::from(u64::MAX)),
        // Out of memory is the payload's alone.
        ("OOMPolicy", Variant::from("continue")),
        ("CollectMode", Variant::from("inactive-or-failed")),
        ("StandardInput", Variant::from("null")),
        ("StandardOutput", Variant::from("null")),
        ("StandardErrorFileToAppend", Variant::from(format!("{directory}/{}", file::SHIM_LOG))),
        ("UMask", Variant::from(0o077_u32)),
        ("LimitCORE", Variant::from(0_u64)),
    ]
}

/// What is not limited is left as the operator has it.
fn slice_properties(all: Share) -> Properties<'static> {
    let memory = all.memory.map(|bytes| ("MemoryMax", Variant::from(bytes)));
    let cpus = all.cpus.map(|cpus| ("CPUQuotaPerSecUSec", Variant::from(u64::from(cpus.millis()) * 1000)));
    memory.into_iter().chain(cpus).collect()
}

/// journald's own limit, above the shim's: what the shim says of lines that it left out must get through.
fn journal_limits<'a>(journal: &JournalSpec) -> [(&'static str, Variant<'a>); 2] {
    let interval = Duration::from_secs(30);
    let burst = journal.lines_per_second.saturating_mul(100).saturating_add(1000);
    [
        ("LogRateLimitIntervalUSec", Variant::from(u64::try_from(interval.as_micros()).unwrap_or(u64::MAX))),
        ("LogRateLimitBurst", Variant::from(burst)),
    ]
}

#[async_trait]
impl Launcher for Systemd {
    fn describe(&self) -> LauncherDescription {
        let mut description = self.description.clone();
        if self.plain.load(Ordering::Relaxed) {
            let sentence = "this systemd cannot confine the units of runs: only the sandbox confines a task";
            description.missing.push(sentence.to_owned());
        }
        description
    }

    async fn hold(&self, all: Share) -> Result<Share, LaunchError> {
        let properties = slice_properties(all);
        if properties.is_empty() {
            return Ok(all);
        }
        // For this boot.
        let body = (SLICE, true, properties);
        self.manager.call::<_, ()>("SetUnitProperties", &body).await.map_err(|error| LaunchError::Failed {
            operation: "limit all runs together (clearml.slice)",
            reason: error.to_string(),
        })?;
        // systemd takes a limit, and leaves it, also where the kernel has no such controller.
        let has = &self.description.controllers;
        Ok(Share { memory: all.memory.filter(|_| has.memory), cpus: all.cpus.filter(|_| has.cpu) })
    }

    async fn going_down(&self) -> bool {
        // Nobody to ask is a bus that has gone before us: at the end of a shutdown, or broken; launching would tell.
        self.manager.state().await.is_ok_and(|state| state == "stopping")
    }

    async fn launch(&self, run: &RunId, directory: &Path) -> Result<Started, LaunchError> {
        // Also when it is dead by now: what was started once is never started again.
        if let Some(started) = supervised::started(directory)? {
            return Ok(started);
        }
        let failed = |reason: String| LaunchError::Failed { operation: "start a unit for clearmld-shim", reason };
        let spec: RunSpec =
            durable::read_json(&directory.join(file::SPEC)).map_err(|error| failed(format!("spec.json: {error}")))?;
        let description = format!("ClearML task {} (run {run})", spec.task);
        let text =
            |path: &Path| path.to_str().map(str::to_owned).ok_or_else(|| failed(format!("{path:?} is no UTF-8")));
        let (shim, directory_text) = (text(&self.shim)?, text(directory)?);
        let mut properties = properties(&shim, &directory_text, description, spec.stop_grace_ms);
        if let Some(journal) = &spec.journal {
            properties.extend(journal_limits(journal));
        }
        // STATE/runs/RUN
        let state = text(directory.ancestors().nth(2).unwrap_or(directory))?;
        let mut confinement = confinement::properties(&state, &spec);
        confinement.extend(confinement::devices(&spec));
        confinement.extend(self.wanted.iter().map(|property| (*property, Variant::from(true))));
        loop {
            match self.start(run, properties.clone(), confinement.clone()).await {
                Ok(()) => break,
                // A call before this one, whose answer was lost.
                Err(error) if is(&error, "org.freedesktop.systemd1.UnitExists") => break,
                // The host is on its way down, and starts nothing more. The Run stays where it is in the ledger, and
                // goes on from there after the boot.
                Err(error) if is(&error, "org.freedesktop.systemd1.TransactionIsDestructive") => sleep(AGAIN).await,
                Err(error) => return Err(failed(error.to_string())),
            }
        }
        supervised::until_started(directory, || None).await
    }

    async fn cgroup(&self, run: &RunId) -> Option<PathBuf> {
        // PID 1 makes it; where it will be is known: below the cgroup that holds PID 1's own `init.scope`.
        let tree = Tree::find()?;
        Some(tree.of_systemd()?.join(SLICE).join(run.unit()))
    }

    fn rebooted_since(&self, shim: &ProcessIdentity) -> bool {
        supervised::rebooted_since(shim)
    }

    fn alive(&self, shim: &ProcessIdentity) -> bool {
        supervised::alive(shim)
    }

    async fn wait(&self, shim: &ProcessIdentity) {
        supervised::wait(shim).await;
    }

    fn nudge(&self, shim: &ProcessIdentity) -> Result<(), LaunchError> {
        supervised::nudge(shim)
    }

    async fn sweep(&self, run: &RunId) -> Result<(), LaunchError> {
        let unit = run.unit();
        let failed = |error: zbus::Error| LaunchError::Failed {
            operation: "end what is left of a run's unit",
            reason: error.to_string(),
        };
        let gone = |result: zbus::Result<()>| match result {
            Err(error) if is(&error, "org.freedesktop.systemd1.NoSuchUnit") => Ok(()),
            other => other,
        };
        // The shim is gone: nobody is left who would heed a SIGTERM.
        let _ = self.manager.call::<_, ()>("KillUnit", &(unit.as_str(), "all", 9_i32)).await;
        let stopped = self.manager.call::<_, OwnedObjectPath>("StopUnit", &(unit.as_str(), "replace")).await;
        gone(stopped.map(drop)).map_err(failed)?;
        gone(self.manager.call("ResetFailedUnit", &(unit.as_str(),)).await).map_err(failed)?;
        if let Some(path) = self.cgroup(run).await {
            cgroup_tree::sweep(&path).await.map_err(|error| LaunchError::Failed {
                operation: "end what is left of a run",
                reason: format!("{}: {error}", path.display()),
            })?;
        }
        Ok(())
    }
}

fn is(error: &zbus::Error, name: &str) -> bool {
    matches!(error, zbus::Error::MethodError(found, ..) if found.as_str() == name)
}

// === impl Manager ===

impl Manager {
    /// `running`, `degraded`, `stopping`, … (systemctl is-system-running). Asked each time: systemd tells no changes.
    async fn state(&self) -> zbus::Result<String> {
        let property = ("org.freedesktop.systemd1.Manager", "SystemState");
        let properties = Some("org.freedesktop.DBus.Properties");
        let reply = self.bus.call_method(Some(NAME), PATH, properties, "Get", &property).await?;
        reply.body().deserialize::<OwnedVariant>()?.try_into()
    }

    async fn version(&self) -> zbus::Result<String> {
        let property = ("org.freedesktop.systemd1.Manager", "Version");
        let properties = Some("org.freedesktop.DBus.Properties");
        let reply = self.bus.call_method(Some(NAME), PATH, properties, "Get", &property).await?;
        reply.body().deserialize::<OwnedVariant>()?.try_into()
    }

    async fn call<B, R>(&self, method: &str, body: &B) -> zbus::Result<R>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType + Sync,
        R: for<'d> zbus::zvariant::DynamicDeserialize<'d>,
    {
        let reply =
            self.bus.call_method(Some(NAME), PATH, Some("org.freedesktop.systemd1.Manager"), method, body).await?;
        reply.body().deserialize()
    }
}

#[cfg(test)]
mod tests {
    use super::super::confinement::tests::spec;
    use super::*;

    #[test]
    fn the_properties_have_the_signatures_that_systemd_wants() {
        let directory = "/var/lib/clearmld/runs/r";
        let properties = properties("/usr/libexec/clearmld-shim", directory, "ClearML task t".into(), 10_000);
        let signature = |name: &str| {
            let value = properties.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
            value.expect(name).value_signature().to_string()
        };
        assert_eq!(signature("ExecStart"), "a(sasb)");
        assert_eq!(signature("After"), "as");
        assert_eq!(signature("TimeoutStopUSec"), "t");
        assert_eq!(signature("Delegate"), "b");
        assert_eq!(signature("TasksMax"), "t");
        assert_eq!(signature("UMask"), "u");
        let slice = slice_properties(Share { memory: Some(1 << 30), cpus: "1.5".parse().ok() });
        let signatures: Vec<_> =
            slice.iter().map(|(name, value)| (*name, value.value_signature().to_string())).collect();
        assert_eq!(signatures, [("MemoryMax", "t".to_owned()), ("CPUQuotaPerSecUSec", "t".to_owned())]);
        let spec = spec();
        let mut confinement = confinement::properties("/var/lib/clearmld", &spec);
        confinement.extend(confinement::devices(&spec));
        let signature = |name: &str| {
            let value = confinement.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
            value.expect(name).value_signature().to_string()
        };
        assert_eq!(signature("CapabilityBoundingSet"), "t");
        assert_eq!(signature("SystemCallFilter"), "(bas)");
        assert_eq!(signature("SystemCallErrorNumber"), "i");
        assert_eq!(signature("ReadWritePaths"), "as");
        assert_eq!(signature("DevicePolicy"), "s");
        assert_eq!(signature("DeviceAllow"), "a(ss)");
    }
}
