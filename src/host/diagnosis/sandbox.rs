//! A program in a real sandbox, by the real shim, with no task behind it: what it can reach, tasks can.

mod target;
mod verdicts;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::Mutex;
use tokio::time::timeout;

pub use target::target;

use crate::domain::diagnosis::Finding;
use crate::domain::gpu::GpuClaim;
use crate::domain::handover::{
    Answer, Caches, Entry, EnvironmentSpec, ExitRecord, Installer, Isolation, MARK, Overlay, ProgramSpec, Question,
    Requirements, RunSpec, Secrets, SourceSpec, Target,
};
use crate::domain::ids::{QueueId, RunId, TaskId, UnixMillis, WorkerName};
use crate::domain::run::RunRecord;
use crate::domain::task::{TaskScript, TaskSnapshot, TaskStatus};
use crate::domain::worker::QueueRef;
use crate::engine::ports::{Check, Launcher, Outfitter, PayloadToken, Store};
use crate::host::outfit::Outfits;

/// Runs of this kind are none of the ledger's.
const PREFIX: &str = "doctor-";
/// Where the stage program, which is the shim, is in every sandbox.
const INSIDE: &str = "/clearml/stage";
/// From the launch to the end of the program.
const LIMIT: Duration = Duration::from_secs(30);
/// The answer of a program that is ours.
const LONGEST_ANSWER: usize = 256 << 10;

/// See the module.
#[derive(Debug)]
pub struct Sandbox {
    store: Arc<dyn Store>,
    launcher: Arc<dyn Launcher>,
    outfits: Outfits,
    shim: PathBuf,
    target: Option<Target>,
    /// One at a time: whoever begins removes what another has left behind.
    turn: Mutex<()>,
}

impl Sandbox {
    /// `outfits` are those of every Run; nothing secret of them goes into this one. `target` is what a program must
    /// reach.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        launcher: Arc<dyn Launcher>,
        outfits: Outfits,
        shim: PathBuf,
        target: Option<Target>,
    ) -> Self {
        // uv would be fetched for a Run that needs none.
        let outfits = Outfits {
            uv: None,
            git: Vec::new(),
            index_urls: Vec::new(),
            variables: BTreeMap::new(),
            sdk_config: SecretString::from(String::new()),
            ..outfits
        };
        Self { store, launcher, outfits, shim, target, turn: Mutex::default() }
    }

    async fn inspect(&self) -> Result<(Question, Answer, Vec<String>), String> {
        let _turn = self.turn.lock().await;
        self.remove_leftovers().await;
        let run =
            RunId::new(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple())).map_err(|error| error.to_string())?;
        let outcome = match timeout(LIMIT, self.carry_out(&run)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("the program in it did not end within {} s", LIMIT.as_secs())),
        };
        self.remove(&run).await;
        outcome
    }

    async fn carry_out(&self, run: &RunId) -> Result<(Question, Answer, Vec<String>), String> {
        let (spec, secrets, question) = self.spec(run).await?;
        let token = PayloadToken { token: SecretString::from(String::new()) };
        self.store.prepare(&spec, &secrets, &token).await.map_err(|error| error.to_string())?;
        let directory = self.store.run_directory(run);
        let started = self.launcher.launch(run, &directory).await.map_err(|error| error.to_string())?;
        self.launcher.wait(&started.shim).await;
        let record = self.store.exit(run).await.map_err(|error| error.to_string())?;
        let output = self.store.read_spool(run, 0, LONGEST_ANSWER).await.map_err(|error| error.to_string())?;
        match answer(&output) {
            Some(answer) => Ok((question, answer, started.missing)),
            None => Err(why_not(record.as_ref(), &output)),
        }
    }

    async fn spec(&self, run: &RunId) -> Result<(RunSpec, Secrets, Question), String> {
        let (record, task) = nobodys(run).map_err(|error| error.to_string())?;
        let token = PayloadToken { token: SecretString::from(String::new()) };
        let cgroup = self.launcher.cgroup(run).await;
        let made = self.outfits.outfit(&record, None, &task, &token, cgroup).await;
        let (mut spec, mut secrets) = made.map_err(|error| error.to_string())?;
        secrets.variables.clear();
        secrets.sdk_config = None;
        // Caches of its own: those of the user are other Runs'.
        let own = self.store.run_directory(run).join("cache");
        spec.caches = Caches {
            mirrors: own.join("mirrors"),
            packages: own.join("packages"),
            environments: own.join("environments"),
        };
        spec.source = SourceSpec { repository: None, overlay: Overlay::None };
        spec.environment = EnvironmentSpec {
            python: None,
            requirements: Requirements::Nothing,
            installer: Installer::Pip,
            extra_index_urls: Vec::new(),
            extra_arguments: Vec::new(),
            system_site_packages: false,
            python_search: Vec::new(),
        };
        let question = Question { target: self.target.clone(), devices: spec.devices.clone() };
        let code = serde_json::to_string(&question).map_err(|error| error.to_string())?;
        let program = match spec.isolation {
            Isolation::Namespaces => PathBuf::from(INSIDE),
            Isolation::Subreaper => self.shim.clone(),
        };
        let command = vec![program.to_string_lossy().into_owned(), "check".to_owned()];
        let entry = Entry::OtherCode { command, code };
        let (arguments, working_dir) = (Vec::new(), PathBuf::new());
        spec.program = ProgramSpec { entry, arguments, working_dir, variables: spec.program.variables };
        Ok((spec, secrets, question))
    }

    async fn remove(&self, run: &RunId) {
        if let Err(error) = self.launcher.sweep(run).await {
            tracing::warn!(%error, "what the check of the sandbox has started cannot be ended");
        }
        if let Err(error) = self.store.drop_run(run).await {
            tracing::warn!(%error, "what the check of the sandbox has written cannot be removed");
        }
    }

    /// Of a daemon that was killed meanwhile, or of a caller who hung up.
    async fn remove_leftovers(&self) {
        let runs = self.store.root().join("runs");
        let Ok(mut entries) = tokio::fs::read_dir(&runs).await else { return };
        while let Ok(Some(entry)) = entries.next_entry().await {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let (true, Ok(run)) = (name.starts_with(PREFIX), RunId::new(name)) {
                self.remove(&run).await;
            }
        }
    }
}

