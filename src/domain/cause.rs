//! Why a Run ended: a closed set, each with the one ClearML status that it means and a reason a person understands.

use serde::{Deserialize, Serialize};

use super::handover::{End, ExitRecord, Stage, StopRequest};
use super::health::{Blame, Class, Fault, Xid};
use super::stop::StopReason;

/// Why a Run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
pub enum Cause {
    /// The program exited.
    ExitCode {
        /// 0 is success.
        code: i32,
        /// Its last words, if it failed.
        last_line: Option<String>,
    },
    /// A signal that was not ours ended the program.
    Signal {
        /// Its number.
        signal: i32,
        /// The last words.
        last_line: Option<String>,
    },
    /// The kernel killed it for memory.
    OutOfMemory {
        /// Peak, in bytes; 0 where unknown.
        peak: u64,
        /// The Run's own limit in bytes, if that was the reason; 0 when the host itself was short of memory.
        #[serde(default)]
        limit: u64,
        /// The limit of all Runs of the host together in bytes, if that was the reason; else 0.
        #[serde(default)]
        shared_limit: u64,
    },
    /// No space left for its output, code or environment.
    DiskFull {
        /// What was being written.
        reason: String,
    },
    /// It was stopped.
    Stopped {
        /// Why.
        reason: StopReason,
    },
    /// A stage before the program failed.
    SetupFailed {
        /// Which.
        stage: Stage,
        /// Why.
        reason: String,
    },
    /// It could not be started.
    LaunchFailed {
        /// Why.
        reason: String,
    },
    /// Its GPU reported an error, and the program failed.
    GpuFault {
        /// The UUID of the GPU or slice.
        gpu: String,
        /// The driver's number for the error, if it has one.
        xid: Option<u64>,
        /// What it was.
        fault: String,
        /// How the program ended.
        ended: String,
    },
    /// Its GPU was lost under it.
    GpuLost {
        /// The UUID of the GPU.
        gpu: String,
        /// What is known.
        reason: String,
        /// How the program ended.
        ended: String,
    },
    /// Nobody saw its end: the host rebooted, or the shim was killed. Never guessed to be success.
    Lost {
        /// What is known.
        reason: String,
    },
}

/// What the server is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// `tasks.completed`.
    Completed,
    /// `tasks.failed`.
    Failed,
    /// `tasks.stopped`.
    Stopped,
    /// Nothing: the task has gone its own way (reset, deleted, changed).
    LeaveAlone,
}

impl Cause {
    /// From what the shim recorded. A stop explains the end only if the program did not end well by itself before it.
    /// A process that fails when there is no room on its disk most often fails for that.
    #[must_use]
    pub fn of(record: &ExitRecord, asked: Option<&StopRequest>) -> Self {
        let last_line = record.last_line.clone();
        if record.usage.oom_kills > 0 && record.end != (End::Exited { code: 0 }) {
            let limit = if record.usage.limit_hits > 0 { record.usage.memory_limit } else { 0 };
            let shared_limit = if limit == 0 { record.usage.shared_limit } else { 0 };
            return Self::OutOfMemory { peak: record.usage.peak_memory, limit, shared_limit };
        }
        let stopped = record.stop.as_ref().or(asked.filter(|_| record.stop.is_some()));
        match (&record.end, stopped) {
            (End::Exited { code: 0 }, None) if record.stage == Stage::Program => {
                Self::ExitCode { code: 0, last_line: None }
            }
            (_, Some(stop)) => Self::Stopped { reason: stop.reason },
            (End::Exited { code }, None) if record.disk_full => {
                let how = format!("its process ended with exit code {code}");
                Self::DiskFull { reason: with_last_line(how, last_line.as_deref()) }
            }
            (End::Signaled { signal }, None) if record.disk_full => {
                let how = format!("its process was ended by {}", signal_name(*signal));
                Self::DiskFull { reason: with_last_line(how, last_line.as_deref()) }
            }
            (End::Exited { code }, None) if record.stage == Stage::Program => Self::ExitCode { code: *code, last_line },
            (End::Signaled { signal }, None) if record.stage == Stage::Program => {
                Self::Signal { signal: *signal, last_line }
            }
            (End::Exited { code }, None) => {
                let reason = with_last_line(format!("its process exited with code {code}"), last_line.as_deref());
                Self::SetupFailed { stage: record.stage, reason }
            }
            (End::Signaled { signal }, None) => {
                let reason =
                    with_last_line(format!("its process was ended by {}", signal_name(*signal)), last_line.as_deref());
                Self::SetupFailed { stage: record.stage, reason }
            }
            (End::StageFailed { reason }, None) => Self::SetupFailed { stage: record.stage, reason: reason.clone() },
            (End::LaunchFailed { reason }, None) => Self::LaunchFailed { reason: reason.clone() },
            (End::DiskFull { reason }, None) => Self::DiskFull { reason: reason.clone() },
        }
    }

