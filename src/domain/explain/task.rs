//! A task: what it is at here, how it ended here, or why it is not here.

use super::{Finding, HostFacts, server};
use crate::domain::cause::{Cause, Verdict};
use crate::domain::handover::Stage;
use crate::domain::ids::WorkerName;
use crate::domain::run::{Exited, Phase, RunRecord};

/// What is known of a task.
#[derive(Debug, Clone)]
pub struct TaskFacts<'a> {
    /// In the asker's words.
    pub key: &'a str,
    /// Its Runs here, the newest first, each with the stage that is on.
    pub runs: Vec<(&'a RunRecord, Option<Stage>)>,
    /// Where it was seen at the head of a queue.
    pub seen: Vec<Seen>,
}

/// A queue in which a task is first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name.
    pub queue: String,
    /// Workers of this host that serve it, each with what was found about it.
    pub workers: Vec<(WorkerName, Vec<Finding>)>,
}

/// What becomes of it, the most decisive first.
#[must_use]
pub fn task(facts: &TaskFacts<'_>, host: &HostFacts) -> Vec<Finding> {
    let live = facts.runs.iter().any(|(record, _)| record.holds_lease());
    let mut found = Vec::new();
    if !live {
        found.extend(facts.seen.iter().flat_map(waits));
    }
    for (at, (record, stage)) in facts.runs.iter().enumerate() {
        let mut of_run = run(record, *stage, host);
        if at > 0 {
            // Of those before only the end tells.
            of_run.truncate(1);
        }
        found.extend(of_run);
    }
    if found.is_empty() {
        found.push(never_seen(facts.key));
        found.extend(server(&host.server));
    }
    found
}

fn waits(seen: &Seen) -> Vec<Finding> {
    let queue = &seen.queue;
    if seen.workers.is_empty() {
        let says = format!("it is first in queue `{queue}`, which no worker of this host serves");
        return vec![Finding::hindrance("unserved", says, format!("`clearmlctl worker add --queue {queue}`"))];
    }
    let mut found = vec![Finding::fact("first_in_queue", format!("it is first in queue `{queue}`"), None)];
    for (worker, findings) in &seen.workers {
        let first = findings.iter().find(|finding| finding.hinders).or(findings.first());
        found
            .extend(first.map(|first| Finding { says: format!("worker `{worker}`: {}", first.says), ..first.clone() }));
    }
    found
}

fn run(record: &RunRecord, stage: Option<Stage>, host: &HostFacts) -> Vec<Finding> {
    let (id, worker) = (&record.id, &record.worker);
    let follow = Some(format!("follow it with `clearmlctl run logs -f {id}`"));
    let mut found = Vec::new();
    if let Some(stop) = record.stop.as_ref().filter(|_| record.holds_lease()) {
        let why = Cause::Stopped { reason: stop.reason }.reason();
        found.push(Finding::fact("stopping", format!("run {id} is being stopped: {why}"), follow.clone()));
    }
    let finding = match &record.phase {
        Phase::Claimed(claimed) if !claimed.popped => {
            let says = format!("worker `{worker}` is taking it out of queue `{}` (run {id})", record.queue.name);
            Finding::fact("being_taken", says, None)
        }
        Phase::Claimed(claimed) if !claimed.announced => {
            let says = format!("worker `{worker}` has taken it and is telling the server so (run {id})");
            Finding::fact("taken", says, None)
        }
        Phase::Claimed(_) => {
            let says = format!(
                "worker `{worker}` prepares it (run {id}): token, user, caches and tools; a tool that is missing is fetched"
            );
            Finding::fact("outfitting", says, Some("`journalctl -u clearmld` says what is fetched".to_owned()))
        }
        Phase::Prepared(_) => {
            Finding::fact("starting", format!("run {id} of worker `{worker}` is about to start"), None)
        }
        Phase::Running(_) => {
            let at = stage.map_or_else(String::new, |stage| format!(", in stage {}", stage.as_str()));
            Finding::fact("running", format!("it runs here{at}: run {id} of worker `{worker}`"), follow)
        }
        Phase::Exited(exited) => {
            found.push(end(record, exited));
            let says = "the server does not know that end yet; it is told as soon as it can be";
            Finding { hinders: false, ..Finding::wait("unreported", says) }
        }
        Phase::Settled(settled) => {
            let note = settled.note.as_ref().map(|note| Finding::fact("note", note, None));
            found.push(end(record, &settled.exited));
            found.extend(note);
            return found;
        }
    };
    found.push(finding);
    if !matches!(record.phase, Phase::Running(_) | Phase::Prepared(_)) {
        found.extend(server(&host.server));
    }
    found
}

fn end(record: &RunRecord, exited: &Exited) -> Finding {
    let (id, cause) = (&record.id, &exited.cause);
    let says = format!("it ended here: {} (run {id} of worker `{}`)", cause.reason(), record.worker);
    let logs = format!("`clearmlctl run logs {id}`");
    let again = format!("`clearmlctl task reset {0}` and `clearmlctl task enqueue {0}` run it again", record.task);
    let next = match (cause, cause.verdict()) {
        (_, Verdict::Completed) => None,
        (_, Verdict::LeaveAlone) => Some("its owner has decided; nothing is to be done here".to_owned()),
        (Cause::Stopped { .. }, Verdict::Stopped | Verdict::Failed) => Some(again),
        (_, Verdict::Stopped | Verdict::Failed) => {
            Some(format!("read {logs}; docs/troubleshooting.md has a section `{}`; {again}", cause.word()))
        }
    };
    Finding { hinders: next.is_some(), ..Finding::fact(cause.word(), says, next) }
}

fn never_seen(key: &str) -> Finding {
    let says = format!(
        "this host has never had task `{key}`, and it is not first in a queue that it asks: it is behind others, in a \
         queue of other hosts, in none, or not at this server; or it ran here too long ago"
    );
    Finding::hindrance(
        "never_seen",
        says,
        format!("`clearmlctl task show {key}` and `clearmlctl queue list` ask the server"),
    )
}
