//! From requests to the domain. Every refusal is INVALID_ARGUMENT and names the field.

use std::fmt;
use std::str::FromStr;

use tonic::Status;

use super::spool::Start;
use super::status::invalid;
use crate::domain::gpu::{GpuClaim, GpuId};
use crate::domain::hours::Timetable;
use crate::domain::ids::{RunId, TaskId, UnixMillis, WorkerName};
use crate::domain::lending::{InvalidLending, Lending, Share};
use crate::domain::limits::{self, Limits, Written};
use crate::engine::handle::{NewReservation, WorkerDraft};
use crate::engine::ports::{QueueMove, Submission, TaskFilter};
use crate::rpc::v1;

/// Longest name of a queue, task, project or user that is looked at.
const LONGEST_NAME: usize = 256;
/// Most queues of one worker.
const MOST_QUEUES: usize = 64;
/// A grace longer than a day is a mistake.
const LONGEST_GRACE_MS: i64 = 24 * 60 * 60 * 1000;
/// Most lines that `last_lines` looks back.
const MOST_LINES: u64 = 1_000_000;

/// A field whose type checks itself.
pub(super) fn field<T>(name: &'static str, text: &str) -> Result<T, Status>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    text.parse().map_err(|error| invalid(name, error))
}

/// A task id in field `task_id`.
pub(super) fn task_id(text: &str) -> Result<TaskId, Status> {
    field("task_id", text)
}

/// A worker's name in field `name`.
pub(super) fn worker_name(text: &str) -> Result<WorkerName, Status> {
    field("name", text)
}

/// A GPU or a MIG slice in field `gpu`.
pub(super) fn gpu_id(text: &str) -> Result<GpuId, Status> {
    field("gpu", text)
}

/// A reservation that `by` asks for.
pub(super) fn reservation(asked: &v1::ReserveGpuRequest, by: String) -> Result<NewReservation, Status> {
    let duration: limits::Time = field("duration", &asked.duration)?;
    Ok(NewReservation {
        gpu: gpu_id(&asked.gpu)?,
        by,
        reason: name("reason", &asked.reason)?,
        ms: duration.seconds().saturating_mul(1000),
        when_free: asked.when_free,
    })
}

/// What [`crate::engine::handle::Handle::run`] takes: the beginning of an id is spelt as an id is.
pub(super) fn run_key(key: &str) -> Result<&str, Status> {
    field::<RunId>("key", key).map(|_| key)
}

/// Text of one line for the server: not empty, not endless, nothing that a terminal would obey.
pub(super) fn name(field: &'static str, text: &str) -> Result<String, Status> {
    let text = text.trim();
    if text.is_empty() {
        return Err(invalid(field, "it is empty"));
    }
    if text.len() > LONGEST_NAME {
        return Err(invalid(field, format_args!("it is longer than {LONGEST_NAME} bytes")));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid(field, "it holds control characters"));
    }
    Ok(text.to_owned())
}

fn optional_name(field: &'static str, text: Option<&str>) -> Result<Option<String>, Status> {
    text.map(|text| name(field, text)).transpose()
}

/// Milliseconds that may not be negative.
pub(super) fn millis(field: &'static str, value: Option<i64>) -> Result<Option<u64>, Status> {
    value.map(|value| u64::try_from(value).map_err(|_| invalid(field, "it is negative"))).transpose()
}

/// `StopRun.grace_ms`.
pub(super) fn grace(grace_ms: Option<i64>) -> Result<Option<u64>, Status> {
    if grace_ms.is_some_and(|grace| grace > LONGEST_GRACE_MS) {
        return Err(invalid("grace_ms", "it is longer than a day"));
    }
    millis("grace_ms", grace_ms)
}

fn written(asked: &v1::AddWorkerRequest) -> Written<'_> {
    Written {
        memory: asked.memory.as_deref(),
        cpus: asked.cpus.as_deref(),
        pids: asked.pids,
        time_limit: asked.time_limit.as_deref(),
        disk: asked.disk.as_deref(),
    }
}

impl TryFrom<v1::AddWorkerRequest> for WorkerDraft {
    type Error = Status;

