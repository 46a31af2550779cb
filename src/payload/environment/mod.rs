//! The second stage: an interpreter, and the packages that the task asks for.
//!
//! *Plan* decides which environment it is to be and names it by its content; whether one of that name is there already
//! is the shim's question. *Build* makes it, at the path where every Run will see it.

mod error;
mod indexes;
mod install;
mod interpreter;
mod key;
mod requirements;

pub(super) use error::EnvironmentError;
pub(super) use install::build;

use super::speech::say;
use super::tool::Redactor;
use super::variables::tool_variables;
use crate::domain::handover::{EnvironmentPlan, Installer, Requirements, StageOrder};

/// Finds the interpreter and names the environment; none when the program needs no Python.
pub(super) fn plan(order: &StageOrder) -> Result<Option<EnvironmentPlan>, EnvironmentError> {
    let spec = &order.spec.environment;
    let wanted = match &spec.requirements {
        Requirements::Nothing => return Ok(None),
        Requirements::Lines { text } => requirements::of_task(text, order)?,
        Requirements::FromRepository => requirements::of_repository(order)?,
    };
    let variables = tool_variables(order);
    let python = interpreter::find(order, &variables, &Redactor::new(&order.secrets))?;
    let indexes = indexes::Indexes::read(order, &variables);
    let key = key::Ingredients {
        installer: match spec.installer {
            Installer::Uv { .. } => "uv",
            Installer::Pip => "pip",
        },
        python: &python.real_path.to_string_lossy(),
        version: &python.version,
        platform: &python.platform,
        system_site_packages: spec.system_site_packages,
        lines: &wanted.lines,
        fingerprint: &wanted.fingerprint,
        indexes: &indexes.public(),
        arguments: &spec.extra_arguments,
    }
    .key();
    say(&format!(
        "Python {} ({}), {} requirement{}",
        python.version,
        python.path.display(),
        wanted.lines.len(),
        if wanted.lines.len() == 1 { "" } else { "s" },
    ));
    let mut requirements = wanted.lines.join("\n");
    if !requirements.is_empty() {
        requirements.push('\n');
    }
    Ok(Some(EnvironmentPlan { key, python: python.path, python_version: python.version, requirements }))
}
