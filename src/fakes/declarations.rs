//! Files that a test writes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::declared::DeclaredFile;
use crate::domain::policy::{Grant, Policy};
use crate::domain::worker::WorkerDraft;
use crate::engine::Settings;
use crate::engine::ports::{Declarations, Reading};

#[derive(Debug, Default)]
pub(crate) struct FakeDeclarations {
    files: Mutex<Vec<DeclaredFile>>,
    settings: Mutex<Settings>,
    policy: Mutex<Option<Result<Policy, String>>>,
    slow: Mutex<Duration>,
}

impl FakeDeclarations {
    /// `STEM.toml` says this from now on.
    pub(crate) fn write(&self, stem: &str, said: Result<WorkerDraft, Vec<String>>) {
        self.delete(stem);
        let mut files = self.files.lock().expect("unpoisoned");
        files.push(DeclaredFile { path: format!("{stem}.toml"), stem: stem.to_owned(), said });
        files.sort_by(|a, b| a.path.cmp(&b.path));
    }

    pub(crate) fn delete(&self, stem: &str) {
        self.files.lock().expect("unpoisoned").retain(|file| file.stem != stem);
    }

    /// policy.toml says this from now on.
    pub(crate) fn allow(&self, policy: Result<Policy, String>) {
        *self.policy.lock().expect("unpoisoned") = Some(policy);
    }

    /// Whoever reads from now on waits that long for what the files say now.
    pub(crate) fn answer_after(&self, wait: Duration) {
        *self.slow.lock().expect("unpoisoned") = wait;
    }

    pub(crate) fn set(&self, settings: Settings) {
        *self.settings.lock().expect("unpoisoned") = settings;
    }
}

#[async_trait]
impl Declarations for FakeDeclarations {
    async fn read(&self) -> Reading {
        let settings = Box::new(self.settings.lock().expect("unpoisoned").clone());
        let workers = Ok(self.files.lock().expect("unpoisoned").clone());
        let wait = *self.slow.lock().expect("unpoisoned");
        tokio::time::sleep(wait).await;
        Reading { workers, settings: Ok(settings) }
    }

    fn policy(&self) -> Result<Arc<Policy>, String> {
        let policy = self.policy.lock().expect("unpoisoned").clone().unwrap_or_else(|| {
            // What most tests have: everybody may be anybody.
            let users = Some(["alice", "tester", "clearml-run"].map(str::to_owned).into());
            let default = Some(Grant { users, ..Grant::default() });
            Ok(Policy { default, ..Policy::absent("policy.toml".into(), "clearml-run".into()) })
        });
        policy.map(Arc::new)
    }
}
