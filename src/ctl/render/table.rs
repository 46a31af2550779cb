//! Tables and lists for people: no lines, one space-separated row a thing, the header set off.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, ColumnConstraint, ContentArrangement, Table};

use super::text::{cell, safe, short};
use super::time::{ago, now, since, span};
use super::words;
use crate::rpc::v1;

/// Longest name in a table.
const NAME: usize = 40;
/// Columns that are copied to the next command: never wrapped, however narrow the terminal is.
const UNBROKEN: [&str; 7] = ["RUN", "TASK", "WORKER", "QUEUE", "ID", "NEXT", "UUID"];
/// What an empty cell shows.
pub(super) const NOTHING_THERE: &str = "-";

/// How it is to look.
#[derive(Debug, Clone, Copy)]
pub(in crate::ctl) struct Look {
    /// Long rows are wrapped.
    pub(in crate::ctl) terminal: bool,
    /// Bold headers.
    pub(in crate::ctl) colour: bool,
}

impl Look {
    pub(super) fn rows(self, header: &[&str], rows: Vec<Vec<String>>) -> String {
        let mut table = self.plain();
        table.set_header(header.iter().map(|title| self.title(title)));
        table.add_rows(rows);
        for (column, title) in table.column_iter_mut().zip(header) {
            if UNBROKEN.contains(title) {
                column.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        trimmed(table)
    }

    /// `label  value`, in order; without value no line.
    pub(super) fn fields(self, fields: Vec<(&str, Option<String>)>) -> String {
        let mut table = self.plain();
        for (label, value) in fields {
            if let Some(value) = value {
                table.add_row([self.title(label), Cell::new(value)]);
            }
        }
        trimmed(table)
    }

    fn title(self, text: &str) -> Cell {
        let cell = Cell::new(text);
        if self.colour { cell.add_attribute(Attribute::Bold) } else { cell }
    }

    fn plain(self) -> Table {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_content_arrangement(if self.terminal {
            ContentArrangement::Dynamic
        } else {
            ContentArrangement::Disabled
        });
        if !self.terminal {
            table.force_no_tty();
        }
        table
    }
}

fn trimmed(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

pub(super) fn or_nothing(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).map_or_else(|| NOTHING_THERE.to_owned(), cell)
}

pub(super) fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| cell(text))
}

/// `status`.
pub(in crate::ctl) fn status(look: Look, status: &v1::HostStatus) -> String {
    let now = now();
    let up = span(now - status.since_unix_ms);
    let mut fields = vec![
        ("host", Some(format!("{} (clearmld {}, up {up})", cell(&status.host), cell(&status.version)))),
        ("state", Some(format!("{} ({})", cell(&status.state_dir), cell(&status.state_id)))),
        ("server", Some(status.server.as_ref().map_or_else(String::new, |found| server(now, found)))),
        ("web", status.server.as_ref().and_then(|server| some(&server.web_url))),
        ("launcher", some(&status.launcher)),
        (
            "tasks",
            Some(
                if status.draining { "none are taken: draining (end it with `clearmlctl resume`)" } else { "taken" }
                    .into(),
            ),
        ),
        ("workers", Some(status.workers.to_string())),
        (
            "runs",
            Some(match status.unsettled_runs {
                0 => format!("{} live", status.live_runs),
                unsettled => format!("{} live, {unsettled} not reported to the server yet", status.live_runs),
            }),
        ),
    ];
    fields.push(("all runs", some(&status.all_runs)));
    fields.extend(status.missing.iter().map(|text| ("missing", some(text))));
    fields.extend(status.remarks.iter().map(|text| ("remark", some(text))));
    look.fields(fields)
}

fn server(now: i64, server: &v1::Server) -> String {
    if server.api_url.is_empty() {
        return "not configured: run `clearmlctl init`".to_owned();
    }
    let mut text = cell(&server.api_url);
    if let Some(version) = &server.version {
        text.push_str(&format!(" {}", cell(version)));
    }
    if let Some(version) = &server.api_version {
        text.push_str(&format!(" (API {})", cell(version)));
    }
    let since = server.since_unix_ms.map(|since| format!(" for {}", span(now - since))).unwrap_or_default();
    match words::link(server) {
        "unknown" => text.push_str(", not asked yet"),
        link => text.push_str(&format!(", {link}{since}")),
    }
    if let Some(reason) = &server.reason {
        text.push_str(&format!(": {}", cell(reason)));
    }
    text
}

