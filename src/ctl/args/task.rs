//! `queue …`, `task …` and `submit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `queue`.
#[derive(Debug, Clone, Subcommand)]
pub enum Queue {
    /// List queues and what waits in them
    List,
    /// Make a queue
    Create {
        /// Its name
        name: String,
    },
    /// Move a waiting task inside its queue
    Move(QueueMove),
}

/// `queue move`.
#[derive(Debug, Clone, Args)]
pub struct QueueMove {
    /// The queue, by name or id
    pub queue: String,
    /// Id of the task
    pub task: String,
    /// Where to.
    #[command(flatten)]
    pub to: Place,
}

/// Exactly one of these.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct Place {
    /// Make it the next
    #[arg(long)]
    pub front: bool,
    /// Make it the last
    #[arg(long)]
    pub back: bool,
    /// Move it so many places towards the front
    #[arg(long, value_name = "PLACES")]
    pub forward: Option<u32>,
    /// Move it so many places towards the back
    #[arg(long, value_name = "PLACES")]
    pub backward: Option<u32>,
}

/// `task`.
#[derive(Debug, Clone, Subcommand)]
pub enum Task {
    /// List tasks, newest first
    List(TaskList),
    /// Show one task: status, hyperparameters, last scalars, artifacts
    Show {
        /// Its id
        task: String,
    },
    /// Make a draft of the same code and parameters
    Clone {
        /// Id of the original
        task: String,
        /// Name of the clone
        #[arg(long)]
        name: Option<String>,
    },
    /// Delete a task's results and make it a draft again
    Reset {
        /// Its id
        task: String,
        /// Whatever its status is
        #[arg(long)]
        force: bool,
    },
    /// Put a task into a queue
    Enqueue {
        /// Its id
        task: String,
        /// The queue, by name or id
        #[arg(long, short)]
        queue: String,
    },
    /// Stop a task, wherever it runs or waits
    Abort {
        /// Its id
        task: String,
        /// Whatever its status is
        #[arg(long)]
        force: bool,
    },
    /// Print the console log that the server has
    Log(TaskLog),
}

/// `task list`.
#[derive(Debug, Clone, Args)]
pub struct TaskList {
    /// Only tasks of this status; again for more
    #[arg(long = "status", short, value_name = "STATUS")]
    pub statuses: Vec<String>,
    /// Only tasks whose name matches (a regular expression)
    #[arg(long)]
    pub name: Option<String>,
    /// At most so many
    #[arg(long, short = 'n', value_name = "TASKS", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
}

/// `task log`.
#[derive(Debug, Clone, Args)]
pub struct TaskLog {
    /// Its id
    pub task: String,
    /// Go on until the task has ended
    #[arg(long, short)]
    pub follow: bool,
}

/// `submit`.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("code").required(true).args(["script", "repo"]))]
pub struct Submit {
    /// Script to run (Python, or bash where it ends in .sh); it travels inside the task
    #[arg(value_name = "SCRIPT")]
    pub script: Option<PathBuf>,
    /// Git repository to run from
    #[arg(long, value_name = "URL", requires = "entry_point")]
    pub repo: Option<String>,
    /// Commit of the repository
    #[arg(long, requires = "repo")]
    pub commit: Option<String>,
    /// Branch of the repository
    #[arg(long, requires = "repo")]
    pub branch: Option<String>,
    /// File in the repository to run, or `-m module`
    #[arg(long, value_name = "FILE", requires = "repo", allow_hyphen_values = true)]
    pub entry_point: Option<String>,
    /// Directory in the repository to run in
    #[arg(long, value_name = "DIR", requires = "repo")]
    pub working_dir: Option<String>,
    /// Name of the task [default: that of the script]
    #[arg(long)]
    pub name: Option<String>,
    /// Project of the task
    #[arg(long)]
    pub project: Option<String>,
    /// Packages to install [default: none for a script; the repository's requirements.txt]
    #[arg(long, short, value_name = "FILE")]
    pub requirements: Option<PathBuf>,
    /// Hyperparameter of section Args, which the SDK gives to argparse; again for more
    #[arg(long = "arg", value_name = "NAME=VALUE", value_parser = pair)]
    pub arguments: Vec<(String, String)>,
    /// Queue, by name or id [default: none, the task stays a draft]
    #[arg(long, short)]
    pub queue: Option<String>,
    /// Python version
    #[arg(long, value_name = "VERSION", value_parser = python_version)]
    pub python: Option<String>,
    /// Print its log until it has ended, then its results; exit 0 only if it completed
    #[arg(long, short, requires = "queue")]
    pub follow: bool,
    /// Command line of the script
    #[arg(last = true, value_name = "ARGS")]
    pub command_line: Vec<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        Some(_) | None => Err("write NAME=VALUE".to_owned()),
    }
}

fn python_version(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split('.').collect();
    let numbers = parts.iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if (1..=3).contains(&parts.len()) && numbers {
        Ok(text.to_owned())
    } else {
        Err("write it as 3.11 or 3.11.4".to_owned())
    }
}
