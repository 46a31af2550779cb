//! What a stage sees: its order, its paths, and the places that its view of the files is made of.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use super::Shim;
use super::environment::Place as Environment;
use super::rootfs::{Overlay, Place, RootPlan, fixed};
use super::tree::{Apart, Ground};
use crate::domain::handover::{
    Act, Identity, Installer, Isolation, RunSpec, Secrets, StageOrder, StagePaths, VERSION, file,
};
use crate::domain::sandbox::{Network, Part};

/// The environment, as a stage meets it.
#[derive(Debug, Clone)]
pub(super) enum Venv {
    /// There is none, or none yet.
    None,
    /// Being built: the stage may write to it.
    Building(Environment),
    /// Sealed; the program gets a writable layer where that works.
    Finished(Environment),
}

impl Venv {
    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::None => None,
            Self::Building(place) | Self::Finished(place) => Some(place.venv()),
        }
    }
}

impl Shim {
    /// Makes the payload's own directories, as far as they are not there.
    pub(super) fn make_work(&self) -> io::Result<()> {
        let work = self.directory.join(file::WORK);
        let root = nix::unistd::geteuid().is_root();
        if self.spec.isolation == Isolation::Subreaper && root {
            // The payload must pass through. The files here are 0600.
            fs::set_permissions(&self.directory, fs::Permissions::from_mode(0o711))?;
        }
        // Root's, or the payload could put a link where a directory of it is mounted from.
        make(&work, 0o711, None)?;
        let owner = root.then_some(&self.spec.identity);
        for (name, mode) in [("code", 0o755), ("home", 0o700), ("tmp", 0o1777)] {
            make(&work.join(name), mode, owner)?;
        }
        make(&self.directory.join("root"), 0o700, None)
    }

    /// What the stage is told.
    pub(super) fn order(&self, act: Act, venv: &Venv) -> StageOrder {
        let secrets = secrets_for(&act, &self.secrets);
        let paths = match self.spec.isolation {
            Isolation::Namespaces => inside(),
            Isolation::Subreaper => self.outside(venv),
        };
        let spec = match self.spec.isolation {
            Isolation::Namespaces => with_tools_inside(&self.spec),
            Isolation::Subreaper => self.spec.clone(),
        };
        StageOrder { act, paths, spec, secrets }
    }

    /// Where the stage runs.
    pub(super) fn ground(&self, act: &Act, venv: &Venv) -> io::Result<Ground> {
        if self.spec.isolation == Isolation::Subreaper {
            return Ok(Ground::Plain(self.stage_program.clone()));
        }
        let work = self.directory.join(file::WORK);
        let place = |source: PathBuf, target: &str, writable| Place { source, target: target.into(), writable };
        let caches = &self.spec.caches;
        let mut places = vec![place(work.join("code"), fixed::CODE, true), place(work.join("home"), fixed::HOME, true)];
        // Only where it is needed. Even read-only, a mirror shows its code to Runs that may not fetch it, and any file
        // of a cache can be locked, so that others wait for it.
        match act {
            Act::Source => places.push(place(caches.mirrors.clone(), fixed::MIRRORS, true)),
            Act::Build { .. } => places.push(place(caches.packages.clone(), fixed::PACKAGES, true)),
            Act::Plan | Act::Program { .. } => {}
        }
        for (number, tools) in self.spec.tools.iter().enumerate() {
            places.push(Place { source: tools.clone(), target: tools_inside(number), writable: false });
        }
        let mut overlay = None;
        match venv {
            Venv::None => {}
            Venv::Building(environment) => places.push(place(environment.venv(), fixed::VENV, true)),
            Venv::Finished(environment) => overlay = Some(self.layer(environment, &work.join("venv"))?),
        }
        // Everything of the daemon's, also what the spec may have forgotten: the Runs beside this one.
        let mut hidden = self.spec.hidden.clone();
        hidden.extend(self.directory.parent().map(Path::to_owned));
        let entry = (!self.spec.identity.known_to_host).then(|| self.spec.identity.clone());
        let sandbox = &self.spec.sandbox;
        let root = Box::new(RootPlan {
            mount_point: self.directory.join("root"),
            hidden,
            tmp: work.join("tmp"),
            places,
            overlay,
            devices: self.spec.devices.iter().cloned().chain(sandbox.devices.iter().map(|d| d.path().into())).collect(),
            binds: sandbox.binds.clone(),
            writable: sandbox.relaxed.has(Part::ReadOnlyRoot),
            hosts_tmp: sandbox.relaxed.has(Part::PrivateTmp),
            // It counts for the limit of memory: more than half leaves the program nothing.
            shm: self.spec.limits.memory.map(|memory| memory.bytes() / 2),
            entry,
            stage: self.stage_program.clone(),
        });
        // Code and packages come over the network: only the program can do without.
        let network = sandbox.network == Network::None && matches!(act, Act::Program { .. });
        Ok(Ground::Namespace(root, Apart { ipc: !sandbox.relaxed.has(Part::IpcNamespace), network }))
    }