/// A line of `events`.
pub(in crate::ctl) fn event(event: &v1::Event) -> String {
    let of = event.worker.as_deref().map(|worker| format!(" {}", cell(worker))).unwrap_or_default();
    let time = super::time::rfc3339(event.at_unix_ms);
    format!("{time} {}{of}: {}", cell(&event.kind), cell(&event.message))
}

/// `worker list`.
pub(in crate::ctl) fn workers(look: Look, workers: &[v1::Worker]) -> String {
    let row = |worker: &v1::Worker| {
        let queues: Vec<String> = worker.queues.iter().map(named).collect();
        let mut activity = words::activity(worker).to_owned();
        if let Some(paused) = &worker.paused {
            activity.push_str(&format!(" ({})", cell(paused)));
        }
        if let Some(problem) = &worker.problem {
            activity.push_str(&format!(" ({})", cell(problem)));
        }
        if let Some(pending) = &worker.pending {
            activity.push_str(&format!(" (then {})", cell(pending)));
        }
        let queues = cell(&queues.join(", "));
        vec![cell(&worker.name), queues, cell(&worker.gpus), activity, or_nothing(worker.task_id.as_deref())]
    };
    look.rows(&["WORKER", "QUEUES", "GPUS", "ACTIVITY", "TASK"], workers.iter().map(row).collect())
}

/// With what a task of it gets, where the worker says that.
fn named(queue: &v1::QueueRef) -> String {
    queue.gpus.as_ref().map_or_else(|| queue.name.clone(), |gpus| format!("{}={gpus}", queue.name))
}

/// `worker show`, and what `add`, `stop` and `resume` answer.
pub(in crate::ctl) fn worker(look: Look, worker: &v1::Worker) -> String {
    let queue = |queue: &v1::QueueRef| match queue.id.as_str() {
        "" => format!("{} (not looked up yet)", named(queue)),
        id => format!("{} ({id})", named(queue)),
    };
    let lent = match (worker.dynamic_gpus, worker.share) {
        (true, _) => Some("to several runs at once, to each as many as its queue says".to_owned()),
        (false, ..=1) => None,
        (false, share) => Some(format!("also to others that share them, to {share} runs at once")),
    };
    let queues: Vec<String> = worker.queues.iter().map(queue).collect();
    let runs = if worker.run_ids.is_empty() { worker.run_id.clone() } else { Some(worker.run_ids.join(", ")) };
    let runs = runs.as_deref().and_then(some);
    let order = if worker.order_fairness { "in turn" } else { "first one first" };
    look.fields(vec![
        ("worker", some(&worker.name)),
        ("queues", Some(format!("{}, {order}", cell(&queues.join(", "))))),
        ("gpus", some(&worker.gpus)),
        ("lent", lent),
        ("user", worker.user.as_deref().and_then(some)),
        ("limits", worker.limits.as_ref().and_then(|limits| some(&limits.text))),
        ("intent", Some(words::intent(worker).to_owned())),
        ("activity", Some(words::activity(worker).to_owned())),
        ("paused", worker.paused.as_deref().and_then(some)),
        ("uptime", some(&worker.uptime.join("; "))),
        ("downtime", some(&worker.downtime.join("; "))),
        (if worker.run_ids.len() > 1 { "runs" } else { "run" }, runs),
        ("task", worker.task_id.as_deref().and_then(some)),
        ("on host loss", worker.requeue_on_host_loss.then(|| "its task goes back to its queue".to_owned())),
        ("added", Some(ago(now(), worker.added_unix_ms))),
        ("declared in", worker.declared_in.as_deref().and_then(some)),
        ("pending", worker.pending.as_deref().and_then(some)),
        ("problem", worker.problem.as_deref().and_then(some)),
    ])
}

/// What a Run is at, or what became of it.
fn state(run: &v1::Run) -> String {
    let state = match (&run.end, words::stage(run)) {
        (Some(end), stage) => ended(end, stage),
        (None, Some(stage)) if run.live => format!("{} ({stage})", words::phase(run)),
        (None, _) => words::phase(run).to_owned(),
    };
    let unsettled = run.end.is_some() && run.settled_unix_ms.is_none();
    let stopping = run.end.is_none() && run.stop_reason.is_some();
    let more = if unsettled {
        ", not reported yet"
    } else if stopping {
        ", stopping"
    } else {
        ""
    };
    format!("{}{more}", cell(&state))
}