    fn try_from(asked: v1::AddWorkerRequest) -> Result<Self, Status> {
        if asked.queues.len() > MOST_QUEUES {
            return Err(invalid("queues", format_args!("more than {MOST_QUEUES}")));
        }
        let mut queues: Vec<String> =
            asked.queues.iter().map(|queue| name("queues", queue)).collect::<Result<_, _>>()?;
        let share = asked.share.map(Share::try_from).transpose().map_err(|error| invalid("share", error))?;
        let lending = Lending::of(share, asked.dynamic_gpus, &mut queues)
            .map_err(|error| invalid(if matches!(error, InvalidLending::Both) { "share" } else { "queues" }, error))?;
        if let Some(twice) = queues.iter().enumerate().find(|(at, queue)| queues[..*at].contains(queue)) {
            return Err(invalid("queues", format_args!("`{}` is named twice", twice.1)));
        }
        let limits = Limits::parse(&written(&asked)).map_err(|(field, error)| invalid(field, error))?;
        let timetable =
            Timetable::of(&asked.uptime, &asked.downtime).map_err(|(field, error)| invalid(field, error))?;
        Ok(Self {
            limits,
            timetable,
            name: asked.name.as_deref().map(worker_name).transpose()?,
            queues,
            lending,
            gpus: asked.gpus.as_deref().map(|gpus| field::<GpuClaim>("gpus", gpus)).transpose()?,
            user: optional_name("user", asked.user.as_deref())?,
            order_fairness: asked.order_fairness,
            create_queue: asked.create_queue,
            requeue_on_host_loss: asked.requeue_on_host_loss,
        })
    }
}

impl TryFrom<Option<v1::stream_logs_request::Start>> for Start {
    type Error = Status;

    fn try_from(asked: Option<v1::stream_logs_request::Start>) -> Result<Self, Status> {
        use v1::stream_logs_request::Start as Asked;
        let count = |field, value| u64::try_from(value).map_err(|_| invalid(field, "it is negative"));
        match asked {
            None => Ok(Self::Offset(0)),
            Some(Asked::Offset(offset)) => count("offset", offset).map(Self::Offset),
            Some(Asked::LastBytes(bytes)) => count("last_bytes", bytes).map(Self::LastBytes),
            Some(Asked::LastLines(lines)) => {
                count("last_lines", lines).map(|lines| Self::LastLines(lines.min(MOST_LINES)))
            }
        }
    }
}

impl TryFrom<v1::ListTasksRequest> for TaskFilter {
    type Error = Status;

    fn try_from(asked: v1::ListTasksRequest) -> Result<Self, Status> {
        let limit = page("limit", asked.limit, 50, 500)?;
        let statuses = asked.statuses.iter().map(|status| name("statuses", status)).collect::<Result<_, _>>()?;
        Ok(Self { statuses, name: optional_name("name", asked.name.as_deref())?, limit })
    }
}

impl TryFrom<v1::SubmitTaskRequest> for Submission {
    type Error = Status;

    fn try_from(asked: v1::SubmitTaskRequest) -> Result<Self, Status> {
        if asked.repository.is_none() && asked.diff.as_deref().is_none_or(|diff| diff.trim().is_empty()) {
            return Err(invalid("diff", "without a repository it is the whole program, and it is empty"));
        }
        let arguments = asked.arguments.into_iter().map(|one| Ok((name("arguments", &one.name)?, one.value)));
        Ok(Self {
            name: name("name", &asked.name)?,
            project: optional_name("project", asked.project.as_deref())?,
            kind: or_else(asked.kind, "training"),
            binary: or_else(asked.binary, "python3"),
            repository: asked.repository,
            branch: asked.branch,
            commit: asked.commit,
            working_dir: or_else(asked.working_dir, "."),
            entry_point: Some(asked.entry_point)
                .filter(|entry| !entry.trim().is_empty())
                .ok_or_else(|| invalid("entry_point", "it is empty"))?,
            diff: asked.diff,
            requirements: asked.requirements,
            arguments: arguments.collect::<Result<_, Status>>()?,
            queue: optional_name("queue", asked.queue.as_deref())?,
        })
    }
}

impl TryFrom<v1::move_task_request::To> for QueueMove {
    type Error = Status;

    fn try_from(asked: v1::move_task_request::To) -> Result<Self, Status> {
        use v1::move_task_request::To;
        match asked {
            To::Front(true) => Ok(Self::Front),
            To::Back(true) => Ok(Self::Back),
            To::Front(false) | To::Back(false) => Err(invalid("to", "`front` and `back` can only be true")),
            To::Forward(0) | To::Backward(0) => Err(invalid("to", "0 places is no move")),
            To::Forward(count) => Ok(Self::Forward { count }),
            To::Backward(count) => Ok(Self::Backward { count }),
        }
    }
}

