//! The control socket refuses who is inside a run, whatever its file permissions let through.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::host::{Host, Setting};
use super::hostile::with_world;

#[test]
fn a_call_through_a_descriptor_of_a_socket_that_everybody_may_use_is_refused() {
    let mut host = Host::with(&Setting::default());
    let mut world = host.outside();
    world["tool"] = json!(host.tool());
    host.worker("caller", &["--cpu-only"]);
    fs::set_permissions(&host.socket, fs::Permissions::from_mode(0o666)).expect("opened");
    let program = "import os, socket, subprocess\nstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)\n\
        stream.connect('\\0' + WORLD['accomplice'])\nstream.send(b'give')\n\
        descriptor = socket.recv_fds(stream, 16, 1)[1][0]\nplace = f'/proc/self/fd/{descriptor}'\n\
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:\n    control.connect(place)\n    print('connected')\n\
        for words in (['status'], ['worker', 'list'], ['worker', 'add', '--name', 'mine', '--cpu-only']):\n    \
        done = subprocess.run([WORLD['tool'], *words], env={'CLEARMLD_SOCKET': place}, pass_fds=[descriptor],\n        \
        capture_output=True, text=True)\n    print('code', done.returncode, done.stdout, done.stderr)\n";
    let task = host.submit("caller", &with_world(&world, &[program]), &[]);
    let run = host.settled(&task);
    let log = host.log(&task);
    assert_eq!(run["end"]["exit_code"], 0, "{log}");
    assert!(log.contains("connected\n"), "the test itself works: {log}");
    assert_eq!(log.matches("inside a run").count(), 3, "{log}");
    assert!(!log.contains("code 0"), "{log}");
    let workers = host.json(&["worker", "list"]);
    assert_eq!(workers.as_array().map(Vec::len), Some(1), "{workers}");
}