/// The cause as people say it; `--output json` has the word itself.
fn ended(end: &v1::RunEnd, stage: Option<&str>) -> String {
    let words = end.cause.replace('_', " ");
    match (end.cause.as_str(), end.exit_code, end.signal, stage) {
        ("exit_code", Some(code), _, _) => format!("{words} {code}"),
        ("signal", _, Some(signal), _) => format!("{words} {signal}"),
        ("setup_failed", _, _, Some(stage)) => format!("{words} ({stage})"),
        ("operator", _, _, _) => "stopped by operator".to_owned(),
        (_, _, _, _) => words,
    }
}

fn took(now: i64, run: &v1::Run) -> Option<String> {
    run.started_unix_ms.map(|started| span(run.ended_unix_ms.unwrap_or(now) - started))
}

/// `run list`.
pub(in crate::ctl) fn runs(look: Look, runs: &[v1::Run]) -> String {
    let now = now();
    let row = |run: &v1::Run| {
        vec![
            cell(&run.id),
            cell(&run.task_id),
            short(&run.task_name, NAME),
            cell(&run.worker),
            state(run),
            ago(now, run.claimed_unix_ms),
            took(now, run).unwrap_or_else(|| NOTHING_THERE.to_owned()),
        ]
    };
    look.rows(&["RUN", "TASK", "NAME", "WORKER", "STATE", "CLAIMED", "TOOK"], runs.iter().map(row).collect())
}

/// `run show` and what `stop` answers.
pub(in crate::ctl) fn run(look: Look, run: &v1::Run) -> String {
    let now = now();
    let end = run.end.as_ref();
    let environment = run.python_version.as_ref().map(|version| {
        let cached = if run.environment_cached() { "from the cache" } else { "built" };
        format!("Python {}, {cached}", cell(version))
    });
    look.fields(vec![
        ("run", some(&run.id)),
        ("task", Some(format!("{} {}", cell(&run.task_id), cell(&run.task_name)))),
        ("worker", some(&run.worker)),
        ("queue", some(&run.queue_name)),
        ("gpus", some(&run.gpus)),
        ("state", Some(state(run))),
        ("reason", end.and_then(|end| some(&end.reason))),
        ("stopping", run.stop_reason.as_deref().filter(|_| end.is_none()).and_then(some)),
        ("note", run.note.as_deref().and_then(some)),
        ("claimed", Some(ago(now, run.claimed_unix_ms))),
        ("started", run.started_unix_ms.map(|started| ago(now, started))),
        ("ended", run.ended_unix_ms.map(|ended| ago(now, ended))),
        ("took", took(now, run)),
        ("pid", run.stage_pid.map(|pid| pid.to_string())),
        ("commit", run.commit.as_deref().and_then(some)),
        ("environment", environment),
        ("cpu time", end.and_then(cpu_time)),
        (
            "throttled",
            end.and_then(|end| end.throttled_micros).map(|micros| format!("{} by the CPU limit", time(micros))),
        ),
        ("peak memory", end.and_then(|end| Some((end.peak_memory?, end.memory_limit))).map(memory)),
        ("disk", end.and_then(disk)),
        (
            "refused",
            end.and_then(|end| end.refused_forks).map(|count| format!("{count} new processes, by their limit")),
        ),
        (
            "lost output",
            end.map(|end| end.dropped_bytes)
                .filter(|bytes| *bytes > 0)
                .map(|bytes| format!("{bytes} bytes found no room")),
        ),
    ])
}

fn memory((peak, limit): (u64, Option<u64>)) -> String {
    let limit = limit.map(|limit| format!(" of {} MiB", limit >> 20)).unwrap_or_default();
    format!("{} MiB{limit}", peak >> 20)
}

fn time(micros: u64) -> String {
    span(i64::try_from(micros / 1000).unwrap_or(i64::MAX))
}

fn cpu_time(end: &v1::RunEnd) -> Option<String> {
    let all = time(end.cpu_micros?);
    Some(match (end.user_micros, end.system_micros) {
        (Some(user), Some(system)) if user + system > 0 => {
            format!("{all} ({} user, {} system)", time(user), time(system))
        }
        _ => all,
    })
}

fn disk(end: &v1::RunEnd) -> Option<String> {
    let mib = |bytes: Option<u64>| bytes.unwrap_or(0) >> 20;
    (end.read_bytes.is_some() || end.written_bytes.is_some())
        .then(|| format!("{} MiB read, {} MiB written", mib(end.read_bytes), mib(end.written_bytes)))
}