#[async_trait]
impl Check for Sandbox {
    fn name(&self) -> &'static str {
        verdicts::SANDBOX
    }

    fn limit(&self) -> Duration {
        LIMIT + LIMIT
    }

    async fn look(&self) -> Vec<Finding> {
        match self.inspect().await {
            Ok((question, answer, missing)) => {
                verdicts::all(&question, &answer, &missing, self.outfits.isolation, verdicts::NvidiaCards::look())
            }
            Err(reason) => verdicts::none(&reason),
        }
    }
}

/// The Run of no task.
fn nobodys(run: &RunId) -> Result<(RunRecord, TaskSnapshot), crate::domain::ids::InvalidId> {
    let task = TaskId::new("doctor")?;
    let queue = QueueRef { id: QueueId::new("doctor")?, name: "doctor".to_owned() };
    let worker = WorkerName::new("doctor")?;
    // Every device that a Run on this host could be lent.
    let record = RunRecord::claim(run.clone(), worker, queue, task.clone(), GpuClaim::All, UnixMillis(0));
    let script = TaskScript {
        binary: Some("bash".to_owned()),
        diff: Some("true".to_owned()),
        entry_point: Some("check.sh".to_owned()),
        ..TaskScript::default()
    };
    let (name, status) = ("doctor".to_owned(), TaskStatus::InProgress);
    let environment = BTreeMap::new();
    let task = TaskSnapshot {
        id: task,
        name,
        status,
        last_worker: None,
        script,
        environment,
        properties: BTreeMap::new(),
        container_image: None,
    };
    Ok((record, task))
}

fn answer(output: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(output);
    serde_json::from_str(text.lines().find_map(|line| line.strip_prefix(MARK))?).ok()
}

fn why_not(record: Option<&ExitRecord>, output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it printed nothing");
    let last: String = last.chars().take(300).collect();
    match record {
        Some(record) => format!("{:?}; {last}", record.end),
        None => format!("the shim left no record; {last}"),
    }
}
