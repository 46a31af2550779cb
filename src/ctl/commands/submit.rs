//! `submit`.

use std::fs;
use std::io;
use std::path::Path;

use super::Desk;
use super::task::{LogPrinter, client, ended, follow};
use crate::ctl::args::Output;
use crate::ctl::args::task::Submit;
use crate::ctl::failure::Failure;
use crate::ctl::render::text::quoted;
use crate::ctl::render::{json, tasks};
use crate::rpc::v1;

/// Largest script or requirements file; a request holds 4 MiB.
const LARGEST_FILE: u64 = 1 << 20;
/// A ClearML server refuses a task whose name has fewer characters.
const SHORTEST_NAME: usize = 3;

/// The request, from the arguments and the files that they name.
pub(super) fn request(asked: &Submit) -> Result<v1::SubmitTaskRequest, Failure> {
    let requirements = asked.requirements.as_deref().map(read).transpose()?;
    let mut request = v1::SubmitTaskRequest {
        project: asked.project.clone(),
        kind: "training".to_owned(),
        binary: asked.python.as_ref().map_or_else(|| "python3".to_owned(), |version| format!("python{version}")),
        repository: asked.repo.clone(),
        branch: asked.branch.clone(),
        commit: asked.commit.clone(),
        working_dir: asked.working_dir.clone().unwrap_or_else(|| ".".to_owned()),
        requirements,
        arguments: asked.arguments.iter().map(argument).collect(),
        queue: asked.queue.clone(),
        ..v1::SubmitTaskRequest::default()
    };
    let (entry, usual_name) = match (&asked.script, &asked.entry_point) {
        (Some(script), _) => literal(&mut request, script)?,
        // A path or `-m module`: its words are the entry point's own.
        (None, Some(entry)) => (entry.clone(), long_enough(entry, entry)),
        (None, None) => {
            let what = "neither a script nor an entry point is named".to_owned();
            return Err(Failure::Usage { what, next: "name SCRIPT, or --repo and --entry-point" });
        }
    };
    request.name = match &asked.name {
        Some(name) if !is_a_name(name) => {
            let what = format!("`{name}` is too short for a task's name");
            return Err(Failure::Usage { what, next: "give --name of 3 characters or more" });
        }
        Some(name) => name.clone(),
        None => usual_name,
    };
    request.entry_point = with_words(&entry, &asked.command_line);
    Ok(request)
}

fn is_a_name(name: &str) -> bool {
    name.trim().chars().count() >= SHORTEST_NAME
}

/// The first that is a name, else one made of the second.
fn long_enough(name: &str, file: &str) -> String {
    let longer = || format!("script {file}");
    [name, file].into_iter().find(|name| is_a_name(name)).map_or_else(longer, str::to_owned)
}

/// The script travels as the task's diff. Returns the entry point and the task's name.
fn literal(request: &mut v1::SubmitTaskRequest, script: &Path) -> Result<(String, String), Failure> {
    let text = read(script)?;
    let usage = |what: String, next| Failure::Usage { what, next };
    if text.trim().is_empty() {
        return Err(usage(format!("{} is empty", script.display()), "name a script that does something"));
    }
    // The mark by which every agent tells a diff from a program.
    if text.starts_with("diff ") || text.starts_with("submodule ") {
        return Err(usage(format!("{} is a diff, not a script", script.display()), "name a script, or use --repo"));
    }
    let [file, stem] = [script.file_name(), script.file_stem()].map(|part| part.and_then(|part| part.to_str()));
    let (Some(file), Some(stem)) = (file, stem) else {
        return Err(usage(format!("{} has no name that is text", script.display()), "rename it"));
    };
    if script.extension().is_some_and(|extension| extension == "sh") {
        request.binary = "/bin/bash".to_owned();
    }
    // None given is none needed: there is no repository whose requirements.txt could say more.
    request.requirements.get_or_insert_default();
    request.diff = Some(text);
    Ok((quoted(file), long_enough(stem, file)))
}

fn with_words(entry: &str, words: &[String]) -> String {
    words.iter().fold(entry.to_owned(), |line, word| format!("{line} {}", quoted(word)))
}

fn argument((name, value): &(String, String)) -> v1::Hyperparameter {
    v1::Hyperparameter { section: "Args".to_owned(), name: name.clone(), value: value.clone() }
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::file(path, error);
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > LARGEST_FILE {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB")));
    }
    fs::read_to_string(path).map_err(failed)
}

pub(super) async fn submit(desk: &Desk<'_>, asked: &Submit, request: v1::SubmitTaskRequest) -> Result<(), Failure> {
    if asked.script.is_some() && asked.requirements.is_none() {
        desk.console.say("note: no packages will be installed; name them with --requirements FILE");
    }
    let mut client = client(desk);
    let task = client.submit(request).await?.into_inner().task_id;
    if !asked.follow {
        if asked.queue.is_none() {
            desk.console.say("the task is a draft; run it with `clearmlctl task enqueue TASK --queue QUEUE`");
        }
        return desk.show(|_| task.clone(), || json::reference(&task));
    }
    desk.console
        .say(&format!("task {task} is submitted; Ctrl-C leaves it running, `clearmlctl task abort {task}` ends it"));
    let mut printer = LogPrinter::new(task.clone());
    // A bad end is told once, by the error.
    let changed = |task: &v1::Task| {
        if is_well(&task.status) || !ended(&task.status) {
            desk.console.say(&tasks::progress(task));
        }
    };
    follow(desk, &mut client, &mut printer, changed).await?;
    // Anew: scalars and artifacts may have come after the status.
    let detail = client.get(v1::GetTaskRequest { task_id: task.clone() }).await?.into_inner();
    conclude(desk, &task, &detail)
}

/// Whether a task of that status has come to a good end.
fn is_well(status: &str) -> bool {
    matches!(status, "completed" | "closed" | "published" | "publishing")
}

fn conclude(desk: &Desk<'_>, task: &str, detail: &v1::TaskDetail) -> Result<(), Failure> {
    match desk.console.output {
        Output::Json => desk.console.line(&json::detail(detail))?,
        Output::Table => {
            for part in tasks::results(desk.look(), detail) {
                desk.console.data(&format!("\n{part}"))?;
            }
        }
    }
    if let Some(url) = &detail.web_url {
        desk.console.say(&format!("see {url}"));
    }
    let (status, reason) = detail.task.clone().map(|task| (task.status, task.status_reason)).unwrap_or_default();
    if is_well(&status) { Ok(()) } else { Err(Failure::TaskEnded { task: task.to_owned(), status, reason }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_of_a_short_name_makes_a_task_of_a_name_that_the_server_takes() {
        for (stem, file, name) in
            [("train", "train.py", "train"), ("x", "x.py", "x.py"), ("ab", "ab", "script ab"), ("äöü", "äöü.py", "äöü")]
        {
            assert_eq!(long_enough(stem, file), name, "{file}");
        }
    }

    #[test]
    fn words_of_the_command_line_stay_words() {
        let words = ["--name", "it's", "two words"].map(String::from);
        assert_eq!(with_words("train.py", &words), r"train.py --name 'it'\''s' 'two words'");
    }
}
