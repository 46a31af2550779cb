//! What an operator is told of: a closed set. Each notice has a `MESSAGE_ID` that never changes, a priority in the
//! journal, and an entry in `systemd/clearmld.catalog` that says what it means and what to do (`journalctl -x`).

use super::cause::Cause;
use super::stop::StopReason;

/// A priority of the journal (syslog(3)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody must act.
    Error = 3,
    /// Somebody should look.
    Warning = 4,
    /// It matters, and is as it should be.
    Notice = 5,
    /// For following along.
    Info = 6,
    /// For finding a defect.
    Debug = 7,
}

/// The table: variant, word, `MESSAGE_ID`, priority, subject. An id once released is never given to anything else.
macro_rules! notices {
    ($($name:ident $word:literal $id:literal $priority:ident $subject:literal)+) => {
        /// See the module.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Notice {
            $(#[doc = $subject] $name,)+
        }

        impl Notice {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// One word, for documents; the kind of the event where `WatchEvents` has one.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// `MESSAGE_ID`.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Self::$name => $id),+ }
            }

            /// `PRIORITY`.
            #[must_use]
            pub fn priority(self) -> Priority {
                match self { $(Self::$name => Priority::$priority),+ }
            }

            /// The catalog's `Subject:`.
            #[must_use]
            pub fn subject(self) -> &'static str {
                match self { $(Self::$name => $subject),+ }
            }
        }
    };
}

notices! {
    Ready               "ready"                 "93de0b3fb8330de9611d502bcb301cb4" Notice  "clearmld is ready"
    GoingDown           "going_down"            "a986cdb44ed2e2d644c443749453ce7a" Notice  "clearmld is going down"
    NotConfigured       "not_configured"        "fbc96ffaad6e6d61fb23a2887787e1ed" Warning "No ClearML server is configured"
    ConfigurationBroken "configuration_broken"  "57e99744bb3bde42bb5c8a7f7a2e3c48" Error   "The configuration cannot be used"
    ConfigurationKept   "configuration_kept"    "65ff04401eb3be7630e804a363a3d660" Error   "The new configuration was not taken"
    ServerUp            "server_up"             "ea3158280cf9d297bb9b9ab3ab5ffe71" Notice  "The ClearML server answers"
    ServerDown          "server_down"           "694097f374731815f1a9b70fc29787dc" Warning "The ClearML server does not answer"
    LoginRefused        "login_refused"         "8d0d3a3444a263371ad3d4b19e555d97" Error   "The ClearML server refuses the credentials"
    WorkerAdded         "worker_added"          "74e1013c3b086761174ffe9a9c0fb49b" Notice  "A worker was added"
    WorkerChanged       "worker_changed"        "adda85d073d7ffd30c52de23feb904a4" Notice  "A worker was changed"
    WorkerStopped       "worker_stopped"        "604f9fd297600db055ff448e75d76c3b" Notice  "A worker takes no more tasks"
    WorkerResumed       "worker_resumed"        "a0aeffebc5e046d5933814299a8215ea" Notice  "A worker takes tasks again"
    WorkerRemoved       "worker_removed"        "945b96fb723fe97410911c2f45879ed3" Notice  "A worker was removed"
    QueueGone           "queue_gone"            "25b89f5488e02bb1ce4b54446a256974" Warning "A queue of a worker is gone"
    HostDraining        "host_draining"         "af0397fda0f08e4a7652a81079d8ea3a" Notice  "The host takes no more tasks"
    HostResumed         "host_resumed"          "98461f56642b0e9c61f3cced212dd418" Notice  "The host takes tasks again"
    GpuFault            "gpu_fault"             "684a39beab3f420191230763b61227a2" Warning "A GPU reported an error"
    GpuSuspect          "gpu_suspect"           "1f60d04c57d942c1884fee80d41f5131" Warning "A GPU is suspect"
    GpuQuarantined      "gpu_quarantined"       "26e84e9567884e97aac74dafa8f3cb76" Error   "A GPU is out of use"
    GpuVerifying        "gpu_verifying"         "5795792f3d42430885cb75da50a257b4" Notice  "A GPU is being verified"
    GpuHealthy          "gpu_healthy"           "fb77ee86229a4feda10b09b4a0766117" Notice  "A GPU is lent again"
    GpuReserved         "gpu_reserved"          "dd9dd25b004edf5bb5dfff3bfcfaee30" Notice  "A GPU was reserved"
    GpuReleased         "gpu_released"          "27f23215be7057c6a7c5755b62cd1c34" Notice  "A reserved GPU is lent again"
    RunClaimed          "run_claimed"           "0a2e6f8cff5c50ddd465d35010f95ad6" Notice  "A task was taken from its queue"
    RunStarted          "run_started"           "46a3a6e64fb7c214a287cf082d5a4958" Notice  "A task was started"
    RunStopping         "run_stopping"          "72588901b1761e39ef8ae01b3dc83aee" Notice  "A run is to be stopped"
    RunCompleted        "run_completed"         "b78beec53337f1bed249bad1196d2a71" Notice  "A task completed"
    RunFailed           "run_failed"            "80e274d4cb21f8d34cb58a660a5d9779" Warning "The program of a task failed"
    RunSetupFailed      "run_setup_failed"      "824ff4f91d0c1f0c9f0da221172b99d5" Warning "A task could not be set up"
    RunLaunchFailed     "run_launch_failed"     "751ecc0e3ae2fbc1f88bc928e9dbaa7d" Error   "A task could not be launched"
    RunOutOfMemory      "run_out_of_memory"     "f76abe8358f4e3cfc89be7a2309bd758" Warning "A task ran out of memory"
    RunOutOfDisk        "run_out_of_disk"       "84506fb8bf447bf9417c4024a2c0289a" Error   "A task found the disk full"
    RunGpuFault         "run_gpu_fault"         "7ae1b35fb2454e8f9465002404b7758a" Error   "A task failed with its GPU"
    RunStopped          "run_stopped"           "d77fef3001b4ef3c9b17886875c894ab" Notice  "A run was stopped"
    RunHostShutdown     "run_host_shutdown"     "ca1e3621b3b162adfc447aa315b0445f" Notice  "A run was stopped because the host was shut down"
    RunLost             "run_lost"              "e59174dcaa55e60e304bfcf16df51eed" Warning "A run was lost"
    RunSettled          "run_settled"           "192d6c8617430db4ce2ade40643959d1" Notice  "The end of a run is delivered"
    DiskFull            "disk_full"             "e4b46a6f894e2cc0e8477a9fc939688a" Error   "The disk is full"
    DiskFree            "disk_free"             "b420c928182d17921f62c85e67a5b719" Notice  "The disk has room again"
    Defect              "internal_error"        "52a2f82dd1dbebc025d61ac438c1b2e8" Error   "A part of clearmld broke"
    OutputLeftOut       "output_left_out"       "b2a01b38bdadacb7948618007ca8fdae" Notice  "Output of a task is not in the journal"
    EntriesLost         "entries_lost"          "e91967e61c83143ad2ef99eb999952db" Warning "Entries of clearmld are missing in the journal"
    Audit               "audit"                 "f7d77699b6bd2a8fdb126ba8f421f758" Notice  "An operator gave clearmld an order"
    CallRefused         "call_refused"          "6eef2e63aed686f67cd2031ec6e625d5" Warning "A call to the control socket was refused"
}

