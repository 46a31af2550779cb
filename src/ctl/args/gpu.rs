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
    /// Take a GPU out of use, until `verify` or `readmit`; what a run holds it keeps to its end
    Quarantine {
        /// Its index or UUID, or the name of one of its MIG slices; a whole GPU takes its slices along
        gpu: String,
        /// Why; shown to whoever wonders
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Look for a minute whether a GPU that is out of use works, and lend it again if it does
    Verify {
        /// Its index or UUID, or the name of one of its MIG slices
        gpu: String,
        /// Why; shown to whoever wonders
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Lend a GPU again at once, on your word
    Readmit {
        /// Its index or UUID, or the name of one of its MIG slices
        gpu: String,
        /// Why; shown to whoever wonders
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Keep a GPU from all workers for a while, for yourself; what a run holds it keeps to its end
    Reserve {
        /// Its index or UUID, or the name of one of its MIG slices; a whole GPU takes its slices along
        gpu: String,
        /// How long, such as `30m`, `2h` or `3d`; then it is lent again
        #[arg(long = "for", value_name = "TIME")]
        duration: String,
        /// Why; shown to whoever wonders
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Wait for the run that holds it, instead of refusing; the time begins when that has ended
        #[arg(long)]
        when_free: bool,
    },
    /// Give a reserved GPU back to the workers before its time
    Release {
        /// Its index or UUID, or the name of one of its MIG slices
        gpu: String,
    },
    /// Look anew, after the driver was loaded or MIG slices were made
    Rescan,
}
