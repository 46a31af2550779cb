//! The command line. Help texts, manual pages and completions come from here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub mod explain;
pub mod gpu;
pub mod init;
pub mod task;
pub mod worker;

use explain::Explain;
use gpu::Gpu;
use init::Init;
use task::{Queue, Submit, Task};
use worker::Worker;

/// Control the ClearML workers of this host
#[derive(Debug, Parser)]
#[command(name = "clearmlctl", version, max_term_width = 100, after_help = AFTER_HELP)]
pub struct Cli {
    /// For every command.
    #[command(flatten)]
    pub global: Global,
    /// Which.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage or request, 3 not found, 4 denied, 5 clearmld is not \
running, 6 timeout, 7 conflict with what is, 8 something to do (`plan --exit-code`).";

const EVERYWHERE: &str = "Options of every command";

/// For every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Socket of clearmld [default: /run/clearmld/clearmld.sock, else that of this user's own clearmld]
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "CLEARMLD_SOCKET", value_name = "PATH", hide_env_values = true)]
    pub socket: Option<PathBuf>,
    /// How to write data to stdout
    #[arg(long, short, global = true, help_heading = EVERYWHERE, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// Give up after so many seconds [default: 90; none with --follow]
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For programs: stable fields, times in RFC 3339; a document a command, or one a line where things follow each other
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Give this host a ClearML server and its key pair, and a first worker
    Init(Box<Init>),
    /// Show how the host, the server and the workers are
    Status,
    /// Declare workers, and start and stop them
    #[command(subcommand)]
    Worker(Worker),
    /// Look at runs (attempts at tasks), stop them, read their output
    #[command(subcommand)]
    Run(Run),
    /// Look at the GPUs of this host
    #[command(subcommand)]
    Gpu(Gpu),
    /// Look at queues of the server
    #[command(subcommand)]
    Queue(Queue),
    /// Look at tasks of the server, and reset, enqueue or abort them
    #[command(subcommand)]
    Task(Task),
    /// Make a task of a script or a repository, and enqueue it
    Submit(Box<Submit>),
    /// Show what happens from now on, until interrupted
    Events(Events),
    /// Watch workers, runs, GPUs and the host live; follow logs, stop and drain by keys
    Top,
    /// Say why nothing runs here, or why something is what it is, also while the server is away
    #[command(subcommand)]
    Explain(Explain),
    /// Look for what is wrong with this host, and say how to mend each thing; exit code 1 when something failed
    Doctor,
    /// Help somebody far away to see what is wrong here
    #[command(subcommand)]
    Debug(Debug),
    /// Show what `reload` would do: workers declared in workers.d, and settings; `+` add, `~` change, `-` remove, `!` refused
    Plan {
        /// Exit with 8 instead of 0 when there is something to do or something is refused
        #[arg(long)]
        exit_code: bool,
    },
    /// Follow the files of this host: workers declared in workers.d, and settings. Running tasks are not touched
    Reload,
    /// Take no more tasks on this host; what runs goes on
    Drain,
    /// Take tasks again after `drain`
    Resume,
}

impl Command {
    /// Whether it goes on until something ends, so that no usual timeout is right.
    #[must_use]
    pub fn follows(&self) -> bool {
        match self {
            // It waits for a person.
            Self::Init(_) => true,
            Self::Top | Self::Events(_) | Self::Run(Run::Logs(_)) | Self::Task(Task::Log(_)) => true,
            Self::Submit(submit) => submit.follow,
            Self::Status
            | Self::Doctor
            | Self::Debug(_)
            | Self::Worker(_)
            | Self::Run(_)
            | Self::Gpu(_)
            | Self::Explain(_)
            | Self::Queue(_)
            | Self::Task(_)
            | Self::Plan { .. }
            | Self::Reload
            | Self::Drain
            | Self::Resume => false,
        }
    }
}

/// `debug`.
#[derive(Debug, Subcommand)]
pub enum Debug {
    /// Write one file with what is needed to look into a problem: versions, status, workers, runs, configuration, units,
    /// journal of the last hour, cgroups, mounts. Secrets are taken out
    Bundle {
        /// Where [default: clearmld-debug-TIME.tar.gz here]; it must not be there yet
        #[arg(long, short, value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

/// `events`.
#[derive(Debug, Args)]
pub struct Events {
    /// Accepted because it is what fingers type: events always follow
    #[arg(long, short)]
    pub follow: bool,
}

/// `run`.
#[derive(Debug, Subcommand)]
pub enum Run {
    /// List runs, newest first
    List,
    /// Show one run
    Show {
        /// Id of the run or of its task, or the beginning of either (4 characters or more)
        run: String,
    },
    /// Stop a run: SIGTERM, then after a grace SIGKILL; its task ends `stopped`
    Stop {
        /// Id of the run or of its task, or the beginning of either (4 characters or more)
        run: String,
        /// Time between SIGTERM and SIGKILL; 0 kills at once
        #[arg(long, value_name = "SECONDS", value_parser = seconds)]
        grace: Option<Duration>,
    },
    /// Print the output of a run, that of its setup included
    Logs(RunLogs),
}

/// `run logs`.
#[derive(Debug, Args)]
pub struct RunLogs {
    /// Id of the run or of its task, or the beginning of either (4 characters or more)
    pub run: String,
    /// Go on until the run has ended
    #[arg(long, short)]
    pub follow: bool,
    /// Begin so many lines before the end
    #[arg(long, short = 'n', value_name = "LINES")]
    pub tail: Option<u32>,
}

/// `1.5`.
fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_time_is_a_number_of_seconds() {
        assert_eq!(seconds("1.5"), Ok(Duration::from_millis(1500)));
        for text in ["-1", "x", "", "1e300", "NaN"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
