//! policy.toml: what root lets workers have ([`Policy`]). Only root can say it: a file that anybody else could have written
//! is refused, and so is one that contradicts itself, with the line. Then nothing that needs leave is given, until it is
//! corrected.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::domain::policy::{Grant, Nodes, Policy, Tree};
use crate::domain::sandbox::{Bind, Device, Part, Relaxed};

/// More is no policy.
const LARGEST: u64 = 1 << 20;
/// Times of files are no finer than some milliseconds.
const YOUNG: Duration = Duration::from_secs(2);
/// What no task ever sees, whatever a policy says.
const KEPT: [&str; 3] = ["/etc/clearmld", "/run/clearmld", "/var/lib/clearmld"];

/// Which file a policy was read from, and in which directory: another, or the same with other contents, owner or mode, has
/// another stamp. Nothing changes a file without its ctime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp([Option<[i64; 6]>; 2]);

/// The file's stamp now; none while it is so young that it could change once more within the same tick of the clock.
#[must_use]
pub fn stamp(file: &Path) -> Option<Stamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.checked_sub(YOUNG)?;
    let settled = i64::try_from(since.as_secs()).ok()?;
    let of = |path: &Path| {
        let found = path.symlink_metadata().ok()?;
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let (mode, owner) = (i64::from(found.mode()), i64::from(found.uid()));
        Some([number(found.dev()), number(found.ino()), found.ctime(), found.ctime_nsec(), mode, owner])
    };
    let found = [of(file), of(file.parent().unwrap_or(Path::new("/")))];
    let young = found.iter().flatten().any(|[_, _, changed, ..]| *changed >= settled);
    (!young).then_some(Stamp(found))
}

/// Reads it. `owner` is root, or the ordinary user whose daemon this is.
///
/// # Errors
/// Everything that is wrong with it, a line each, beginning with its path.
pub fn read(file: &Path, run_as: &str, owner: u32) -> Result<Policy, String> {
    let named = |problem: String| format!("{}: {problem}", file.display());
    let absent = Policy::absent(file.to_owned(), run_as.to_owned());
    let Some(text) = text(file, owner).map_err(named)? else { return Ok(absent) };
    let (default, queues) =
        parse(&text).map_err(|errors| errors.into_iter().map(named).collect::<Vec<_>>().join("\n"))?;
    Ok(Policy { default, queues, ..absent })
}

fn text(file: &Path, owner: u32) -> Result<Option<String>, String> {
    let cannot = |error: io::Error| format!("the policy cannot be read: {error}; correct it as root");
    // A link could lead to a file that others write; a FIFO is refused below, not waited for.
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    let opened = match File::options().read(true).custom_flags(flags).open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(cannot)?,
    };
    let directory = file.parent().unwrap_or(Path::new("/"));
    let found = opened.metadata().map_err(cannot)?;
    if !found.is_file() {
        return Err("the policy is no regular file; write one there, or remove it".to_owned());
    }
    for (path, metadata) in [(file, found), (directory, std::fs::metadata(directory).map_err(cannot)?)] {
        let path = path.display();
        // A policy that its subjects can write is none.
        if metadata.uid() != owner {
            return Err(format!("{path} belongs to uid {}; chown it to uid {owner}", metadata.uid()));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(format!("{path} can be written by others than its owner; chmod go-w {path}"));
        }
    }
    let mut text = String::new();
    opened.take(LARGEST + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > LARGEST {
        return Err(format!("it is larger than {LARGEST} bytes; a policy is not"));
    }
    Ok(Some(text))
}

type Sections = (Option<Grant>, BTreeMap<String, Grant>);

/// What a file says.
fn parse(text: &str) -> Result<Sections, Vec<String>> {
    let (table, broken) = DeTable::parse_recoverable(text);
    let mut reader = Reader { text, errors: Vec::new() };
    for error in &broken {
        let message = error.message().lines().next().unwrap_or_default();
        reader.wrong(error.span().map_or(0, |span| span.start), format!("{message}; correct the TOML"));
    }
    let (mut default, mut queues) = (None, BTreeMap::new());
    for (name, value) in table.get_ref() {
        let at = name.span().start;
        match (name.get_ref().as_ref(), value.get_ref()) {
            ("default", DeValue::Table(section)) => default = Some(reader.section("default", at, section)),
            ("queue", DeValue::Table(sections)) => {
                for (queue, value) in sections {
                    let (at, queue) = (queue.span().start, queue.get_ref().to_string());
                    match value.get_ref() {
                        DeValue::Table(section) => {
                            let grant = reader.section(&format!("queue.{queue}"), at, section);
                            queues.insert(queue, grant);
                        }
                        _ => reader.wrong(at, format!("queue.{queue}: it is no section; write [queue.{queue}]")),
                    }
                }
            }
            (other, _) => {
                reader.wrong(at, format!("{other}: there is no such section; known are [default] and [queue.NAME]"));
            }
        }
    }
    if reader.errors.is_empty() { Ok((default, queues)) } else { Err(reader.errors) }
}

