//! Making an environment, with uv or with pip.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::EnvironmentError;
use super::indexes::Indexes;
use crate::domain::handover::{EnvironmentPlan, Installer, StageOrder};
use crate::payload::askpass;
use crate::payload::speech::say;
use crate::payload::tool::{Redactor, Tool};
use crate::payload::variables::{executable, find_program, search_path, tool_variables};

/// Makes the environment at `paths.environment`; what is installed, a line each. Nothing is installed beyond what the
/// requirements say.
pub(in crate::payload) fn build(order: &StageOrder, plan: &EnvironmentPlan) -> Result<Vec<String>, EnvironmentError> {
    let site = Site::new(order, plan);
    match &order.spec.environment.installer {
        // Inside the sandbox the tools may stand elsewhere than on the host.
        Installer::Uv { path } if executable(path) => site.with_uv(path),
        Installer::Uv { path } => match find_program("uv", &search_path(order)) {
            Some(found) => site.with_uv(&found),
            None => Err(EnvironmentError::NoUv { path: path.clone() }),
        },
        Installer::Pip => site.with_pip(),
    }
}

struct Site<'a> {
    order: &'a StageOrder,
    plan: &'a EnvironmentPlan,
    variables: BTreeMap<String, String>,
    indexes: Indexes,
    redactor: Redactor,
}

impl<'a> Site<'a> {
    fn new(order: &'a StageOrder, plan: &'a EnvironmentPlan) -> Self {
        let mut variables = tool_variables(order);
        let indexes = Indexes::read(order, &variables);
        // For requirements that are git repositories.
        variables.extend(askpass::variables(&order.secrets.git));
        variables.insert("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned());
        variables.entry("GIT_SSH_COMMAND".to_owned()).or_insert_with(|| "ssh -oBatchMode=yes".to_owned());
        Self { order, plan, variables, indexes, redactor: Redactor::new(&order.secrets) }
    }

    fn with_uv(mut self, uv: &Path) -> Result<Vec<String>, EnvironmentError> {
        self.indexes.for_uv(&mut self.variables);
        let cache = self.order.paths.packages.join("uv").to_string_lossy().into_owned();
        for (name, value) in [
            ("UV_CACHE_DIR", cache.as_str()),
            // The environment is sealed and shared: its files must not be those of a cache that the next build may write.
            ("UV_LINK_MODE", "copy"),
            ("UV_PYTHON_DOWNLOADS", "never"),
            ("UV_NO_PROGRESS", "1"),
        ] {
            self.variables.insert(name.to_owned(), value.to_owned());
        }
        // Nobody can write .pyc files into it later. Told both ways, uv refuses.
        if !self.order.spec.environment.extra_arguments.iter().any(|flag| flag.starts_with("--no-compile")) {
            self.variables.insert("UV_COMPILE_BYTECODE".to_owned(), "1".to_owned());
        }
        let environment = &self.order.paths.environment;
        let next = "install the package python3-venv or another Python on the worker";
        let mut options = vec!["venv".to_owned(), "--quiet".to_owned(), "--python".to_owned(), text(&self.plan.python)];
        if self.order.spec.environment.system_site_packages {
            options.push("--system-site-packages".to_owned());
        }
        options.push(text(environment));
        self.tool("uv", uv).args(options).run().map_err(|source| {
            let words = source.explanation(is_uv_error);
            EnvironmentError::Create {
                installer: "uv",
                python: self.plan.python.clone(),
                words,
                next,
                source: Box::new(source),
            }
        })?;
        let target = ["--python".to_owned(), text(&environment.join("bin/python"))];
        if let Some(file) = self.requirements_file()? {
            say("installing packages with uv");
            let options = ["pip", "install", "-r"].map(str::to_owned).into_iter().chain([text(&file)]);
            let options = options.chain(self.indexes.uv_options());
            let tool =
                self.tool("uv", uv).args(options).args(&target).args(&self.order.spec.environment.extra_arguments);
            tool.run().map_err(|source| {
                let words = source.explanation(is_uv_error);
                EnvironmentError::install("uv", &words, source)
            })?;
        }
        self.frozen(self.tool("uv", uv).args(["pip", "freeze"]).args(&target))
    }

    fn with_pip(mut self) -> Result<Vec<String>, EnvironmentError> {
        self.indexes.for_pip(&mut self.variables);
        let cache = text(&self.order.paths.packages.join("pip"));
        self.variables.insert("PIP_CACHE_DIR".to_owned(), cache);
        for (name, value) in
            [("PIP_DISABLE_PIP_VERSION_CHECK", "1"), ("PIP_NO_INPUT", "1"), ("PIP_PROGRESS_BAR", "off")]
        {
            self.variables.insert(name.to_owned(), value.to_owned());
        }
        self.venv()?;
        let python = self.order.paths.environment.join("bin/python");
        if let Some(file) = self.requirements_file()? {
            say("installing packages with pip");
            let options = ["-m", "pip", "install", "-r"].map(str::to_owned).into_iter().chain([text(&file)]);
            let tool = self.tool("pip", &python).args(options).args(&self.order.spec.environment.extra_arguments);
            tool.run().map_err(|source| {
                let words = source.last_words("; ", |line| line.starts_with("ERROR:") || line.starts_with("error:"));
                EnvironmentError::install("pip", &words, source)
            })?;
        }
        self.frozen(self.tool("pip", &python).args(["-m", "pip", "freeze"]))
    }

    /// `venv`, or `virtualenv` where Debian's `python3-venv` is not installed.
    fn venv(&self) -> Result<(), EnvironmentError> {
        let with = |module: &str| {
            let mut options = vec!["-m".to_owned(), module.to_owned()];
            if self.order.spec.environment.system_site_packages {
                options.push("--system-site-packages".to_owned());
            }
            options.push(text(&self.order.paths.environment));
            self.tool("python", &self.plan.python).args(options)
        };
        let Err(source) = with("venv").quiet().run() else { return Ok(()) };
        if with("virtualenv").quiet().run().is_ok() {
            return Ok(());
        }
        let words = source.last_words(" ", |_| true);
        let next = "install the package python3-venv (or virtualenv) on the worker";
        Err(EnvironmentError::Create {
            installer: "venv",
            python: self.plan.python.clone(),
            words,
            next,
            source: Box::new(source),
        })
    }

    fn frozen(&self, tool: Tool) -> Result<Vec<String>, EnvironmentError> {
        let listed = tool.quiet().read().map_err(|source| {
            let words = source.last_words(" ", |_| true);
            EnvironmentError::Freeze { words, source: Box::new(source) }
        })?;
        Ok(listed.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    fn tool(&self, name: &'static str, program: &Path) -> Tool {
        // A directory without a pyproject.toml: uv would take settings from the task's.
        Tool::new(name, program, &self.variables, &self.redactor).within(&self.order.paths.tmp)
    }

    /// None when nothing is required.
    fn requirements_file(&self) -> Result<Option<PathBuf>, EnvironmentError> {
        if self.plan.requirements.trim().is_empty() {
            return Ok(None);
        }
        let path = self.order.paths.tmp.join("clearmld-requirements.txt");
        let failed = |source| EnvironmentError::Write { path: path.clone(), source };
        // A line may hold a password.
        let _ = fs::remove_file(&path);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        file.write_all(self.plan.requirements.as_bytes()).map_err(failed)?;
        Ok(Some(path))
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// uv's explanation starts with `error:`, or in older versions with a cross, and goes on in a tree.
fn is_uv_error(line: &str) -> bool {
    ["error:", "×", "x No solution"].iter().any(|start| line.starts_with(start))
}
