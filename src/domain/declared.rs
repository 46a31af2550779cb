//! Declared Workers: what the files of workers.d say beside what the ledger has, and what a reload makes of it. A pure
//! plan; who applies it touches no Run: what is busy changes when its task has ended.

use super::ids::{RunId, WorkerName};
use super::inventory::Inventory;
use super::lending::{Lending, Portion};
use super::sharing;
use super::worker::{Origin, Worker, WorkerDraft};

/// A file of workers.d, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredFile {
    /// Its path.
    pub path: String,
    /// Its name without `.toml`.
    pub stem: String,
    /// What it says, or everything that is wrong with it.
    pub said: Result<WorkerDraft, Vec<String>>,
}

/// A file whose Worker is known as far as this host can tell: name and GPUs are there, queues are names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: String,
    /// Its Worker, or why there is none.
    pub worker: Result<Worker, Vec<String>>,
}

/// A Worker of the ledger.
#[derive(Debug, Clone)]
pub struct Known<'a> {
    /// As it is.
    pub worker: &'a Worker,
    /// The Run that it has.
    pub run: Option<RunId>,
}

/// One thing that a reload does, or does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The file is new.
    Add {
        /// What comes.
        worker: Worker,
    },
    /// The file says something else than before.
    Alter {
        /// What it becomes.
        worker: Worker,
        /// In what it differs.
        fields: Vec<FieldChange>,
        /// When this Run has ended.
        after: Option<RunId>,
    },
    /// The file is gone.
    Remove {
        /// Whose.
        name: WorkerName,
        /// Which file it was.
        path: String,
        /// When this Run has ended.
        after: Option<RunId>,
    },
    /// The file says what is.
    Keep {
        /// Of this one.
        name: WorkerName,
        /// The file.
        path: String,
    },
    /// The file cannot be followed. A Worker that it declared before stays what it was.
    Refuse {
        /// The file.
        path: String,
        /// Its Worker, where that is known.
        name: Option<WorkerName>,
        /// Why; each with the next step.
        reasons: Vec<String>,
    },
}

/// A field that becomes another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// The key of the file.
    pub field: &'static str,
    /// What it was.
    pub from: String,
    /// What it becomes.
    pub to: String,
}

/// What an operator can say of a Worker, by the keys of its file, for comparing and for showing.
#[must_use]
pub fn fields(worker: &Worker) -> Vec<(&'static str, String)> {
    let (queues, create_queue, file) = match &worker.origin {
        Origin::File { path, queues, create_queue } => (queues.join(", "), *create_queue, path.as_str()),
        Origin::Operator => (String::new(), false, ""),
    };
    vec![
        ("file", file.to_owned()),
        ("queues", if queues.is_empty() { "default".to_owned() } else { queues }),
        ("create_queue", create_queue.to_string()),
        ("gpus", worker.gpus.to_string()),
        ("share", worker.lending.share().to_string()),
        ("dynamic_gpus", portions(&worker.lending)),
        ("user", worker.user.clone().unwrap_or_else(|| "(default)".to_owned())),
        ("limits", worker.limits.to_string()),
        ("uptime", worker.timetable.uptime().join("; ")),
        ("downtime", worker.timetable.downtime().join("; ")),
        ("order_fairness", worker.order_fairness.to_string()),
        ("requeue_on_host_loss", worker.requeue_on_host_loss.to_string()),
    ]
}

/// By queue, in their order.
fn portions(lending: &Lending) -> String {
    let said = |portions: &[Portion]| portions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    lending.portions().map_or_else(|| "no".to_owned(), said)
}

