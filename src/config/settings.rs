//! What clearmld.toml may say, as one table: the reader refuses what is not in it, and the default file, the manual page
//! clearmld.toml(5) and the configuration reference are written from it. A test holds the defaults to what is read.

/// A setting of clearmld.toml.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// `stop_grace_seconds`.
    pub key: &'static str,
    /// What is written for it.
    pub takes: Takes,
    /// As TOML; none where the meaning says what then holds.
    pub default: Option<&'static str>,
    /// For operators: sentences.
    pub meaning: &'static str,
}

/// What is written for a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A string.
    Text,
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// A whole number, within bounds.
    Number(u64, u64),
    /// Seconds, with a fraction where one is wanted, within bounds in milliseconds.
    Seconds(u64, u64),
    /// `true` or `false`.
    Truth,
}

impl std::fmt::Display for Takes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |ms: u64| std::time::Duration::from_millis(ms).as_secs_f64();
        match *self {
            Self::Text => f.write_str("text"),
            Self::OneOf(words) => {
                f.write_str(&words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or "))
            }
            Self::Number(least, most) => write!(f, "number, {least} to {most}"),
            Self::Seconds(least, most) => write!(f, "seconds, {} to {}", seconds(least), seconds(most)),
            Self::Truth => f.write_str("true or false"),
        }
    }
}

/// A key of clearml.conf that clearmld does what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Honoured {
    /// `agent.git_user`.
    pub key: &'static str,
    /// A variable that wins over it.
    pub variable: Option<&'static str>,
    /// For operators: a phrase.
    pub meaning: &'static str,
}

const DAY_MS: u64 = 86_400_000;

const fn setting(key: &'static str, takes: Takes, default: &'static str, meaning: &'static str) -> Setting {
    Setting { key, takes, default: Some(default), meaning }
}

/// All of them, in the order in which they are shown.
pub const SETTINGS: &[Setting] = &[
    setting(
        "run_as",
        Takes::Text,
        "\"clearml-run\"",
        "User that tasks run as, where their worker names none. Never root.",
    ),
    setting(
        "uid_first",
        Takes::Number(1000, 4_000_000_000),
        "900000",
        "Uid and gid that tasks run as where the host does not know the user.",
    ),
    setting(
        "uid_last",
        Takes::Number(1000, 4_000_000_000),
        "900999",
        "Last uid that is set aside for that; only the first is used so far.",
    ),
    setting(
        "stop_grace_seconds",
        Takes::Seconds(0, DAY_MS),
        "10",
        "Time between SIGTERM and SIGKILL when a task is stopped.",
    ),
    setting(
        "spool_budget_mib",
        Takes::Number(1, 1 << 20),
        "1024",
        "Output of one run that may wait on disk for the server, in MiB; what is more is counted and dropped.",
    ),
    Setting {
        key: "reserve_memory_mib",
        takes: Takes::Number(0, 1 << 30),
        default: None,
        meaning: "Memory that all runs together leave to the system and to clearmld, in MiB: a limit of clearml.slice, of \
                  half of the memory at least. 0: none is set. Without it, a tenth of the memory, and 2048 at most.",
    },
    setting(
        "reserve_cpus",
        Takes::Number(0, 4096),
        "0",
        "Processors whose time all runs together leave to the system: a limit of clearml.slice, of one processor at least.",
    ),
    Setting {
        key: "reserve_disk_mib",
        takes: Takes::Number(0, 1 << 30),
        default: None,
        meaning: "What runs leave free of the disk of the state directory, in MiB: when less is left, the runs that have \
                  written most are stopped, as disk full. 0: nothing. Without it, a twentieth of the disk, and 2048 at \
                  most.",
    },
    setting(
        "journal_lines_per_second",
        Takes::Number(0, 10_000),
        "20",
        "Lines of output of one run that go to the journal too, each second; 50 times as many at once. 0: none.",
    ),
    setting(
        "journal_budget_mib",
        Takes::Number(1, 1 << 20),
        "16",
        "Output of one run that goes to the journal, all in all, in MiB.",
    ),
    setting(
        "poll_interval_seconds",
        Takes::Seconds(100, 3_600_000),
        "1",
        "Time between two looks at the queues, one request for all workers. CLEARML_AGENT_QUEUE_POLL_FREQ_SEC wins over it.",
    ),
    setting(
        "report_interval_seconds",
        Takes::Seconds(1000, 600_000),
        "30",
        "Time between two status reports of a worker. CLEARML_AGENT_STATUS_REPORT_FREQ_SEC wins over it.",
    ),
    setting(
        "installer",
        Takes::OneOf(&["uv", "pip"]),
        "\"uv\"",
        "What installs the packages of a task. uv is taken from PATH, else installed once below the state directory.",
    ),
    setting(
        "keep_runs_days",
        Takes::Number(0, 3650),
        "7",
        "Days for which the directory of a run that has ended is kept.",
    ),
    setting("keep_runs", Takes::Number(0, 1_000_000), "200", "How many of them are kept at most."),
    Setting {
        key: "host_name",
        takes: Takes::Text,
        default: None,
        meaning: "Name of this host at the server. Without it, the system's host name.",
    },
    Setting {
        key: "workers_dir",
        takes: Takes::Text,
        default: None,
        meaning: "Where workers are declared. Without it, /etc/clearmld/workers.d.",
    },
    Setting {
        key: "nvml_library",
        takes: Takes::Text,
        default: None,
        meaning: "NVML, where it is not the driver's libnvidia-ml.so.1. CLEARMLD_NVML_LIBRARY wins over it.",
    },
    setting(
        "lend_gpus_in_use",
        Takes::Truth,
        "false",
        "Whether a GPU is lent that a process computes on which belongs to no run: somebody's notebook, another agent's task.",
    ),
    Setting {
        key: "ignored_gpu_programs",
        takes: Takes::Text,
        default: None,
        meaning: "Commands, joined by commas, that may be on a GPU that is lent. Without it: Xorg, Xwayland, gnome-shell, \
                  kwin_wayland, nvidia-persistenced, nvidia-smi, nv-hostengine, dcgm-exporter.",
    },
    Setting {
        key: "metrics",
        takes: Takes::Text,
        default: None,
        meaning: "Where OpenMetrics are served: \"unix\" (metrics.sock beside the control socket) or a loopback address \
                  such as \"127.0.0.1:9108\". Without it, nowhere.",
    },
    setting(
        "payload_sees_sdk_secrets",
        Takes::Truth,
        "false",
        "Whether tasks are given the storage credentials of section sdk of clearml.conf.",
    ),
];

