//! What a Worker's definition shows of the host and takes away: binds, devices, the network, and parts that are relaxed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use clearmld::domain::handover::{End, ExitRecord};
use clearmld::domain::sandbox::Sandbox;

use super::stand::{Script, Stand, UID};

/// A directory of the host beside the state directory, with a file of the payload's user's in it.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let place = tempfile::Builder::new().prefix("clearmld-host-").tempdir_in("/var/lib").expect("a directory");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).expect("set");
        fs::create_dir(place.path().join("data")).expect("made");
        clearmld::sys::durable::write(&place.path().join("data/file"), b"of the host\n", 0o644).expect("written");
        chown(place.path().join("data"), Some(UID), Some(UID)).expect("given");
        Self(place)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn sandbox(binds: &[String], devices: &[&str], network: Option<&str>, relax: &[&str]) -> Sandbox {
    let texts = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    Sandbox::parse(binds, &texts(devices), network, &texts(relax)).expect("a sandbox")
}

fn carried_out(stand: &Stand, sandbox: Sandbox, program: &str) -> (ExitRecord, String) {
    let mut run = stand.program(program);
    run.spec.sandbox = sandbox;
    run.carry_out()
}

fn facts(stand: &Stand, sandbox: Sandbox, program: &str) -> String {
    let (record, output) = carried_out(stand, sandbox, program);
    assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
    output
}

#[test]
fn a_bind_is_where_it_is_said_to_be_and_written_to_only_when_it_says_so() {
    let (stand, host) = (Stand::new(), Host::new());
    let data = host.path("data").display().to_string();
    let program = |at: &str| format!("cat {at}/file; touch {at}/new && echo wrote; true");
    for (bind, at, writable) in [
        (data.clone(), data.clone(), false),
        (format!("{data}:rw"), data.clone(), true),
        (format!("{data}:/datasets/of/mine"), "/datasets/of/mine".to_owned(), false),
        (format!("{data}:/datasets:rw"), "/datasets".to_owned(), true),
        (format!("{data}:/run/mine:ro"), "/run/mine".to_owned(), false),
        (format!("{data}:/srv"), "/srv".to_owned(), false),
    ] {
        let _ = fs::remove_file(host.path("data/new"));
        let _ = fs::remove_dir_all(stand.state.path().join("runs/r1"));
        let output = facts(&stand, sandbox(std::slice::from_ref(&bind), &[], None, &[]), &program(&at));
        assert!(output.starts_with("of the host\n"), "{bind}: {output}");
        assert_eq!(output.contains("wrote"), writable, "{bind}: {output}");
        assert_eq!(host.path("data/new").exists(), writable, "{bind}");
    }
    assert!(!Path::new("/datasets").exists(), "nothing was made on the host");
}

#[test]
fn a_file_can_be_bound_and_a_new_place_of_the_root_stays_closed() {
    let (stand, host) = (Stand::new(), Host::new());
    let file = host.path("data/file").display().to_string();
    let binds = [format!("{file}:/licence"), format!("{}:/a/b", host.path("data").display())];
    let output = facts(
        &stand,
        sandbox(&binds, &[], None, &[]),
        "cat /licence; cat /a/b/file; touch /x /a/x /run/x 2>/dev/null && echo escaped; echo over",
    );
    assert_eq!(output, "of the host\nof the host\nover\n");
}