struct Reader<'a> {
    text: &'a str,
    errors: Vec<String>,
}

impl Reader<'_> {
    fn wrong(&mut self, at: usize, problem: impl std::fmt::Display) {
        let line = self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        self.errors.push(format!("line {line}: {problem}"));
    }

    fn section(&mut self, section: &str, at: usize, table: &DeTable<'_>) -> Grant {
        let mut grant = Grant::default();
        if table.is_empty() {
            self.wrong(at, format!("{section}: it says nothing; remove it, or name what is allowed"));
        }
        for (key, value) in table {
            let at = key.span().start;
            match key.get_ref().as_ref() {
                "users" => {
                    let users = self.items(section, "users", value, user);
                    if users.is_empty() {
                        self.wrong(at, format!("{section}.users: it names nobody, so no worker could be; remove it"));
                    }
                    grant.users = Some(users.into_iter().collect::<BTreeSet<_>>());
                }
                "binds" => grant.binds = self.items(section, "binds", value, tree),
                "devices" => grant.devices = self.items(section, "devices", value, nodes),
                "relax" => {
                    let parts =
                        self.items(section, "relax", value, |text| Part::from_str(text).map_err(|e| e.to_string()));
                    grant.relax = parts.into_iter().collect::<Relaxed>();
                }
                "network" => match value.get_ref() {
                    DeValue::String(text) => match text.parse() {
                        Ok(network) => grant.network = network,
                        Err(error) => self.wrong(at, format!("{section}.network: {error}")),
                    },
                    _ => self.wrong(at, format!("{section}.network: write \"host\" or \"none\"")),
                },
                other => self.wrong(
                    at,
                    format!("{section}.{other}: there is no such key; known are binds, devices, network, relax, users"),
                ),
            }
        }
        self.no_path_twice(section, at, &grant.binds);
        grant
    }

    /// A list of texts, each once.
    fn items<T>(
        &mut self,
        section: &str,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let DeValue::Array(items) = value.get_ref() else {
            self.wrong(value.span().start, format!("{section}.{key}: it is no list; write [\"…\"]"));
            return Vec::new();
        };
        let (mut seen, mut found) = (BTreeSet::new(), Vec::new());
        for item in items {
            let DeValue::String(text) = item.get_ref() else {
                self.wrong(item.span().start, format!("{section}.{key}: write each entry in quotes"));
                continue;
            };
            match read(text) {
                Ok(_) if !seen.insert(text.to_string()) => {
                    self.wrong(item.span().start, format!("{section}.{key}: `{text}` is named twice; once will do"));
                }
                Ok(one) => found.push(one),
                Err(problem) => self.wrong(item.span().start, format!("{section}.{key}: {problem}")),
            }
        }
        found
    }

    /// Both cannot be meant.
    fn no_path_twice(&mut self, section: &str, at: usize, trees: &[Tree]) {
        for (number, tree) in trees.iter().enumerate() {
            if trees[..number].iter().any(|other| other.path == tree.path && other.access != tree.access) {
                let path = tree.path.display();
                self.wrong(at, format!("{section}.binds: {path} is allowed as ro and as rw; keep one of them"));
            }
        }
    }
}

fn user(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@$".contains(c);
    match name {
        "root" => Err("tasks never run as root; name another user".to_owned()),
        name if name.is_empty() || !name.chars().all(plain) => {
            Err("it is no name of a user; write it plainly".to_owned())
        }
        name => Ok(name.to_owned()),
    }
}

fn tree(text: &str) -> Result<Tree, String> {
    let bind = Bind::from_str(text).map_err(|error| error.to_string())?;
    if bind.source != bind.target {
        return Err(format!("`{text}` names two places; name the host's"));
    }
    match kept(&bind.source) {
        Some(kept) => Err(format!("`{text}` lies in {kept}, which no task ever sees; remove it")),
        None => Ok(Tree { path: bind.source, access: bind.access }),
    }
}

fn kept(path: &Path) -> Option<&'static str> {
    KEPT.into_iter().find(|kept| path.starts_with(kept))
}

fn nodes(text: &str) -> Result<Nodes, String> {
    let (plain, all) = text.strip_suffix('*').map_or((text, false), |plain| (plain, true));
    // With a name in the place of the star, or the directory itself would do for a node.
    let example = if all { format!("{plain}x") } else { plain.to_owned() };
    Device::from_str(&example).map_err(|error| error.to_string())?;
    if all && PathBuf::from(&example).parent() == Some(Path::new("/dev")) && plain == "/dev/" {
        return Err(format!("`{text}` is all devices, GPUs among them; name a directory or a kind"));
    }
    Ok(Nodes(text.to_owned()))
}

#[cfg(test)]
mod tests;
