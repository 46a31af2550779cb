//! `worker …`.

use clap::{Args, Subcommand};

/// `worker`.
#[derive(Debug, Clone, Subcommand)]
pub enum Worker {
    /// Declare a worker; it takes tasks at once and comes back after a reboot
    Add(Box<WorkerAdd>),
    /// List workers
    List,
    /// Show one worker
    Show {
        /// Its name
        name: String,
    },
    /// Take no more tasks; the current one goes on
    Stop {
        /// Its name
        name: String,
        /// Also stop the current task
        #[arg(long)]
        now: bool,
    },
    /// Take tasks again after `stop`
    Resume {
        /// Its name
        name: String,
    },
    /// Forget a worker
    Remove {
        /// Its name
        name: String,
        /// Stop its current task first, instead of refusing
        #[arg(long)]
        now: bool,
    },
}

/// `worker add`.
#[derive(Debug, Clone, Args)]
pub struct WorkerAdd {
    /// Queue to serve, by name or id; again for more, first is first; with --dynamic-gpus NAME=2 or NAME=1-4
    /// [default: the server's default queue]
    #[arg(long = "queue", short = 'q', value_name = "QUEUE")]
    pub queues: Vec<String>,
    /// Use no GPU
    #[arg(long, conflicts_with = "gpus")]
    pub cpu_only: bool,
    /// GPUs to use: `0`, `0,1`, `0-3`, `0:1` (a MIG slice), a UUID, `all` or `none`; see
    /// `clearmlctl gpu list` [default: NVIDIA_VISIBLE_DEVICES,
    /// else all GPUs, else CPU]
    #[arg(long, value_name = "GPUS")]
    pub gpus: Option<String>,
    /// Share each GPU with other workers that say so: up to so many runs use it at once
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["dynamic_gpus", "cpu_only"])]
    pub share: Option<u32>,
    /// Run several tasks at once, each on as many of the GPUs as its queue says: `--queue dual=2 --queue any=1-4`
    #[arg(long, conflicts_with = "cpu_only")]
    pub dynamic_gpus: bool,
    /// User that the tasks run as [default: run_as of clearmld.toml, clearml-run]
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Memory of each task, such as `512M` or `32G`; one that needs more is ended as out of memory [default: all there is]
    #[arg(long, value_name = "SIZE", help_heading = "Limits of each task")]
    pub memory: Option<String>,
    /// Processor time of each task, in CPUs, such as `8` or `0.5` [default: all there is]
    #[arg(long, value_name = "NUMBER", help_heading = "Limits of each task")]
    pub cpus: Option<String>,
    /// Processes and threads of each task [default: 32768, or a quarter of the kernel's own limit if that is less]
    #[arg(long, value_name = "NUMBER", help_heading = "Limits of each task")]
    pub pids: Option<u64>,
    /// Time of each task from its start, such as `90s`, `30m`, `12h` or `7d`; then it is stopped [default: none]
    #[arg(long, value_name = "TIME", help_heading = "Limits of each task")]
    pub time_limit: Option<String>,
    /// Files of each task on the disk of the state directory, such as `100G`; one that writes more is ended as disk full
    /// [default: all there is, but for the host's reserve]
    #[arg(long, value_name = "SIZE", help_heading = "Limits of each task")]
    pub disk: Option<String>,
    /// Hours in which it takes tasks.
    #[command(flatten)]
    pub hours: WorkerHours,
    /// Name at the server [default: the host's name and the GPUs, as clearml-agent does]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Serve the queues in turn instead of the first one first
    #[arg(long)]
    pub order_fairness: bool,
    /// Make queues that do not exist
    #[arg(long)]
    pub create_queue: bool,
    /// Put a task back to the head of its queue when the host goes down under it (shutdown, reboot, power cut)
    #[arg(long)]
    pub requeue_on_host_loss: bool,
}

/// One of these at most; the daemon says why.
#[derive(Debug, Clone, Default, Args)]
pub struct WorkerHours {
    /// Take tasks in these hours only, as clearml-agent has them: `9-17 MON-FRI`, `22-3 FRI,SAT`, `20 SUN` (from then to
    /// 24), in the host's local time; more than one may follow [default: at any time]
    #[arg(long, value_name = "HOURS DAYS", num_args = 1.., help_heading = "Hours")]
    pub uptime: Vec<String>,
    /// Take no tasks in these hours; a task that runs goes on
    #[arg(long, value_name = "HOURS DAYS", num_args = 1.., help_heading = "Hours")]
    pub downtime: Vec<String>,
}
