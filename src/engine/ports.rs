//! The few doors through which the engine reaches the world.

mod declarations;
mod desk;
mod diagnosis;
mod figures;
mod gpus;
mod launch;
mod server;
mod store;

use std::fmt;

pub use declarations::{Declarations, Reading};
pub use desk::{Desk, DeskLogEvent, DeskQueue, DeskTask, DeskTaskDetail, QueueMove, Submission, TaskFilter};
pub use diagnosis::Check;
pub use figures::Figures;
pub use gpus::Gpus;
pub use launch::{LaunchError, Launcher, LauncherDescription};
pub use server::{
    ClearMl, Forced, LogEvent, LogLevel, PayloadToken, ServerError, ServerIdentity, StatusNote, Whereabouts,
    WorkerReport,
};
pub use store::{Loaded, OutfitError, Outfitter, Store, StoreError};

use crate::domain::hours::LocalHour;
use crate::domain::ids::{RunId, UnixMillis};
use crate::domain::machine::MachineStats;

/// Figures of the host.
pub trait Machine: Send + fmt::Debug {
    /// Since the last call.
    fn sample(&mut self) -> MachineStats;
}

/// The only source of time and chance for the engine; tests have one of their own.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock.
    fn now(&self) -> UnixMillis;
    /// The hour that a clock on this host's wall shows.
    fn local(&self) -> LocalHour;
    /// A new id for a Run.
    fn mint_run(&self) -> RunId;
}