/// `queue list`.
pub(in crate::ctl) fn queues(look: Look, queues: &[v1::Queue]) -> String {
    let row = |queue: &v1::Queue| {
        let next = queue.entries.first().map(String::as_str);
        vec![
            cell(&queue.name),
            cell(&queue.id),
            queue.entries.len().to_string(),
            or_nothing(next),
            cell(&queue.tags.join(", ")),
        ]
    };
    look.rows(&["QUEUE", "ID", "WAITING", "NEXT", "TAGS"], queues.iter().map(row).collect())
}

/// `task list`.
pub(in crate::ctl) fn tasks(look: Look, tasks: &[v1::Task]) -> String {
    let now = now();
    let row = |task: &v1::Task| {
        vec![
            cell(&task.id),
            short(&task.name, NAME),
            cell(&task.status),
            or_nothing(task.last_worker.as_deref()),
            task.last_update.as_deref().map_or_else(|| NOTHING_THERE.to_owned(), |at| since(now, at)),
        ]
    };
    look.rows(&["TASK", "NAME", "STATUS", "WORKER", "UPDATED"], tasks.iter().map(row).collect())
}

/// `task show`.
pub(in crate::ctl) fn detail(look: Look, detail: &v1::TaskDetail) -> String {
    let (task, now) = (detail.task.clone().unwrap_or_default(), now());
    let fields = look.fields(vec![
        ("task", some(&task.id)),
        ("name", some(&task.name)),
        ("project", detail.project.as_deref().and_then(some)),
        ("kind", some(&task.kind)),
        ("status", some(&task.status)),
        ("reason", some(&task.status_reason)),
        ("message", some(&task.status_message)),
        ("worker", task.last_worker.as_deref().and_then(some)),
        ("created", detail.created.as_deref().map(|at| since(now, at))),
        ("started", detail.started.as_deref().map(|at| since(now, at))),
        ("completed", detail.completed.as_deref().map(|at| since(now, at))),
        ("ran", detail.active_duration_s.map(|s| span(i64::try_from(s.saturating_mul(1000)).unwrap_or(i64::MAX)))),
        ("repository", detail.repository.as_deref().and_then(some)),
        ("commit", detail.commit.as_deref().and_then(some)),
        ("entry point", detail.entry_point.as_deref().and_then(some)),
        ("web", detail.web_url.as_deref().and_then(some)),
    ]);
    let mut parts = vec![fields];
    if let Some(requirements) = detail.requirements.as_deref().filter(|text| !text.trim().is_empty()) {
        let lines: Vec<String> = requirements.trim_end().lines().map(|line| format!("  {}", cell(line))).collect();
        parts.push(format!("requirements\n{}", lines.join("\n")));
    }
    if !detail.hyperparameters.is_empty() {
        let rows = detail.hyperparameters.iter().map(|one| vec![cell(&one.section), cell(&one.name), cell(&one.value)]);
        parts.push(look.rows(&["SECTION", "HYPERPARAMETER", "VALUE"], rows.collect()));
    }
    parts.extend(results(look, detail));
    parts.join("\n\n")
}

/// Last scalars and artifacts; what `submit --follow` ends with.
pub(in crate::ctl) fn results(look: Look, detail: &v1::TaskDetail) -> Vec<String> {
    let mut parts = Vec::new();
    if !detail.last_scalars.is_empty() {
        let rows =
            detail.last_scalars.iter().map(|one| vec![cell(&one.metric), cell(&one.variant), one.value.to_string()]);
        parts.push(look.rows(&["METRIC", "VARIANT", "LAST"], rows.collect()));
    }
    if !detail.artifacts.is_empty() {
        let rows = detail.artifacts.iter().map(|one| vec![cell(&one.key), cell(&one.kind), cell(&one.uri)]);
        parts.push(look.rows(&["ARTIFACT", "TYPE", "WHERE"], rows.collect()));
    }
    parts
}

/// The text of a log event, with the end of line that it may lack.
pub(in crate::ctl) fn log_text(event: &v1::TaskLogEvent) -> String {
    let text = &event.text;
    if text.ends_with('\n') { text.clone() } else { format!("{text}\n") }
}

/// A line of stderr about a task that is followed.
pub(in crate::ctl) fn progress(task: &v1::Task) -> String {
    let reason = if task.status_reason.is_empty() { String::new() } else { format!(" ({})", task.status_reason) };
    safe(&format!("task {} is {}{reason}", task.id, task.status))
}
