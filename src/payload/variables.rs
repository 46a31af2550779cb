//! The environment of the tools that the stages run, made from nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::domain::handover::StageOrder;

/// Where programs are on every Linux.
pub(super) const STANDARD_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Settings of the host, or of the configuration's `environment`, that a download or a build needs.
const PASSED: [&str; 26] = [
    "ALL_PROXY",
    "CC",
    "CFLAGS",
    "CUDA_HOME",
    "CUDA_PATH",
    "CURL_CA_BUNDLE",
    "CXX",
    "CXXFLAGS",
    "GIT_SSH_COMMAND",
    "GIT_SSL_CAINFO",
    "GIT_SSL_NO_VERIFY",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "LDFLAGS",
    "LD_LIBRARY_PATH",
    "MAX_JOBS",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TORCH_CUDA_ARCH_LIST",
    "TZ",
    "FORCE_CUDA",
];

/// Of uv and pip, what would make them write elsewhere than told.
const REFUSED: [&str; 16] = [
    "PIP_CACHE_DIR",
    "PIP_DRY_RUN",
    "PIP_PREFIX",
    "PIP_PYTHON",
    "PIP_REPORT",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "UV_CACHE_DIR",
    "UV_LINK_MODE",
    "UV_NO_CACHE",
    "UV_PROJECT_ENVIRONMENT",
    "UV_PYTHON",
    "UV_PYTHON_INSTALL_DIR",
    "UV_SYSTEM_PYTHON",
];

fn passes(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    PASSED.contains(&upper.as_str())
        || ((name.starts_with("PIP_") || name.starts_with("UV_")) && !REFUSED.contains(&name))
}

/// What of the host's and the configuration's settings the tools see.
pub(super) fn settings(order: &StageOrder) -> BTreeMap<String, String> {
    let ours =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let theirs = order.spec.program.variables.iter().map(|(name, value)| (name.clone(), value.clone()));
    ours.chain(theirs).filter(|(name, _)| passes(name)).collect()
}

/// Settings and who the payload is.
pub(super) fn tool_variables(order: &StageOrder) -> BTreeMap<String, String> {
    let mut variables = settings(order);
    variables.extend(identity(order));
    variables.insert("PATH".to_owned(), search_path(order));
    variables.entry("LANG".to_owned()).or_insert_with(|| "C.UTF-8".to_owned());
    variables
}

/// HOME, USER, LOGNAME, TMPDIR.
pub(super) fn identity(order: &StageOrder) -> [(String, String); 4] {
    let user = &order.spec.identity.user;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    [
        ("HOME".to_owned(), text(&order.paths.home)),
        ("USER".to_owned(), user.clone()),
        ("LOGNAME".to_owned(), user.clone()),
        ("TMPDIR".to_owned(), text(&order.paths.tmp)),
    ]
}

/// The tools of the host, then the standard directories.
pub(super) fn search_path(order: &StageOrder) -> String {
    let tools = order.spec.tools.iter().map(|path| path.to_string_lossy().into_owned());
    tools.chain([STANDARD_PATH.to_owned()]).collect::<Vec<_>>().join(":")
}

/// The first executable of that name on `path`.
pub(super) fn find_program(name: &str, path: &str) -> Option<PathBuf> {
    path.split(':').map(|directory| Path::new(directory).join(name)).find(|path| executable(path))
}

/// Whether this user may execute the file.
pub(super) fn executable(path: &Path) -> bool {
    path.is_file() && access(path, AccessFlags::X_OK).is_ok()
}