    /// Whether it may be that a GPU failed and the program with it.
    #[must_use]
    pub fn may_be_a_gpus(&self) -> bool {
        match self {
            Self::ExitCode { code, .. } => *code != 0,
            Self::Signal { .. } => true,
            Self::OutOfMemory { .. }
            | Self::DiskFull { .. }
            | Self::Stopped { .. }
            | Self::SetupFailed { .. }
            | Self::LaunchFailed { .. }
            | Self::GpuFault { .. }
            | Self::GpuLost { .. }
            | Self::Lost { .. } => false,
        }
    }

    /// The cause, now that something is known of the Run's GPU, or else what is worth a remark: a program that ended well
    /// did so all the same, and a person's stop needs no other reason.
    #[must_use]
    pub fn blamed_on(self, blame: &Blame) -> (Self, Option<String>) {
        let (gpu, fault) = (blame.uuid.clone(), blame.fault.sentence());
        if !self.may_be_a_gpus() {
            return (self, Some(format!("GPU {gpu} reported a fault while the task ran: {fault}")));
        }
        let ended = self.reason();
        let cause = match &blame.fault {
            Fault::Lost { reason } => Self::GpuLost { gpu, reason: reason.clone(), ended },
            Fault::Xid { xid } => Self::GpuFault { gpu, xid: Some(xid.0), fault, ended },
            Fault::Ecc { .. } | Fault::ResetRequired { .. } | Fault::Hung { .. } => {
                Self::GpuFault { gpu, xid: None, fault, ended }
            }
        };
        (cause, None)
    }

