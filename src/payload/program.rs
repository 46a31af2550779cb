//! The last stage: this process becomes the user's program.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use secrecy::ExposeSecret;

use super::speech::say;
use super::variables::{find_program, identity, search_path};
use crate::domain::handover::{Act, Entry, EnvironmentPlan, StageOrder};

/// Why the program could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    /// A Python program without an environment.
    #[error("the program is a Python program, but no environment was made for it; this is a defect of clearmld")]
    NoEnvironment,
    /// The working directory.
    #[error(
        "the working directory `{}` cannot be entered: {source}; correct it in the task's EXECUTION tab",
        .directory.display()
    )]
    WorkingDirectory {
        /// Below the code directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file.
    #[error(
        "there is no file `{}` in the working directory `{}`; correct the task's script path, or commit the file",
        .file.display(), .directory.display()
    )]
    NoFile {
        /// Below the working directory.
        file: PathBuf,
        /// Below the code directory.
        directory: PathBuf,
    },
    /// The interpreter of another language.
    #[error("there is no `{name}` on this worker; install it, or correct the task's binary")]
    NoInterpreter {
        /// Which.
        name: String,
    },
    /// The SDK's configuration.
    #[error("clearml.conf cannot be written into the task's home: {source}")]
    SdkConfig {
        /// Why.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("`{}` cannot be started: {source}", .executable.display())]
    Exec {
        /// What.
        executable: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Returns only when it fails.
pub(super) fn exec(order: &StageOrder) -> ProgramError {
    let plan = match &order.act {
        Act::Program { plan } => plan.as_ref(),
        Act::Source | Act::Plan | Act::Build { .. } => None,
    };
    if let Err(source) = write_sdk_config(order) {
        return ProgramError::SdkConfig { source };
    }
    let (mut command, executable) = match command(order, plan) {
        Ok(command) => command,
        Err(error) => return error,
    };
    say(&format!("starting {}", spoken(&command)));
    // std resets the signal mask and SIGPIPE, which Rust ignores, before it execs.
    let source = command.exec();
    ProgramError::Exec { executable, source }
}

/// Where the SDK looks for it by itself; only this Run's user can read it.
fn sdk_config(order: &StageOrder) -> PathBuf {
    order.paths.home.join("clearml.conf")
}

fn write_sdk_config(order: &StageOrder) -> io::Result<()> {
    let Some(text) = &order.secrets.sdk_config else { return Ok(()) };
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(sdk_config(order))?;
    file.write_all(text.expose_secret().as_bytes())
}

fn command(order: &StageOrder, plan: Option<&EnvironmentPlan>) -> Result<(Command, PathBuf), ProgramError> {
    let program = &order.spec.program;
    let directory = order.paths.code.join(&program.working_dir);
    std::env::set_current_dir(&directory).map_err(|source| {
        let directory = or_dot(&program.working_dir);
        ProgramError::WorkingDirectory { directory, source }
    })?;
    let variables = variables(order, plan, &directory);
    let mut arguments = program.arguments.clone();
    let (executable, options): (PathBuf, Vec<String>) = match &program.entry {
        Entry::PythonFile { file } => {
            let file = existing(&directory, file, &mut arguments, &program.working_dir)?;
            (python(order, plan)?, vec!["-u".to_owned(), file])
        }
        Entry::PythonModule { module } => {
            for argument in &mut arguments {
                *argument = expanded(argument, &variables);
            }
            (python(order, plan)?, vec!["-u".to_owned(), "-m".to_owned(), module.clone()])
        }
        Entry::PythonCode { code } => (python(order, plan)?, vec!["-u".to_owned(), "-c".to_owned(), code.clone()]),
        Entry::Other { command, file } => {
            let file = existing(&directory, file, &mut arguments, &program.working_dir)?;
            other(command, file, &variables)?
        }
        Entry::OtherCode { command, code } => other(command, code.clone(), &variables)?,
    };
    let mut command = Command::new(&executable);
    command.args(options).args(arguments).env_clear().envs(&variables);
    Ok((command, executable))
}

fn or_dot(path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_owned() }
}

fn python(order: &StageOrder, plan: Option<&EnvironmentPlan>) -> Result<PathBuf, ProgramError> {
    plan.map(|_| order.paths.environment.join("bin/python")).ok_or(ProgramError::NoEnvironment)
}

fn other(
    command: &[String],
    last: String,
    variables: &BTreeMap<String, String>,
) -> Result<(PathBuf, Vec<String>), ProgramError> {
    let name = command.first().map(String::as_str).unwrap_or_default();
    let path = variables.get("PATH").map(String::as_str).unwrap_or_default();
    let found = if name.contains('/') { Some(PathBuf::from(name)) } else { find_program(name, path) };
    let executable = found.ok_or_else(|| ProgramError::NoInterpreter { name: name.to_owned() })?;
    Ok((executable, command.iter().skip(1).cloned().chain([last]).collect()))
}

/// The file; if there is none, but one whose name has blanks in it, that one, without the arguments it was taken for.
fn existing(
    directory: &Path,
    file: &Path,
    arguments: &mut Vec<String>,
    working_dir: &Path,
) -> Result<String, ProgramError> {
    let mut name = file.to_string_lossy().into_owned();
    if directory.join(&name).is_file() {
        return Ok(name);
    }
    for count in 1..=arguments.len().min(8) {
        name.push(' ');
        name.push_str(&arguments[count - 1]);
        if directory.join(&name).is_file() {
            arguments.drain(..count);
            return Ok(name);
        }
    }
    Err(ProgramError::NoFile { file: file.to_owned(), directory: or_dot(working_dir) })
}

fn variables(order: &StageOrder, plan: Option<&EnvironmentPlan>, directory: &Path) -> BTreeMap<String, String> {
    let program = &order.spec.program;
    let mut variables = program.variables.clone();
    variables
        .extend(order.secrets.variables.iter().map(|(name, secret)| (name.clone(), secret.expose_secret().to_owned())));
    variables.extend(identity(order));
    if order.secrets.sdk_config.is_some() {
        let file = sdk_config(order).to_string_lossy().into_owned();
        variables.insert("TRAINS_CONFIG_FILE".to_owned(), file.clone());
        variables.insert("CLEARML_CONFIG_FILE".to_owned(), file);
    }
    variables.entry("LANG".to_owned()).or_insert_with(|| "C.UTF-8".to_owned());
    let mut path = search_path(order);
    if plan.is_some() {
        let environment = order.paths.environment.to_string_lossy().into_owned();
        path = format!("{environment}/bin:{path}");
        variables.insert("VIRTUAL_ENV".to_owned(), environment);
    }
    variables.insert("PATH".to_owned(), path);
    // What is configured, then the working directory, then the entry point's own: clearml-agent's order.
    let mut python_path: Vec<String> =
        variables.get("PYTHONPATH").filter(|text| !text.is_empty()).cloned().into_iter().collect();
    python_path.push(directory.to_string_lossy().trim_end_matches('/').to_owned());
    if let Entry::PythonFile { file } = &program.entry
        && let Some(parent) = file.parent().filter(|parent| !parent.as_os_str().is_empty())
    {
        python_path.push(directory.join(parent).to_string_lossy().into_owned());
    }
    variables.insert("PYTHONPATH".to_owned(), python_path.join(":"));
    variables
}

/// `$NAME` and `${NAME}`; what is not set stays as it is.
fn expanded(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (braced, inner) = after.strip_prefix('{').map_or((false, after), |inner| (true, inner));
        let end = inner.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inner.len());
        let (name, tail) = inner.split_at(end);
        let closed = if braced { tail.strip_prefix('}') } else { Some(tail) };
        match (variables.get(name), closed) {
            (Some(value), Some(tail)) => {
                out.push_str(value);
                rest = tail;
            }
            (Some(_) | None, Some(_) | None) => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The command line as a shell would take it, its arguments cut: code may be long.
fn spoken(command: &Command) -> String {
    let program = command.get_program().to_string_lossy().into_owned();
    let arguments = command.get_args().map(|word| match word.to_string_lossy() {
        word if word.chars().count() > 120 => word.chars().take(119).chain(['…']).collect(),
        word => word.into_owned(),
    });
    let words: Vec<String> = std::iter::once(program).chain(arguments).collect();
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_started_is_named_whole_and_long_code_is_cut() {
        let program = format!("/{}/venv/bin/python", "e".repeat(150));
        let mut command = Command::new(&program);
        command.args(["-c", &"x".repeat(500)]);
        assert_eq!(spoken(&command), format!("{program} -c '{}…'", "x".repeat(119)));
    }

    #[test]
    fn variables_are_expanded_where_they_are_known() {
        let variables = BTreeMap::from([("N".to_owned(), "2".to_owned())]);
        for (text, wanted) in
            [("--n=$N", "--n=2"), ("${N}x", "2x"), ("$M", "$M"), ("${N", "${N"), ("5$", "5$"), ("$N$N", "22")]
        {
            assert_eq!(expanded(text, &variables), wanted, "{text}");
        }
    }
}
