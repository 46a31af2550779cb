//! What a worker's definition shows of the host, and what root's policy lets it: end to end.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::world::{World, is_root};

fn needs_root() {
    assert!(is_root(), "this test needs root: run `sudo make test`, or as root in a container or VM");
}

/// policy.toml of a daemon with a state directory of its own.
fn allow(world: &World, text: &str) {
    let file = world.state.join("policy.toml");
    std::fs::write(&file, text).expect("written");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("set");
}

fn refused(world: &World, options: &[&str]) -> String {
    let base = ["worker", "add", "--cpu-only", "--queue", "shown", "--create-queue", "--name", "testhost:refused"];
    let output = world.ctl(&[&base[..], options].concat());
    assert_eq!(output.status.code(), Some(2), "{options:?}: {output:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_allows_is_in_the_task_and_what_it_does_not_is_refused_with_the_file_named() {
    needs_root();
    let world = World::new().await;
    let data = tempfile::Builder::new().prefix("clearmld-data.").tempdir_in("/var/lib").expect("a directory");
    std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o777)).expect("set");
    symlink("/etc", data.path().join("link")).expect("linked");
    let data = world.keep(data);
    let (place, link) = (data.display().to_string(), data.join("link").display().to_string());
    let writable = format!("{place}:/scratch-of-mine:rw");
    for (options, reason) in [
        (vec!["--bind", &writable], "policy.toml"),
        (vec!["--bind", "/etc:rw"], "policy.toml"),
        (vec!["--bind", &link], "leads by a link to /etc"),
        (vec!["--bind", "/no/such/place"], "No such file"),
        (vec!["--relax", "io-uring"], "policy.toml"),
        (vec!["--relax", "capabilities"], "as good as root"),
        (vec!["--user", "daemon"], "policy.toml"),
        (vec!["--user", "no-such-user"], "there is no user"),
        (vec!["--device", "/dev/nvidia0"], "--gpus"),
        (vec!["--network", "bridge"], "host or none"),
    ] {
        let said = refused(&world, &options);
        assert!(said.contains(reason), "{options:?}: {said}");
    }
    assert_eq!(world.json(&["worker", "list"]).as_array().map(Vec::len), Some(1), "nothing has changed");
    allow(&world, &format!("[default]\nbinds = ['{place}:rw']\nrelax = ['io-uring']\n"));
    world.ok(&[
        "worker",
        "add",
        "--cpu-only",
        "--queue",
        "shown",
        "--create-queue",
        "--name",
        "testhost:cpu:1",
        "--bind",
        &writable,
        "--network",
        "none",
        "--relax",
        "io-uring",
    ]);
    let shown = world.ok(&["worker", "show", "testhost:cpu:1"]);
    for words in ["/scratch-of-mine:rw", "none", "io-uring"] {
        assert!(shown.contains(words), "{shown}");
    }
    assert!(world.ok(&["status"]).contains("relaxed: io-uring"));
    let script = "import ctypes, os\nopen('/scratch-of-mine/made', 'w').write('x')\n\
                  print('interfaces', sorted(os.listdir('/proc/self/net/dev_snmp6')) if os.path.isdir('/proc/self/net/dev_snmp6') else ['lo'])\n\
                  libc = ctypes.CDLL(None, use_errno=True)\n\
                  print('ring', libc.syscall(425, 0, None), ctypes.get_errno() != 1)\n";
    let task = world
        .submit_with(|submission| {
            submission.diff = Some(script.to_owned());
            submission.queue = Some("shown".into());
        })
        .await;
    let log = world.completes(&task).await;
    assert!(log.contains("relaxes the sandbox: io-uring"), "{log}");
    assert!(log.contains("interfaces ['lo']") && log.contains("ring -1 True"), "{log}");
    assert!(Path::new(&place).join("made").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_contradicts_itself_is_named_with_its_line_and_nothing_runs_until_it_is_corrected() {
    needs_root();
    let world = World::new().await;
    allow(&world, "[default]\n\nusers = []\n");
    let status = world.ok(&["status"]);
    assert!(status.contains("policy.toml: line 3: default.users: it names nobody"), "{status}");
    assert!(refused(&world, &[]).contains("line 3"));
    let task = world.submit("print('ran')", "").await;
    tokio::time::sleep(std::time::Duration::from_secs(8)).await;
    assert_eq!(world.task(&task).await.task.status, "queued");
    std::fs::set_permissions(world.state.join("policy.toml"), std::fs::Permissions::from_mode(0o666)).expect("set");
    assert!(world.ok(&["status"]).contains("chmod go-w"));
    std::fs::remove_file(world.state.join("policy.toml")).expect("removed");
    assert!(world.completes(&task).await.contains("ran"));
}