/// The setting of that key.
#[must_use]
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

const fn honoured(key: &'static str, variable: Option<&'static str>, meaning: &'static str) -> Honoured {
    Honoured { key, variable, meaning }
}

/// What of clearml.conf has an effect.
pub const HONOURED: &[Honoured] = &[
    honoured("api.api_server", Some("CLEARML_API_HOST"), "URL of the server's API"),
    honoured("api.web_server", Some("CLEARML_WEB_HOST"), "URL of its pages"),
    honoured("api.files_server", Some("CLEARML_FILES_HOST"), "URL of its file server"),
    honoured("api.credentials.access_key", Some("CLEARML_API_ACCESS_KEY"), "access key"),
    honoured("api.credentials.secret_key", Some("CLEARML_API_SECRET_KEY"), "its secret"),
    honoured("api.auth_token", Some("CLEARML_AUTH_TOKEN"), "bearer token, instead of a key pair"),
    honoured(
        "api.verify_certificate",
        Some("CLEARML_API_HOST_VERIFY_CERT"),
        "how the server's certificate is checked: true, false, or a file of authorities",
    ),
    honoured("api.auth.request_token_expiration_sec", None, "how long a token is asked for, in seconds"),
    honoured("agent.worker_name", Some("CLEARML_WORKER_NAME"), "replaces the host name in names of workers"),
    honoured("agent.worker_id", Some("CLEARML_WORKER_ID"), "taken as the worker's name"),
    honoured("agent.uptime", None, "hours in which workers take tasks that say none themselves, as `--uptime`"),
    honoured("agent.downtime", None, "hours in which they do not, as `--downtime`; with both, neither has an effect"),
    honoured("agent.git_user", Some("CLEARML_AGENT_GIT_USER"), "user name for git over HTTPS"),
    honoured("agent.git_pass", Some("CLEARML_AGENT_GIT_PASS"), "its password or token"),
    honoured("agent.git_host", Some("CLEARML_AGENT_GIT_HOST"), "the only host that is given them"),
    honoured("agent.git.extra_credentials", None, "further users and passwords, each for a host"),
    honoured("agent.default_python", None, "Python version of tasks that name none"),
    honoured("agent.ignore_requested_python_version", None, "take it for all tasks"),
    honoured("agent.package_manager.extra_index_url", None, "further package indexes"),
    honoured(
        "agent.package_manager.extra_pip_install_flags",
        Some("CLEARML_EXTRA_PIP_INSTALL_FLAGS"),
        "further arguments of the installer",
    ),
    honoured("agent.package_manager.system_site_packages", None, "packages of the interpreter itself are visible"),
    honoured(
        "agent.package_manager.force_repo_requirements_txt",
        None,
        "requirements.txt of the repository wins over what the task requires",
    ),
    honoured(
        "agent.package_manager.force_original_requirements",
        None,
        "what the author required wins over what a former run has frozen",
    ),
    honoured("agent.enable_task_env", None, "hyperparameters of section Environment become variables of the program"),
    honoured("agent.task_ping_interval_sec", None, "seconds between two signs of life of a task"),
    honoured(
        "agent.abort_callback_max_timeout",
        Some("CLEARML_AGENT_ABORT_CALLBACK_TIMEOUT"),
        "seconds that the abort callback of the SDK may take",
    ),
    honoured("agent.apply_environment", None, "whether section environment becomes variables of every program"),
    honoured("environment", None, "these variables"),
    honoured("sdk", None, "handed to tasks, without storage credentials unless clearmld.toml says otherwise"),
];