/// What a reload would do: removals, then the files in their order. Which names mean the same GPU, `gpus` knows.
#[must_use]
pub fn plan(found: &[Found], known: &[Known<'_>], gpus: &Inventory) -> Vec<Change> {
    let mut refused: Vec<Option<Vec<String>>> = vec![None; found.len()];
    // A refusal can keep a GPU where it is, which refuses another: at most one a file.
    while let Some((at, reasons)) = next_refusal(found, known, &refused, gpus) {
        refused[at] = Some(reasons);
    }
    let verdicts = found.iter().zip(&refused);
    let mut changes: Vec<Change> = Vec::new();
    for known in known {
        if let Some(path) = known.worker.file()
            && !kept(known.worker, path, found, &refused)
            && !verdicts.clone().any(|(file, refused)| refused.is_none() && declares(file, &known.worker.name))
        {
            let (name, path) = (known.worker.name.clone(), path.to_owned());
            changes.push(Change::Remove { name, path, after: known.run.clone() });
        }
    }
    changes.extend(verdicts.map(|(file, refused)| match (&file.worker, refused) {
        (Ok(worker), None) => compare(worker, known),
        (_, Some(reasons)) | (Err(reasons), None) => {
            let tied = known.iter().find(|known| known.worker.file() == Some(&file.path));
            let name = file.worker.as_ref().ok().map(|worker| &worker.name);
            let name = name.or(tied.map(|known| &known.worker.name)).cloned();
            Change::Refuse { path: file.path.clone(), name, reasons: reasons.clone() }
        }
    }));
    changes
}

fn declares(file: &Found, name: &WorkerName) -> bool {
    file.worker.as_ref().is_ok_and(|worker| worker.name == *name)
}

/// Whether a refused file holds its Worker of before: by its path, or by the name that it still has and no other file
/// has now.
fn kept(worker: &Worker, path: &str, found: &[Found], refused: &[Option<Vec<String>>]) -> bool {
    let files = || found.iter().zip(refused).map(|(file, refused)| (file, file.worker.is_err() || refused.is_some()));
    let followed = files().any(|(file, broken)| !broken && declares(file, &worker.name));
    !followed && files().any(|(file, broken)| broken && (file.path == path || declares(file, &worker.name)))
}

/// The first file that cannot be followed beside all that stays, and why.
fn next_refusal(
    found: &[Found],
    known: &[Known<'_>],
    refused: &[Option<Vec<String>>],
    gpus: &Inventory,
) -> Option<(usize, Vec<String>)> {
    // What stays whatever the files say.
    let stays = known.iter().map(|known| known.worker).filter(|worker| match worker.file() {
        None => true,
        Some(path) => kept(worker, path, found, refused),
    });
    let mut taken: Vec<&Worker> = stays.collect();
    for (at, file) in found.iter().enumerate() {
        let Ok(worker) = &file.worker else { continue };
        if refused[at].is_some() {
            continue;
        }
        let named = taken.iter().filter_map(|holder| same_name(worker, holder));
        let reasons: Vec<String> = named.chain(same_gpu(worker, &taken, gpus)).collect();
        if !reasons.is_empty() {
            return Some((at, reasons));
        }
        taken.push(worker);
    }
    None
}

fn same_name(worker: &Worker, holder: &Worker) -> Option<String> {
    let name = &worker.name;
    match holder.file() {
        Some(_) | None if holder.name != *name => None,
        None => Some(format!(
            "name: worker `{name}` was added with clearmlctl; give another name, or `clearmlctl worker remove {name}`"
        )),
        // Its own present: the file that declares it is what is looked at.
        Some(path) if Some(path) == worker.file() => None,
        Some(path) => Some(format!("name: worker `{name}` is declared in {path}; give another name")),
    }
}

fn same_gpu(worker: &Worker, taken: &[&Worker], gpus: &Inventory) -> Option<String> {
    let others: Vec<&Worker> = taken.iter().filter(|holder| holder.name != worker.name).copied().collect();
    let found = sharing::overlap(&worker.gpus, &worker.lending, &others, gpus)?;
    let (gpu, name, sharers) = (&found.gpu, &found.holder.name, found.sharers);
    let share = if found.remedy { format!(", or let all {sharers} say `share = {sharers}`") } else { String::new() };
    Some(match found.holder.file() {
        None => format!(
            "gpus: GPU {gpu} belongs to worker `{name}`, which was added with clearmlctl; name others, or `clearmlctl worker remove {name}`{share}"
        ),
        Some(path) => format!("gpus: GPU {gpu} belongs to worker `{name}` of {path}; name others{share}"),
    })
}

fn compare(wanted: &Worker, known: &[Known<'_>]) -> Change {
    let Some(present) = known.iter().find(|known| known.worker.name == wanted.name) else {
        return Change::Add { worker: wanted.clone() };
    };
    let (before, after) = (fields(present.worker), fields(wanted));
    let moved = before.into_iter().zip(after).filter(|((_, from), (_, to))| from != to);
    let fields: Vec<FieldChange> = moved.map(|((field, from), (_, to))| FieldChange { field, from, to }).collect();
    if fields.is_empty() {
        let path = wanted.file().unwrap_or_default().to_owned();
        return Change::Keep { name: wanted.name.clone(), path };
    }
    Change::Alter { worker: inherit(wanted.clone(), present.worker), fields, after: present.run.clone() }
}

/// What a file does not say stays as it was: an operator's stop, and queues that are known already.
#[must_use]
pub fn inherit(wanted: Worker, present: &Worker) -> Worker {
    let same = match (&wanted.origin, &present.origin) {
        (Origin::File { queues, .. }, Origin::File { queues: before, .. }) => queues == before,
        (Origin::Operator, _) | (Origin::File { .. }, Origin::Operator) => false,
    };
    let queues = if same { present.queues.clone() } else { wanted.queues };
    Worker { intent: present.intent, added: present.added, queues, ..wanted }
}

#[cfg(test)]
mod tests;