impl Notice {
    /// By its word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|notice| notice.word() == word)
    }

    /// By its `MESSAGE_ID`.
    #[must_use]
    pub fn with_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|notice| notice.id() == id)
    }

    /// What an end means to the operator of the host.
    #[must_use]
    pub fn of_end(cause: &Cause) -> Self {
        match cause {
            Cause::ExitCode { code: 0, .. } => Self::RunCompleted,
            Cause::ExitCode { .. } | Cause::Signal { .. } => Self::RunFailed,
            Cause::OutOfMemory { .. } => Self::RunOutOfMemory,
            Cause::DiskFull { .. } => Self::RunOutOfDisk,
            Cause::Stopped { reason: StopReason::HostShutdown } => Self::RunHostShutdown,
            Cause::Stopped {
                reason:
                    StopReason::UserAbort
                    | StopReason::TaskReset
                    | StopReason::TaskDeleted
                    | StopReason::TaskChanged
                    | StopReason::Operator
                    | StopReason::WorkerStopped
                    | StopReason::TimeLimit,
            } => Self::RunStopped,
            Cause::SetupFailed { .. } => Self::RunSetupFailed,
            Cause::LaunchFailed { .. } => Self::RunLaunchFailed,
            Cause::GpuFault { .. } | Cause::GpuLost { .. } => Self::RunGpuFault,
            Cause::Lost { .. } => Self::RunLost,
        }
    }
}

#[cfg(test)]
mod tests;
