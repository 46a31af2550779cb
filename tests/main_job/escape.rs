use super::world::{World, is_root, processes_with};

/// Root is what clearmld is for; the tests of its separation say so instead of passing without looking.
fn needs_root() {
    assert!(is_root(), "this test needs root: run `sudo make test`, or as root in a container or VM");
}

#[tokio::test(flavor = "multi_thread")]
async fn double_fork_setsid_and_an_ignored_sigterm_do_not_outlive_the_run() {
    nothing_escapes(&World::new().await, "escape-marker-5f1e").await;
}

/// `marker` is no other test's.
pub(crate) async fn nothing_escapes(world: &World, marker: &str) {
    let script = format!(
        "import os, signal, subprocess, sys, time\n\
         code = 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3000)'\n\
         if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        os.execv(sys.executable, [sys.executable, '-c', code, '{marker}'])\n    os._exit(0)\n\
         subprocess.Popen([sys.executable, '-c', code, '{marker}'], start_new_session=True)\n\
         time.sleep(1)\nprint('escaped', flush=True)\n"
    );
    let task = world.submit(&script, "").await;
    world.completes(&task).await;
    assert_eq!(processes_with(marker), Vec::<u32>::new());
    // The same when it is aborted.
    let task = world
        .submit(&script.replace("print('escaped', flush=True)", "print('escaped', flush=True)\ntime.sleep(3000)"), "")
        .await;
    world.log_shows(&task, "escaped").await;
    assert!(!processes_with(marker).is_empty(), "the test itself works");
    world.ok(&["task", "abort", task.as_str()]);
    assert_eq!(world.end(&task).await.task.status, "stopped");
    assert_eq!(processes_with(marker), Vec::<u32>::new());
}

/// For Python: what a user could do without the filter of system calls, with harmless arguments.
fn denied_calls() -> String {
    use nix::libc::*;
    let calls: [(&str, c_long, c_long); 6] = [
        ("user namespace", SYS_unshare, c_long::from(CLONE_NEWUSER)),
        ("keyrings", SYS_keyctl, 0),
        ("io_uring", SYS_io_uring_setup, 1),
        ("userfaultfd", SYS_userfaultfd, 1),
        ("a detached mount", SYS_open_tree, -100),
        ("another's namespace", SYS_setns, 0),
    ];
    let calls: Vec<String> =
        calls.iter().map(|(what, number, first)| format!("({what:?}, {number}, {first})")).collect();
    format!("[{}]", calls.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_has_no_rights_and_sees_nothing_of_ours() {
    needs_root();
    let world = World::new().await;
    let script = format!(
        r#"
import os, pathlib, socket
status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines() if ':' in line)
for name in ('Uid', 'Gid', 'Groups', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb', 'NoNewPrivs', 'Seccomp'):
    print(name, '=', status[name].split())
print('pids =', sorted(int(p) for p in os.listdir('/proc') if p.isdigit())[:1], len([p for p in os.listdir('/proc') if p.isdigit()]))
print('fds =', sorted(int(fd) for fd in os.listdir('/proc/self/fd'))[:3])
def attempt(what, work):
    try:
        work()
        print('REACHED', what)
    except Exception as error:
        print('refused', what, type(error).__name__)
attempt('state', lambda: os.listdir('{state}/runs'))
attempt('key pair', lambda: open('{state}/server/credentials.json').read())
attempt('socket', lambda: socket.socket(socket.AF_UNIX).connect('{socket}'))
attempt('shadow', lambda: open('/etc/shadow').read())
attempt('write to the root', lambda: open('/usr/x', 'w'))
attempt('kill the shim', lambda: os.kill({daemon}, 9))
attempt('daemon memory', lambda: open('/proc/{daemon}/environ').read())
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for what, number, *arguments in {calls}:
    result = libc.syscall(*(ctypes.c_long(one) for one in (number, *arguments)))
    print('denied' if (result, ctypes.get_errno()) == (-1, 1) else 'REACHED', what)
print('leaks =', [name for name in os.environ if 'SECRET' in name or 'ACCESS_KEY' in name])
print('tmp =', os.listdir('/tmp'))
print('who =', os.environ['HOME'], os.environ['USER'], os.environ['LOGNAME'])
"#,
        state = world.path().join("state").display(),
        socket = world.socket().display(),
        daemon = world.daemon_pid(),
        calls = denied_calls(),
    );
    let task = world.submit(&script, "").await;
    let log = world.completes(&task).await;
    assert!(!log.contains("REACHED"), "{log}");
    assert_eq!(log.matches("refused ").count(), 7, "{log}");
    for name in ["CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(log.contains(&format!("{name} = ['0000000000000000']")), "{log}");
    }
    assert_eq!(log.matches("denied ").count(), 6, "{log}");
    assert!(
        log.contains("Seccomp = ['2']") && log.contains("NoNewPrivs = ['1']") && log.contains("Groups = []"),
        "{log}"
    );
    assert!(!log.contains("Uid = ['0'") && log.contains("leaks = []") && log.contains("tmp = []"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_of_the_same_user_see_nothing_of_each_other() {
    needs_root();
    let world = World::new().await;
    world.ok(&["worker", "add", "--cpu-only", "--queue", "default"]);
    let first = world
        .submit(
            "import time\nopen('/tmp/mine', 'w').write('secret')\nprint('written', flush=True)\ntime.sleep(60)\n",
            "",
        )
        .await;
    world.log_shows(&first, "written").await;
    let second = world
        .submit(
            "import os\nprint('tmp', os.listdir('/tmp'))\n\
             others = [p for p in os.listdir('/proc') if p.isdigit() and b'sleep(60)' in open(f'/proc/{p}/cmdline', 'rb').read()]\n\
             print('others', others)\n",
            "",
        )
        .await;
    let log = world.completes(&second).await;
    assert!(log.contains("tmp []") && log.contains("others []"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_deeper_than_any_stack_are_removed_and_do_not_end_the_daemon() {
    let world = World::new().await;
    let task = world
        .submit("import os\nos.chdir('/tmp')\nfor _ in range(5000):\n    os.mkdir('d')\n    os.chdir('d')\n", "")
        .await;
    world.completes(&task).await;
    let runs = world.path().join("state/runs");
    let left = || {
        std::fs::read_dir(&runs)
            .expect("runs")
            .filter(|run| run.as_ref().expect("a run").path().join("work").exists())
            .count()
    };
    let began = std::time::Instant::now();
    while left() > 0 {
        assert!(began.elapsed() < std::time::Duration::from_secs(60), "{}", world.daemon_log());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    world.ok(&["status"]);
}
