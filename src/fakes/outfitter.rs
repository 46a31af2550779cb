//! A spec that nobody executes, and a machine without figures.

use std::collections::BTreeMap;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::domain::handover::{
    self, Caches, Entry, EnvironmentSpec, Identity, Installer, Isolation, Overlay, ProgramSpec, Requirements, RunSpec,
    Secrets, SourceSpec,
};
use crate::domain::limits::Capacity;
use crate::domain::machine::MachineStats;
use crate::domain::run::RunRecord;
use crate::domain::task::TaskSnapshot;
use crate::engine::ports::{Machine, OutfitError, Outfitter, PayloadToken};

#[derive(Debug)]
pub(crate) struct FakeOutfitter {
    pub(crate) caches: PathBuf,
}

#[derive(Debug)]
pub(crate) struct FakeMachine;

impl Machine for FakeMachine {
    fn sample(&mut self) -> MachineStats {
        MachineStats::default()
    }
}

#[async_trait]
impl Outfitter for FakeOutfitter {
    fn check_user(&self, user: Option<&str>) -> Result<(), OutfitError> {
        match user {
            Some("root") => Err(OutfitError { reason: "tasks may not run as `root`".into() }),
            Some(_) | None => Ok(()),
        }
    }

    fn has_gpus(&self) -> bool {
        false
    }

    fn capacity(&self) -> Option<Capacity> {
        Some(Capacity { memory: 64 << 30, cpus: 8 })
    }

    async fn outfit(
        &self,
        record: &RunRecord,
        _user: Option<&str>,
        _task: &TaskSnapshot,
        _token: &PayloadToken,
        cgroup: Option<PathBuf>,
    ) -> Result<(RunSpec, Secrets), OutfitError> {
        if record.task.as_str() == "unfit" {
            return Err(OutfitError { reason: "the task has no script".into() });
        }
        let spec = RunSpec {
            version: handover::VERSION,
            run: record.id.clone(),
            task: record.task.clone(),
            identity: Identity {
                uid: nix::unistd::geteuid().as_raw(),
                gid: nix::unistd::getegid().as_raw(),
                user: "tester".into(),
                known_to_host: true,
            },
            isolation: Isolation::Subreaper,
            cgroup,
            hidden: Vec::new(),
            caches: Caches {
                mirrors: self.caches.join("mirrors"),
                packages: self.caches.join("packages"),
                environments: self.caches.join("environments"),
            },
            tools: Vec::new(),
            limits: crate::domain::limits::Limits::default(),
            seccomp: handover::Seccomp::Default,
            stop_grace_ms: 10,
            disk_reserve: None,
            spool_budget: 1 << 20,
            journal: None,
            devices: Vec::new(),
            source: SourceSpec { repository: None, overlay: Overlay::None },
            environment: EnvironmentSpec {
                python: None,
                requirements: Requirements::Nothing,
                installer: Installer::Pip,
                extra_index_urls: Vec::new(),
                extra_arguments: Vec::new(),
                system_site_packages: false,
                python_search: Vec::new(),
            },
            program: ProgramSpec {
                entry: Entry::PythonFile { file: "x.py".into() },
                arguments: Vec::new(),
                working_dir: PathBuf::new(),
                variables: BTreeMap::new(),
            },
        };
        let secrets = Secrets {
            version: handover::VERSION,
            variables: BTreeMap::new(),
            git: Vec::new(),
            index_urls: Vec::new(),
            sdk_config: None,
        };
        Ok((spec, secrets))
    }
}
