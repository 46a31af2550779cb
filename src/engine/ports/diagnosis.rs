//! What `clearmlctl doctor` looks at.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::diagnosis::Finding;

/// One thing, or a few that are seen together. It changes nothing, and blocks no thread of the runtime.
#[async_trait]
pub trait Check: Send + Sync + fmt::Debug {
    /// One word, for when it does not end.
    fn name(&self) -> &'static str;
    /// What takes longer hangs.
    fn limit(&self) -> Duration {
        Duration::from_secs(10)
    }
    /// Looks now.
    async fn look(&self) -> Vec<Finding>;
}
