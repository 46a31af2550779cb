//! A bare copy of a repository, shared by the Runs of one cache domain.
//!
//! 1. `ls-remote` with the Run's own credentials: who may not read the repository gets nothing of the mirror.
//! 2. Under the mirror's lock: fetch, only if the commit is not there.
//! 3. Still under it: a clone of its own for the Run. Objects are copied, not linked: a program may do with its `.git`
//!    what it likes.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use super::SourceError;
use super::git::{Git, words};
use crate::domain::handover::Repository;
use crate::payload::speech::say;
use crate::payload::tool::ToolError;

/// Bytes of the secret that mirrors are named with.
const SALT: usize = 32;

/// What the remote says it has: reference to commit.
type References = BTreeMap<String, String>;

/// Which commit is meant.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// This one, whole.
    Commit(String),
    /// The one that starts so; the remote cannot be asked.
    Abbreviated(String),
}

/// Clones the wanted commit into `code`, without a working tree, and says which it is.
pub(super) fn clone(
    git: &Git,
    mirrors: &Path,
    repository: &Repository,
    url: &str,
    code: &Path,
) -> Result<String, SourceError> {
    let references = references(git, mirrors, repository, url)?;
    let target = target(repository, url, &references)?;
    let name = name(&salt(mirrors)?, url);
    let mirror = mirrors.join(format!("{name}.git"));
    let _lock = lock(&mirrors.join(format!("{name}.lock")))?;
    let commit = have(git, &mirror, repository, url, &target)?;
    let failed =
        |source: ToolError| SourceError::Fetch { url: url.to_owned(), words: words(&source), source: Box::new(source) };
    let options = ["clone", "--quiet", "--no-hardlinks", "--no-checkout", "--origin", "origin", "--"];
    git.at(mirrors).args(options).args([&mirror, code]).quiet().run().map_err(failed)?;
    git.at(code).args(["remote", "set-url", "origin", url]).quiet().run().map_err(failed)?;
    Ok(commit)
}

/// Names cannot be guessed: a task may name any local path as its repository, and so would pass step 1 for a mirror.
fn name(salt: &[u8; SALT], url: &str) -> String {
    let digest = Sha256::new().chain_update(salt).chain_update(url).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Made by the first Run, the same for all that follow.
fn salt(mirrors: &Path) -> Result<[u8; SALT], SourceError> {
    let path = mirrors.join("salt");
    let failed = |source| SourceError::Write { path: path.clone(), source };
    let read = |path: &Path| {
        let mut salt = [0; SALT];
        File::open(path).and_then(|mut file| file.read_exact(&mut salt)).map(|()| salt)
    };
    match read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        found => return found.map_err(failed),
    }
    let fresh = read(Path::new("/dev/urandom")).map_err(failed)?;
    // Whole or not at all, and only if no other Run was faster.
    let draft = mirrors.join(format!("salt.{}", name(&fresh, "")));
    let written = crate::sys::durable::write(&draft, &fresh, 0o600).and_then(|()| fs::hard_link(&draft, &path));
    let _ = fs::remove_file(&draft);
    match written {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
        Ok(()) | Err(_) => read(&path).map_err(failed),
    }
}

fn references(git: &Git, mirrors: &Path, repository: &Repository, url: &str) -> Result<References, SourceError> {
    let mut patterns = vec!["HEAD".to_owned(), "refs/heads/master".to_owned(), "refs/heads/main".to_owned()];
    for name in [&repository.commit, &repository.tag].into_iter().flatten() {
        patterns.extend([format!("refs/tags/{name}"), format!("refs/tags/{name}^{{}}"), format!("refs/heads/{name}")]);
    }
    if let Some(name) = &repository.branch {
        patterns.extend([format!("refs/heads/{name}"), format!("refs/heads/{}", short(name))]);
    }
    let listed = git.at(mirrors).args(["ls-remote", "--", url]).args(patterns).read().map_err(|source| {
        SourceError::Unreachable { url: url.to_owned(), words: words(&source), source: Box::new(source) }
    })?;
    let lines = listed.lines().filter_map(|line| line.split_once('\t'));
    Ok(lines.map(|(commit, name)| (name.to_owned(), commit.to_owned())).collect())
}

/// `origin/main` is the author's name for `main`.
fn short(branch: &str) -> &str {
    branch.strip_prefix("origin/").unwrap_or(branch)
}