    fn layer(&self, environment: &Environment, layer: &Path) -> io::Result<Overlay> {
        let (upper, work) = (layer.join("upper"), layer.join("work"));
        make(layer, 0o700, None)?;
        make(&upper, 0o755, Some(&self.spec.identity))?;
        make(&work, 0o700, None)?;
        environment.skeleton(&upper, &self.spec.identity)?;
        Ok(Overlay { lower: environment.venv(), upper, work })
    }

    fn outside(&self, venv: &Venv) -> StagePaths {
        let work = self.directory.join(file::WORK);
        StagePaths {
            code: work.join("code"),
            environment: venv.path().unwrap_or_else(|| work.join("venv")),
            home: work.join("home"),
            tmp: work.join("tmp"),
            mirrors: self.spec.caches.mirrors.clone(),
            packages: self.spec.caches.packages.clone(),
        }
    }
}

fn inside() -> StagePaths {
    StagePaths {
        code: fixed::CODE.into(),
        environment: fixed::VENV.into(),
        home: fixed::HOME.into(),
        tmp: fixed::TMP.into(),
        mirrors: fixed::MIRRORS.into(),
        packages: fixed::PACKAGES.into(),
    }
}

fn tools_inside(number: usize) -> PathBuf {
    Path::new(fixed::TOOLS).join(number.to_string())
}

/// The spec with the tools where the payload finds them: on the host they may lie below a hidden path.
fn with_tools_inside(spec: &RunSpec) -> RunSpec {
    let mut spec = spec.clone();
    let moved = |path: &Path| {
        let found = spec.tools.iter().enumerate().find_map(|(number, tools)| {
            let below = path.strip_prefix(tools).ok()?;
            Some(if below.as_os_str().is_empty() { tools_inside(number) } else { tools_inside(number).join(below) })
        });
        found.unwrap_or_else(|| path.to_owned())
    };
    let python_search = spec.environment.python_search.iter().map(|path| moved(path)).collect();
    let installer = match &spec.environment.installer {
        Installer::Uv { path } => Installer::Uv { path: moved(path) },
        Installer::Pip => Installer::Pip,
    };
    spec.environment.python_search = python_search;
    spec.environment.installer = installer;
    spec.tools = (0..spec.tools.len()).map(tools_inside).collect();
    spec
}

/// Only what the act needs.
fn secrets_for(act: &Act, all: &Secrets) -> Secrets {
    let mut secrets = Secrets {
        version: VERSION,
        variables: Default::default(),
        git: Vec::new(),
        index_urls: Vec::new(),
        sdk_config: None,
    };
    match act {
        Act::Source => secrets.git = all.git.clone(),
        Act::Plan | Act::Build { .. } => {
            secrets.git = all.git.clone();
            secrets.index_urls = all.index_urls.clone();
        }
        Act::Program { .. } => {
            secrets.variables = all.variables.clone();
            secrets.sdk_config.clone_from(&all.sdk_config);
        }
    }
    secrets
}

fn make(path: &Path, mode: u32, owner: Option<&Identity>) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    if let Some(identity) = owner {
        lchown(path, Some(identity.uid), Some(identity.gid))?;
    }
    // After the change of owner, which takes bits away.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