    /// The status that it means at the server.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            Self::ExitCode { code: 0, .. } => Verdict::Completed,
            Self::ExitCode { .. }
            | Self::Signal { .. }
            | Self::OutOfMemory { .. }
            | Self::DiskFull { .. }
            | Self::SetupFailed { .. }
            | Self::LaunchFailed { .. }
            | Self::GpuFault { .. }
            | Self::GpuLost { .. }
            | Self::Lost { .. } => Verdict::Failed,
            Self::Stopped { reason } => match reason {
                StopReason::UserAbort
                | StopReason::Operator
                | StopReason::WorkerStopped
                | StopReason::HostShutdown
                | StopReason::TimeLimit => Verdict::Stopped,
                StopReason::TaskReset | StopReason::TaskDeleted | StopReason::TaskChanged => Verdict::LeaveAlone,
            },
        }
    }

    /// One word, for tables, the journal (`CLEARML_CAUSE`) and JSON.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::ExitCode { code: 0, .. } => "completed",
            Self::ExitCode { .. } => "exit_code",
            Self::Signal { .. } => "signal",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::DiskFull { .. } => "disk_full",
            Self::Stopped { reason } => match reason {
                StopReason::UserAbort => "user_abort",
                StopReason::TaskReset => "task_reset",
                StopReason::TaskDeleted => "task_deleted",
                StopReason::TaskChanged => "task_changed",
                StopReason::Operator => "operator",
                StopReason::WorkerStopped => "worker_stopped",
                StopReason::HostShutdown => "host_shutdown",
                StopReason::TimeLimit => "time_limit",
            },
            Self::SetupFailed { .. } => "setup_failed",
            Self::LaunchFailed { .. } => "launch_failed",
            Self::GpuFault { .. } => "gpu_fault",
            Self::GpuLost { .. } => "gpu_lost",
            Self::Lost { .. } => "lost",
        }
    }

    /// The server's `status_reason`: what happened, in a sentence without a full stop.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            // The words of clearml-agent, which dashboards look for.
            Self::ExitCode { code: 0, .. } => "worker execution done".to_owned(),
            Self::ExitCode { code, last_line } => {
                with_last_line(format!("worker execution exit code {code}"), last_line.as_deref())
            }
            Self::Signal { signal, last_line } => {
                with_last_line(format!("the program was ended by {}", signal_name(*signal)), last_line.as_deref())
            }
            Self::OutOfMemory { peak, limit, shared_limit } => out_of_memory(*peak, *limit, *shared_limit),
            Self::DiskFull { reason } => format!("the worker's disk is full: {reason}"),
            Self::Stopped { reason } => match reason {
                StopReason::UserAbort => "task was stopped by tasks.stop".to_owned(),
                StopReason::TaskReset => "the task was reset".to_owned(),
                StopReason::TaskDeleted => "the task was deleted".to_owned(),
                StopReason::TaskChanged => "the task's status was changed elsewhere".to_owned(),
                StopReason::Operator => "stopped by an operator of the host (clearmlctl run stop)".to_owned(),
                StopReason::WorkerStopped => "the worker was stopped by an operator of the host".to_owned(),
                StopReason::HostShutdown => "the host was shut down".to_owned(),
                StopReason::TimeLimit => "the time limit was reached".to_owned(),
            },
            Self::SetupFailed { stage, reason } => format!("{} stage failed: {reason}", stage.as_str()),
            Self::LaunchFailed { reason } => format!("the task could not be launched: {reason}"),
            Self::GpuFault { gpu, xid, fault, ended } => {
                // The program's own faults look like the GPU's.
                let whose = xid.is_some_and(|xid| Xid(xid).class() == Class::Application);
                let whose = if whose { ", most often an error of the program itself" } else { "" };
                format!("GPU fault: {fault}{whose}, on GPU {gpu}; {ended}")
            }
            Self::GpuLost { gpu, reason, ended } => {
                format!("GPU lost: GPU {gpu} does not answer any more ({reason}); {ended}")
            }
            Self::Lost { reason } => format!("the run was lost: {reason}"),
        }
    }
}

fn out_of_memory(peak: u64, limit: u64, shared_limit: u64) -> String {
    // Less than a MiB is no peak of a program.
    let used = (peak >> 20 > 0).then(|| format!("it had used {} MiB", peak >> 20));
    if shared_limit > 0 {
        let used = used.map_or_else(String::new, |used| format!("; {used}"));
        return format!(
            "out of memory: all tasks of the host together had reached what they may have ({} MiB, reserve_memory_mib of \
             clearmld.toml leaves the rest to the system), and the kernel killed this one{used}; give the workers limits \
             (--memory), or run fewer at once",
            shared_limit >> 20
        );
    }
    match (limit, used) {
        (0, None) => "out of memory: the kernel killed the program".to_owned(),
        (0, Some(used)) => format!("out of memory: the host had none left, and the kernel killed the program; {used}"),
        (limit, used) => {
            let (limit, used) = (limit >> 20, used.map_or_else(String::new, |used| format!(", {used}")));
            format!(
                "out of memory: the kernel killed the program at its limit of {limit} MiB{used}; let it need less, or \
                 give the worker more (--memory)"
            )
        }
    }
}

fn with_last_line(text: String, last_line: Option<&str>) -> String {
    match last_line {
        Some(line) if !line.trim().is_empty() => format!("{text}; last output: {}", line.trim()),
        Some(_) | None => text,
    }
}

/// `SIGKILL (9)`.
#[must_use]
pub fn signal_name(signal: i32) -> String {
    const NAMES: [(i32, &str); 17] = [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (5, "SIGTRAP"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (10, "SIGUSR1"),
        (11, "SIGSEGV"),
        (12, "SIGUSR2"),
        (13, "SIGPIPE"),
        (14, "SIGALRM"),
        (15, "SIGTERM"),
        (24, "SIGXCPU"),
        (31, "SIGSYS"),
    ];
    match NAMES.iter().find(|(number, _)| *number == signal) {
        Some((_, name)) => format!("{name} ({signal})"),
        None => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests;