/// The checked form of [`v1::GetTaskLogRequest`].
pub(super) struct LogPage {
    pub(super) task: TaskId,
    pub(super) after: Option<UnixMillis>,
    pub(super) limit: u32,
}

impl TryFrom<v1::GetTaskLogRequest> for LogPage {
    type Error = Status;

    fn try_from(asked: v1::GetTaskLogRequest) -> Result<Self, Status> {
        Ok(Self {
            task: task_id(&asked.task_id)?,
            after: millis("after_unix_ms", asked.after_unix_ms)?.map(UnixMillis),
            limit: page("limit", asked.limit, 500, 5000)?,
        })
    }
}

fn page(field: &'static str, asked: u32, usual: u32, most: u32) -> Result<u32, Status> {
    match asked {
        0 => Ok(usual),
        asked if asked <= most => Ok(asked),
        _ => Err(invalid(field, format_args!("it is more than {most}"))),
    }
}

fn or_else(text: String, usual: &str) -> String {
    if text.trim().is_empty() { usual.to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_field_is_named() {
        let draft =
            |asked: v1::AddWorkerRequest| WorkerDraft::try_from(asked).map_err(|status| status.message().to_owned());
        let bad = [
            (v1::AddWorkerRequest { name: Some("a/b".into()), ..Default::default() }, "name: "),
            (v1::AddWorkerRequest { gpus: Some("x".into()), ..Default::default() }, "gpus: "),
            (v1::AddWorkerRequest { queues: vec!["a".into(), "a".into()], ..Default::default() }, "queues: "),
            (v1::AddWorkerRequest { queues: vec!["a\x1b[2J".into()], ..Default::default() }, "queues: "),
            (v1::AddWorkerRequest { user: Some(" ".into()), ..Default::default() }, "user: "),
            (v1::AddWorkerRequest { memory: Some("much".into()), ..Default::default() }, "memory: "),
            (v1::AddWorkerRequest { cpus: Some("0".into()), ..Default::default() }, "cpus: "),
            (v1::AddWorkerRequest { pids: Some(1), ..Default::default() }, "pids: "),
            (v1::AddWorkerRequest { time_limit: Some("soon".into()), ..Default::default() }, "time_limit: "),
            (v1::AddWorkerRequest { share: Some(0), ..Default::default() }, "share: "),
            (v1::AddWorkerRequest { dynamic_gpus: true, queues: vec!["a".into()], ..Default::default() }, "queues: "),
            (
                v1::AddWorkerRequest {
                    dynamic_gpus: true,
                    share: Some(2),
                    queues: vec!["a=1".into()],
                    ..Default::default()
                },
                "share: ",
            ),
            (
                v1::AddWorkerRequest { dynamic_gpus: true, queues: vec!["a=0.5".into()], ..Default::default() },
                "queues: ",
            ),
            (v1::AddWorkerRequest { uptime: vec!["9-17".into()], ..Default::default() }, "uptime: "),
            (v1::AddWorkerRequest { downtime: vec!["0 SUN-SAT".into()], ..Default::default() }, "downtime: "),
        ];
        for (asked, start) in bad {
            let message = draft(asked).expect_err("it is refused");
            assert!(message.starts_with(start), "{message}");
        }
        assert!(draft(v1::AddWorkerRequest::default()).is_ok());
    }

    #[test]
    fn a_submission_without_repository_needs_a_program() {
        let asked = v1::SubmitTaskRequest { name: "x".into(), entry_point: "x.py".into(), ..Default::default() };
        assert!(Submission::try_from(asked.clone()).is_err());
        let asked = v1::SubmitTaskRequest { diff: Some("print(1)".into()), ..asked };
        assert_eq!(
            Submission::try_from(asked).map(|made| (made.binary, made.working_dir)).ok(),
            Some(("python3".into(), ".".into()))
        );
    }

    #[test]
    fn a_negative_grace_and_one_of_years_are_refused() {
        assert!(grace(Some(-1)).is_err());
        assert!(grace(Some(i64::MAX)).is_err());
        assert_eq!(grace(Some(0)).ok(), Some(Some(0)));
    }
}
