//! Queues and tasks for people.

use super::table::{Look, NAME, NOTHING_THERE, or_nothing, some};
use super::text::{cell, safe, short};
use super::time::{now, since, span};
use crate::rpc::v1;

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
