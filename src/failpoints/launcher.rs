use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::mortal;
use crate::domain::handover::{ProcessIdentity, Started};
use crate::domain::ids::RunId;
use crate::domain::reserve::Share;
use crate::engine::ports::{LaunchError, Launcher, LauncherDescription};

/// Where shims are started.
#[derive(Debug)]
pub(super) struct Mortal(pub(super) Arc<dyn Launcher>);

#[async_trait]
impl Launcher for Mortal {
    fn describe(&self) -> LauncherDescription {
        self.0.describe()
    }
    async fn hold(&self, all: Share) -> Result<Share, LaunchError> {
        self.0.hold(all).await
    }
    async fn going_down(&self) -> bool {
        self.0.going_down().await
    }
    async fn told_by_shutdown(&self) -> bool {
        self.0.told_by_shutdown().await
    }
    fn rebooted_since(&self, shim: &ProcessIdentity) -> bool {
        self.0.rebooted_since(shim)
    }
    async fn launch(&self, run: &RunId, directory: &Path) -> Result<Started, LaunchError> {
        mortal("launch", self.0.launch(run, directory)).await
    }
    async fn cgroup(&self, run: &RunId) -> Option<PathBuf> {
        mortal("cgroup", self.0.cgroup(run)).await
    }
    fn alive(&self, shim: &ProcessIdentity) -> bool {
        self.0.alive(shim)
    }
    async fn wait(&self, shim: &ProcessIdentity) {
        mortal("wait", self.0.wait(shim)).await;
    }
    fn nudge(&self, shim: &ProcessIdentity) -> Result<(), LaunchError> {
        self.0.nudge(shim)
    }
    async fn sweep(&self, run: &RunId) -> Result<(), LaunchError> {
        mortal("sweep", self.0.sweep(run)).await
    }
}