#[test]
fn a_bind_that_has_become_a_link_or_shows_what_is_hidden_ends_the_run_before_it_starts() {
    let host = Host::new();
    symlink("/etc", host.path("link")).expect("linked");
    symlink("/var/lib", host.path("up")).expect("linked");
    let stand = Stand::new();
    let state = stand.state.path().display().to_string();
    let below = host.path("up").join(stand.state.path().file_name().expect("a name")).display().to_string();
    for (bind, reason) in [
        (host.path("link").display().to_string(), "no link may lead to it"),
        (format!("{below}:/x"), "no link may lead to it"),
        (host.path("gone").display().to_string(), "No such file"),
        (format!("{state}:/x"), "no task may see"),
        (format!("{state}/runs:/x:rw"), "no task may see"),
        ("/var/lib:/x".to_owned(), "no task may see"),
        (format!("{}:/usr/no-such-place", host.path("data").display()), "find the place of a bind"),
    ] {
        let _ = fs::remove_dir_all(stand.state.path().join("runs/r1"));
        let (record, output) =
            carried_out(&stand, sandbox(std::slice::from_ref(&bind), &[], None, &[]), "echo started");
        let End::LaunchFailed { reason: found } = &record.end else { panic!("{bind}: {record:?}\n{output}") };
        assert!(found.contains(reason) && !output.contains("started"), "{bind}: {found}");
    }
}

#[test]
fn set_user_id_and_device_nodes_of_a_bound_directory_do_not_work() {
    let (stand, host) = (Stand::new(), Host::new());
    let tool = host.path("data/id");
    fs::copy("/usr/bin/id", &tool).expect("copied");
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o4755)).expect("set");
    let node = host.path("data/zero");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &node,
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::from_raw_mode(0o666),
        rustix::fs::makedev(1, 5),
    )
    .expect("made");
    let binds = [format!("{}:/data:rw", host.path("data").display())];
    let output = facts(
        &stand,
        sandbox(&binds, &[], None, &[]),
        "/data/id -u; head -c1 /data/zero >/dev/null && echo read; true",
    );
    assert!(output.starts_with(&format!("{UID}\n")) && !output.contains("read\n"), "{output}");
}

#[test]
fn a_device_is_given_by_name_and_no_other_comes_with_it() {
    let stand = Stand::new();
    // Of these at least one is on every host that tests run on.
    let node = ["/dev/fuse", "/dev/net/tun", "/dev/ptp0", "/dev/hwrng", "/dev/kmsg", "/dev/console"];
    let node = node.into_iter().find(|node| Path::new(node).exists()).expect("some character device");
    let output = facts(&stand, sandbox(&[], &[node], None, &[]), &format!("test -c {node} && echo there; ls /dev"));
    assert!(output.starts_with("there\n"), "{node}: {output}");
    let name = node.trim_start_matches("/dev/").split('/').next().expect("a name");
    let usual = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero";
    let mut wanted: Vec<&str> = usual.split(' ').chain([name]).collect();
    let mut found: Vec<&str> = output.lines().skip(1).collect();
    wanted.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, wanted);
}

#[test]
fn without_network_a_program_has_a_loopback_interface_of_its_own_and_the_stages_before_it_the_hosts() {
    let stand = Stand::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let look = format!(
        "python3 -c 'import socket; print(\"reached\", socket.create_connection((\"127.0.0.1\", {port}), 3) is not None)' \
         2>&1 | tail -n1"
    );
    let program = format!(
        "{look}; tail -n +3 /proc/net/dev | cut -d: -f1; python3 -c '\n\
         import socket, threading\n\
         server = socket.create_server((\"127.0.0.1\", 0))\n\
         client = socket.create_connection(server.getsockname(), 3)\n\
         print(\"own loopback\", client is not None)'"
    );
    let script = Script { source: &look, plan: None, build: "", program: &program };
    let mut run = stand.run("r1", &script);
    run.spec.sandbox = sandbox(&[], &[], Some("none"), &[]);
    let (record, output) = run.carry_out();
    assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
    let lines: Vec<&str> = output.lines().map(str::trim).collect();
    assert_eq!(lines[0], "reached True", "the source stage: {output}");
    assert!(lines[1].starts_with("ConnectionRefusedError"), "the program: {output}");
    let interfaces: Vec<&&str> = lines[2..].iter().filter(|line| **line != "own loopback True").collect();
    assert!(interfaces.contains(&&"lo") && !interfaces.iter().any(|name| name.starts_with("eth")), "{output}");
    assert!(lines.contains(&"own loopback True"), "{output}");
}