fn is_hex(text: &str) -> bool {
    (4..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The commit wins over the tag, that over the branch, that over the remote's HEAD.
fn target(repository: &Repository, url: &str, references: &References) -> Result<Target, SourceError> {
    let tag = |name: &str| {
        let peeled = references.get(&format!("refs/tags/{name}^{{}}"));
        peeled.or_else(|| references.get(&format!("refs/tags/{name}")))
    };
    let branch = |name: &str| references.get(&format!("refs/heads/{name}"));
    let (kind, name, found) = if let Some(name) = &repository.commit {
        if matches!(name.len(), 40 | 64) && is_hex(name) {
            return Ok(Target::Commit(name.to_ascii_lowercase()));
        }
        let found = tag(name).or_else(|| branch(name));
        if found.is_none() && is_hex(name) {
            return Ok(Target::Abbreviated(name.clone()));
        }
        ("commit", name.as_str(), found)
    } else if let Some(name) = &repository.tag {
        ("tag", name.as_str(), tag(name))
    } else if let Some(name) = &repository.branch {
        ("branch", name.as_str(), branch(name).or_else(|| branch(short(name))))
    } else {
        let found = references.get("HEAD").or_else(|| branch("master")).or_else(|| branch("main"));
        let found = found.ok_or_else(|| SourceError::Empty { url: url.to_owned() })?;
        return Ok(Target::Commit(found.clone()));
    };
    let missing = || SourceError::NoRevision { url: url.to_owned(), kind, name: name.to_owned() };
    found.cloned().map(Target::Commit).ok_or_else(missing)
}

fn lock(path: &Path) -> Result<Flock<File>, SourceError> {
    let failed = |source| SourceError::Write { path: path.to_owned(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(failed)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((file, Errno::EWOULDBLOCK)) => {
            say("waiting for another run that fetches the same repository");
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| failed(error.into()))
        }
        Err((_, error)) => Err(failed(error.into())),
    }
}

/// The commit, from the mirror as it is, or after a fetch.
fn have(git: &Git, mirror: &Path, repository: &Repository, url: &str, target: &Target) -> Result<String, SourceError> {
    prepare(git, mirror, url)?;
    // What is abbreviated may have become ambiguous since.
    if let Target::Commit(_) = target
        && let Some(commit) = present(git, mirror, target)
    {
        say("the worker's copy of the repository has the commit already");
        return Ok(commit);
    }
    fetch(git, mirror, url)?;
    if let Some(commit) = present(git, mirror, target) {
        return Ok(commit);
    }
    if let Target::Commit(commit) = target {
        // On no branch any more: a server may still give it. What it says if not is no news.
        let _ = git.at(mirror).args(["fetch", "--quiet", "--", url, commit]).quiet().run();
    }
    let name = repository.commit.clone().unwrap_or_default();
    present(git, mirror, target).ok_or(SourceError::NoRevision { url: url.to_owned(), kind: "commit", name })
}

fn present(git: &Git, mirror: &Path, target: &Target) -> Option<String> {
    let (Target::Commit(name) | Target::Abbreviated(name)) = target;
    let revision = format!("{name}^{{commit}}");
    let found = git.at(mirror).args(["rev-parse", "--quiet", "--verify", "--end-of-options", &revision]).quiet().read();
    found.ok().map(|text| text.trim().to_owned()).filter(|text| is_hex(text))
}

fn prepare(git: &Git, mirror: &Path, url: &str) -> Result<(), SourceError> {
    let failed =
        |source: ToolError| SourceError::Fetch { url: url.to_owned(), words: words(&source), source: Box::new(source) };
    let write = |path: PathBuf| move |source| SourceError::Write { path, source };
    if mirror.join("HEAD").is_file() {
        // Of a git that was killed; we hold the lock, so nobody uses them.
        for name in ["packed-refs.lock", "config.lock", "HEAD.lock", "shallow.lock", "gc.pid"] {
            let _ = fs::remove_file(mirror.join(name));
        }
        return Ok(());
    }
    fs::create_dir_all(mirror).map_err(write(mirror.to_owned()))?;
    git.at(mirror).args(["init", "--quiet", "--bare", "."]).quiet().run().map_err(failed)
}

fn fetch(git: &Git, mirror: &Path, url: &str) -> Result<(), SourceError> {
    let call = || {
        let options = ["fetch", "--quiet", "--force", "--prune", "--no-tags", "--", url];
        git.at(mirror).args(options).args(["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]).run()
    };
    let Err(first) = call() else { return Ok(()) };
    let damaged = ["bad object", "corrupt", "is empty", "not a git repository", "unable to read tree", "missing blob"];
    let said = words(&first);
    let again = if !first.disk_full() && damaged.iter().any(|sign| said.contains(sign)) {
        say("the worker's copy of the repository is damaged; making a new one");
        fs::remove_dir_all(mirror).map_err(|source| SourceError::Write { path: mirror.to_owned(), source })?;
        prepare(git, mirror, url)?;
        call()
    } else {
        Err(first)
    };
    again.map_err(|source| SourceError::Fetch { url: url.to_owned(), words: words(&source), source: Box::new(source) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(commit: Option<&str>, tag: Option<&str>, branch: Option<&str>) -> Repository {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Repository { url: "u".into(), commit: owned(commit), tag: owned(tag), branch: owned(branch) }
    }

    fn chosen(repository: &Repository) -> Option<Target> {
        let references = [
            ("HEAD", "a0"),
            ("refs/heads/main", "a1"),
            ("refs/heads/dev", "a2"),
            ("refs/tags/v1", "a3"),
            ("refs/tags/v1^{}", "a4"),
        ];
        let references = references.map(|(name, commit)| (name.to_owned(), commit.to_owned())).into();
        target(repository, "u", &references).ok()
    }

    #[test]
    fn the_commit_wins_over_the_tag_over_the_branch_over_the_head() {
        let commit = |text: &str| Some(Target::Commit(text.to_owned()));
        let whole = "0123456789012345678901234567890123456789";
        assert_eq!(chosen(&wanted(Some(whole), Some("v1"), Some("dev"))), commit(whole));
        assert_eq!(chosen(&wanted(None, Some("v1"), Some("dev"))), commit("a4"));
        assert_eq!(chosen(&wanted(None, None, Some("dev"))), commit("a2"));
        assert_eq!(chosen(&wanted(None, None, Some("origin/dev"))), commit("a2"));
        assert_eq!(chosen(&wanted(None, None, None)), commit("a0"));
        assert_eq!(chosen(&wanted(Some("dev"), None, None)), commit("a2"));
        assert_eq!(chosen(&wanted(Some("abcd12"), None, None)), Some(Target::Abbreviated("abcd12".to_owned())));
        assert_eq!(chosen(&wanted(None, None, Some("gone"))), None);
        assert_eq!(chosen(&wanted(None, Some("dev"), None)), None);
    }
}
