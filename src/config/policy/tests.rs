#![expect(clippy::disallowed_methods, reason = "tests write what root would")]

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::*;
use crate::domain::sandbox::{Access, Network, Sandbox};

fn owner() -> u32 {
    nix::unistd::geteuid().as_raw()
}

fn place(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("policy.toml");
    std::fs::write(&file, text).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
    (directory, file)
}

#[test]
fn the_example_is_read_and_says_what_its_comments_say() {
    let example = include_str!("../../../packaging/policy.toml.example");
    assert_eq!(parse(example), Ok((None, BTreeMap::new())), "as it is installed it says nothing");
    let lines: Vec<&str> =
        example.lines().filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' '))).collect();
    let (default, queues) = parse(&lines.join("\n")).unwrap_or_else(|errors| panic!("{errors:#?}\n{lines:#?}"));
    let default = default.expect("a default");
    assert!(default.relax.has(Part::IoUring) && default.users.is_none(), "{default:?}");
    let team = &queues["team-a"];
    assert_eq!(team.users.iter().flatten().collect::<Vec<_>>(), ["team-a"]);
    assert_eq!(team.binds.len(), 2);
    assert_eq!(team.network, Network::Host);
}

#[test]
fn the_policy_in_the_documents_is_one() {
    let document = include_str!("../../../docs/security.md");
    let block = document.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let (default, queues) = parse(block).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert!(default.is_some() && queues["team-a"].network == Network::None);
}

#[test]
fn a_policy_that_contradicts_itself_is_refused_with_the_line() {
    for (text, error) in [
        ("[default]\nbinds = ['/a:ro', '/a:rw']", "line 1: default.binds: /a is allowed as ro and as rw"),
        ("[default]\n\nusers = [\n  'a',\n  'a']", "line 5: default.users: `a` is named twice"),
        ("[default]\nusers = ['root']", "line 2: default.users: tasks never run as root"),
        ("[default]\nusers = []", "line 2: default.users: it names nobody"),
        ("[queue.x]\nrelax = ['capabilities']", "line 2: queue.x.relax: `capabilities` is no part"),
        ("[default]\nbinds = ['/var/lib/clearmld/runs']", "line 2: default.binds: `/var/lib/clearmld/runs` lies in"),
        ("[default]\nbinds = ['/']", "line 2: default.binds: `/` is the whole host"),
        ("[default]\nbinds = ['/a:/b']", "line 2: default.binds: `/a:/b` names two places"),
        ("[default]\ndevices = ['/dev/*']", "line 2: default.devices: `/dev/*` is all devices"),
        ("[default]\ndevices = ['/dev/nvidia*']", "line 2: default.devices: `/dev/nvidia"),
        ("[default]\nnetwork = 'bridge'", "line 2: default.network: `bridge`"),
        ("[default]\nbind = ['/a']", "line 2: default.bind: there is no such key"),
        ("[default]", "line 1: default: it says nothing"),
        ("[queues.a]\nusers = ['a']", "line 1: queues: there is no such section"),
        ("[queue.a]\nusers = ['a']\n[queue.a]\nusers = ['b']", "line 3: "),
    ] {
        let errors = parse(text).expect_err(text);
        assert!(errors.iter().any(|found| found.starts_with(error)), "{text}: {errors:#?}");
    }
}

#[test]
fn a_policy_that_its_subjects_could_write_is_none() {
    let text = "[default]\nrelax = ['seccomp']\n";
    let (directory, file) = place(text);
    assert!(read(&file, "u", owner()).expect("read").default.is_some());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o664)).expect("set");
    assert!(read(&file, "u", owner()).expect_err("writable").contains("chmod go-w"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
    assert!(read(&file, "u", owner() + 1).expect_err("another's").contains("chown"));
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o777)).expect("set");
    assert!(read(&file, "u", owner()).expect_err("its directory is writable").contains("chmod go-w"));
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).expect("set");
    let link = directory.path().join("link.toml");
    symlink(&file, &link).expect("linked");
    assert!(read(&link, "u", owner()).is_err(), "a link could lead to a file of theirs");
    let fifo = directory.path().join("fifo.toml");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("made");
    assert!(read(&fifo, "u", owner()).expect_err("a pipe").contains("no regular file"));
    let nowhere = read(&directory.path().join("none.toml"), "u", owner()).expect("read");
    let wish = crate::domain::policy::Wish { queues: &["q"], user: None, sandbox: &Sandbox::default() };
    assert_eq!(nowhere.permit(wish), Ok(()));
}

#[test]
fn a_kind_of_devices_is_allowed_by_its_beginning() {
    let (default, _) = parse("[default]\ndevices = ['/dev/infiniband/*', '/dev/fuse']").expect("read");
    assert_eq!(default.expect("a default").devices.len(), 2);
    assert_eq!(Access::ReadOnly.to_string(), "ro");
}

#[test]
fn a_policy_that_has_changed_in_any_way_has_another_stamp_and_a_young_one_has_none() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("policy.toml");
    assert_eq!(stamp(&file), None, "its directory has just been made");
    let old = Path::new("/etc/hostname");
    assert_eq!(stamp(old), stamp(old));
    assert!(stamp(old).is_some() && stamp(old) != stamp(Path::new("/etc/passwd")));
    assert_ne!(stamp(Path::new("/etc/none.of.that.name")), stamp(old));
}
