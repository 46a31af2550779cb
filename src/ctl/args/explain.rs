//! `explain …`.

use clap::Subcommand;

/// `explain`.
#[derive(Debug, Clone, Subcommand)]
pub enum Explain {
    /// Why a worker takes no task
    Worker {
        /// Its name
        name: String,
    },
    /// What a task is at here, how it ended here, or why it is not here
    Task {
        /// Its id or that of a run of it, or the beginning of either (4 characters or more)
        task: String,
    },
    /// Why nothing runs on a GPU
    Gpu {
        /// Its index or UUID, or a name of one of its MIG slices
        gpu: String,
    },
}
