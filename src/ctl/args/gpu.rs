//! `gpu …`.

use clap::Subcommand;

/// `gpu`.
#[derive(Debug, Clone, Subcommand)]
pub enum Gpu {
    /// List the GPUs of this host, and who has them
    List,
    /// Show one GPU, its MIG slices, and what computes on it
    Show {
        /// Its index or UUID, or a name of one of its MIG slices
        gpu: String,
    },
    /// Look anew, after the driver was loaded or MIG slices were made
    Rescan,
}
