//! Files that a test writes.

use std::sync::Mutex;

use async_trait::async_trait;

use crate::domain::declared::DeclaredFile;
use crate::domain::worker::WorkerDraft;
use crate::engine::Settings;
use crate::engine::ports::{Declarations, Reading};

#[derive(Debug, Default)]
pub(crate) struct FakeDeclarations {
    files: Mutex<Vec<DeclaredFile>>,
    settings: Mutex<Settings>,
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

    pub(crate) fn set(&self, settings: Settings) {
        *self.settings.lock().expect("unpoisoned") = settings;
    }
}

#[async_trait]
impl Declarations for FakeDeclarations {
    async fn read(&self) -> Reading {
        let settings = Box::new(self.settings.lock().expect("unpoisoned").clone());
        Reading { workers: Ok(self.files.lock().expect("unpoisoned").clone()), settings: Ok(settings) }
    }
}
