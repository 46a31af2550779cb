//! What the operator has written into files.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::declared::DeclaredFile;
use crate::domain::policy::Policy;
use crate::engine::Settings;

/// The operator's files, read now. Never the server.
#[async_trait]
pub trait Declarations: Send + Sync + fmt::Debug {
    /// Reads them all.
    async fn read(&self) -> Reading;
    /// What root lets Workers have now: of one small file, read when it has changed. An error, and nothing is to be given,
    /// when it cannot be understood.
    fn policy(&self) -> Result<Arc<Policy>, String>;
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The files of workers.d, or why the directory cannot be read.
    pub workers: Result<Vec<DeclaredFile>, String>,
    /// The settings, or everything that is wrong with them.
    pub settings: Result<Box<Settings>, String>,
}
