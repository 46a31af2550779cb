//! Whether what a sandbox is to show is there, and is what its path says: no link may lead a bind elsewhere, and nothing
//! of the daemon's is shown by way of another place.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::timeout;

use crate::domain::handover::Isolation;
use crate::domain::sandbox::{Bind, Device, Network, Sandbox};

/// A network file system that is away answers after minutes, or never.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// What an ordinary user's daemon has nothing to relax of.
const NEEDS_NAMESPACES: &str = "needs namespaces, which this daemon has none of; leave it out, or run clearmld as root";

pub(super) async fn check(sandbox: &Sandbox, isolation: Isolation, hidden: Vec<PathBuf>) -> Result<(), String> {
    if isolation == Isolation::Subreaper {
        separable(sandbox)?;
    }
    if sandbox.binds.is_empty() && sandbox.devices.is_empty() {
        return Ok(());
    }
    let sandbox = sandbox.clone();
    let look = tokio::task::spawn_blocking(move || look(&sandbox, &hidden));
    match timeout(LONGEST_LOOK, look).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => Err(format!("binds: they cannot be looked at: {error}")),
        Err(_) => Err(format!("binds: a disk did not answer within {} s; mount it anew first", LONGEST_LOOK.as_secs())),
    }
}

fn separable(sandbox: &Sandbox) -> Result<(), String> {
    let wanted = [
        (!sandbox.binds.is_empty(), "binds"),
        (!sandbox.devices.is_empty(), "devices"),
        (sandbox.network == Network::None, "network: none"),
    ];
    match wanted.iter().find(|(wanted, _)| *wanted) {
        Some((_, what)) => Err(format!("{what}: it {NEEDS_NAMESPACES}")),
        None => Ok(()),
    }
}

fn look(sandbox: &Sandbox, hidden: &[PathBuf]) -> Result<(), String> {
    let hidden: Vec<PathBuf> =
        hidden.iter().flat_map(|path| [Some(path.clone()), fs::canonicalize(path).ok()]).flatten().collect();
    sandbox.binds.iter().try_for_each(|bind| {
        source(bind, &hidden)?;
        target(bind, &hidden)
    })?;
    sandbox.devices.iter().try_for_each(device)
}

fn source(bind: &Bind, hidden: &[PathBuf]) -> Result<(), String> {
    let path = bind.source.display();
    straight(&bind.source).map_err(|problem| format!("binds: {problem}"))?;
    let kind = fs::symlink_metadata(&bind.source).map_err(|error| format!("binds: {path}: {error}"))?.file_type();
    if !kind.is_dir() && !kind.is_file() {
        return Err(format!("binds: {path} is neither a directory nor a file; bind the directory that holds it"));
    }
    // Above it as well: it would be seen in there.
    let over = |hidden: &&PathBuf| hidden.starts_with(&bind.source) || bind.source.starts_with(hidden);
    match hidden.iter().find(over) {
        Some(hidden) => Err(format!(
            "binds: {path} holds or lies in {}, which no task may see; name directories beside it",
            hidden.display()
        )),
        None => Ok(()),
    }
}

/// In the view of the files there must be a place for it: the root is the run's own, what is below the host's.
fn target(bind: &Bind, hidden: &[PathBuf]) -> Result<(), String> {
    let path = bind.target.display();
    if let Some(hidden) = hidden.iter().find(|hidden| bind.target.starts_with(hidden)) {
        return Err(format!("binds: {path} lies in {}, which no task may see; choose another place", hidden.display()));
    }
    let top: PathBuf = bind.target.components().take(2).collect();
    // /run is made for each run, too.
    let made = !top.exists() || top == Path::new("/run");
    if made || bind.target.exists() {
        return Ok(());
    }
    Err(format!(
        "binds: {path} does not exist, and cannot be made: {} is the host's; make it there (mkdir -p {path}), or choose \
         a new place in /",
        top.display()
    ))
}

fn device(device: &Device) -> Result<(), String> {
    straight(device.path()).map_err(|problem| format!("devices: {problem}"))?;
    let kind = fs::symlink_metadata(device.path()).map_err(|error| format!("devices: {device}: {error}"))?.file_type();
    if kind.is_char_device() {
        return Ok(());
    }
    Err(format!("devices: {device} is no character device; name a node such as /dev/infiniband/uverbs0"))
}

/// A path with a link in it is another one tomorrow.
fn straight(path: &Path) -> Result<(), String> {
    let real = fs::canonicalize(path)
        .map_err(|error| format!("{}: {error}; name what is there, or make it first", path.display()))?;
    if real == path {
        return Ok(());
    }
    Err(format!("{} leads by a link to {}; name that (PATH:TARGET shows it elsewhere)", path.display(), real.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    async fn checked(binds: &[String], devices: &[String], hidden: &[&Path]) -> Result<(), String> {
        let sandbox = Sandbox::parse(binds, devices, None, &[]).expect("parsed");
        check(&sandbox, Isolation::Namespaces, hidden.iter().map(|path| path.to_path_buf()).collect()).await
    }

    #[tokio::test]
    async fn what_is_not_there_leads_elsewhere_or_shows_what_is_hidden_is_refused() {
        let place = tempfile::tempdir_in("/var/lib").expect("a directory");
        let place = place.path();
        let (data, state) = (place.join("data"), place.join("state"));
        for directory in [&data, &state, &state.join("runs")] {
            fs::create_dir(directory).expect("made");
        }
        symlink("/etc", place.join("link")).expect("linked");
        symlink(&data, place.join("inner")).expect("linked");
        fs::create_dir(data.join("x")).expect("made");
        nix::unistd::mkfifo(&place.join("pipe"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        let of = |name: &str| place.join(name).display().to_string();
        let ask = async |bind: String| checked(&[bind], &[], &[&state]).await;
        assert_eq!(ask(of("data")).await, Ok(()));
        assert_eq!(ask(format!("{}:/a-new-place/x:rw", of("data"))).await, Ok(()));
        assert_eq!(ask(format!("{}:/run/x", of("data"))).await, Ok(()));
        for (bind, reason) in [
            (of("nowhere"), "No such file"),
            (of("link"), "leads by a link to /etc"),
            (of("inner/x"), "leads by a link to"),
            (of("pipe"), "neither a directory nor a file"),
            (of("state"), "which no task may see"),
            (of("state/runs"), "which no task may see"),
            (place.display().to_string(), "which no task may see"),
            (format!("{}:{}", of("data"), of("state/x")), "which no task may see"),
            (format!("{}:/usr/no-such-place", of("data")), "mkdir -p"),
        ] {
            let error = ask(bind.clone()).await.expect_err(&bind);
            assert!(error.starts_with("binds: ") && error.contains(reason), "{bind}: {error}");
        }
    }

    #[tokio::test]
    async fn only_character_devices_are_given() {
        // It is of every host, and none of those that every sandbox has.
        assert_eq!(
            checked(&[], &["/dev/no-such".into()], &[]).await.map_err(|error| error.contains("no-such")),
            Err(true)
        );
        let sandbox = Sandbox::parse(&[], &["/dev/fuse".into()], None, &[]).expect("parsed");
        let refused = check(&sandbox, Isolation::Subreaper, Vec::new()).await.expect_err("refused");
        assert!(refused.contains("needs namespaces"), "{refused}");
    }
}