#[test]
fn an_abstract_socket_of_the_host_is_not_reached_without_network() {
    use std::os::linux::net::SocketAddrExt as _;
    let name = format!("clearmld-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("an address");
    let _listener = std::os::unix::net::UnixListener::bind_addr(&address).expect("bound");
    let reach = format!(
        "python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect(\"\\0{name}\"); print(\"reached\")' 2>&1 | tail -n1"
    );
    let stand = Stand::new();
    assert_eq!(facts(&stand, Sandbox::default(), &reach), "reached\n", "the test itself works");
    let stand = Stand::new();
    let output = facts(&stand, sandbox(&[], &[], Some("none"), &[]), &reach);
    assert!(output.contains("ConnectionRefusedError"), "{output}");
}

#[test]
fn the_hosts_tmp_and_root_are_written_to_only_where_that_is_relaxed_and_never_what_is_hidden() {
    let host = Host::new();
    let open = host.path("open");
    fs::create_dir(&open).expect("made");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("set");
    let tmp = tempfile::Builder::new().prefix("clearmld-seen-").tempdir_in("/tmp").expect("a directory");
    fs::set_permissions(tmp.path(), fs::Permissions::from_mode(0o777)).expect("set");
    let program = |stand: &Stand| {
        format!(
            "touch {open}/x 2>/dev/null && echo root; touch {tmp}/x 2>/dev/null && echo tmp; touch /var/tmp/own && \
             echo vartmp; rm -f /var/tmp/own; ls -A {state} | wc -l; touch {state}/x 2>/dev/null && echo escaped; \
             touch /sys/x 2>/dev/null && echo escaped; true",
            open = open.display(),
            tmp = tmp.path().display(),
            state = stand.state.path().display()
        )
    };
    for (relax, seen) in [
        (&[][..], "vartmp\n0\n"),
        (&["private-tmp"][..], "tmp\nvartmp\n0\n"),
        (&["read-only-root"][..], "root\nvartmp\n0\n"),
        (&["read-only-root", "private-tmp"][..], "root\ntmp\nvartmp\n0\n"),
    ] {
        let stand = Stand::new();
        let output = facts(&stand, sandbox(&[], &[], None, relax), &program(&stand));
        assert_eq!(output, seen, "{relax:?}");
    }
}

#[test]
fn message_queues_and_shared_memory_are_the_runs_own_unless_that_is_relaxed() {
    let stand = Stand::new();
    let host = fs::read_link("/proc/self/ns/ipc").expect("a namespace").display().to_string();
    let look = "readlink /proc/self/ns/ipc";
    assert_ne!(facts(&stand, Sandbox::default(), look).trim(), host);
    let stand = Stand::new();
    assert_eq!(facts(&stand, sandbox(&[], &[], None, &["ipc-namespace"]), look).trim(), host);
}

#[test]
fn whatever_is_relaxed_a_task_has_no_privileges_and_no_sight_of_the_daemon() {
    let stand = Stand::new();
    let all: Vec<&str> = clearmld::domain::sandbox::Part::ALL.iter().map(|part| part.as_str()).collect();
    let state = stand.state.path().display().to_string();
    let output = facts(
        &stand,
        sandbox(&[], &[], None, &all),
        &format!(
            "grep -E '^(CapEff|CapBnd|NoNewPrivs|Uid)' /proc/self/status | tr '\\t' ' '; ls -A {state} | wc -l; \
             cat /proc/1/comm; cat /etc/shadow 2>/dev/null && echo escaped; true"
        ),
    );
    let zero = "0".repeat(16);
    let wanted =
        format!("Uid: {UID} {UID} {UID} {UID}\nCapEff: {zero}\nCapBnd: {zero}\nNoNewPrivs: 1\n0\nclearmld-init\n");
    assert_eq!(output, wanted);
}
