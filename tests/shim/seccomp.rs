//! Which system calls a payload has. Each answer of the filter is compared with what the same call says without it, so
//! that a refusal of the kernel's own is not taken for ours.

use std::collections::BTreeMap;

use clearmld::domain::handover::{End, Isolation};
use clearmld::domain::sandbox::Part;
use nix::libc;

use super::stand::{Run, Stand, open_up};

/// Prints `NAME ERRNO` for each call; 0 for one that succeeded. Whoever comes back from a clone is a child, and ends.
const ATTEMPTS: &str = "
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for line in sys.stdin.read().split(';'):
    name, number, *arguments = line.split()
    ctypes.set_errno(0)
    pid = os.fork()
    if pid == 0:
        result = libc.syscall(*(ctypes.c_long(int(one)) for one in [number, *arguments]))
        os._exit(ctypes.get_errno() if result == -1 else 0)
    status = os.waitpid(pid, 0)[1]
    print(name, status >> 8 if os.WIFEXITED(status) else -os.WTERMSIG(status), flush=True)
";

/// Calls that an ordinary user can make to some effect, or that fail for what they were given.
fn calls() -> Vec<(&'static str, libc::c_long, String)> {
    let plain = [
        ("open_tree", libc::SYS_open_tree),
        ("keyctl", libc::SYS_keyctl),
        ("add_key", libc::SYS_add_key),
        ("request_key", libc::SYS_request_key),
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("io_uring_enter", libc::SYS_io_uring_enter),
        ("perf_event_open", libc::SYS_perf_event_open),
        ("setns", libc::SYS_setns),
        ("fsconfig", libc::SYS_fsconfig),
        ("fsmount", libc::SYS_fsmount),
        ("kexec_load", libc::SYS_kexec_load),
        ("bpf", libc::SYS_bpf),
        ("mount", libc::SYS_mount),
        ("umount2", libc::SYS_umount2),
        ("pivot_root", libc::SYS_pivot_root),
        ("finit_module", libc::SYS_finit_module),
        ("quotactl", libc::SYS_quotactl),
        ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ];
    let mut calls: Vec<_> = plain.map(|(name, number)| (name, number, "-1 -1 -1 -1 -1".to_owned())).into();
    let (user, network) = (libc::CLONE_NEWUSER, libc::CLONE_NEWUSER | libc::CLONE_NEWNET);
    // UFFD_USER_MODE_ONLY: what the kernel grants an ordinary user.
    calls.push(("userfaultfd", libc::SYS_userfaultfd, "1".into()));
    calls.push(("vsock", libc::SYS_socket, format!("{} 1 0", libc::AF_VSOCK)));
    calls.push(("unshare_user", libc::SYS_unshare, user.to_string()));
    calls.push(("unshare_time", libc::SYS_unshare, 0x80.to_string()));
    calls.push(("clone_user", libc::SYS_clone, format!("{} 0 0 0 0", network | libc::SIGCHLD)));
    #[cfg(target_arch = "x86_64")]
    calls.push(("modify_ldt", libc::SYS_modify_ldt, "0 0 0".into()));
    calls
}

fn attempt(run: &Run, calls: &[(&str, libc::c_long, String)]) -> BTreeMap<String, i32> {
    let list: Vec<String> = calls.iter().map(|(name, number, rest)| format!("{name} {number} {rest}")).collect();
    let stage = std::fs::read_to_string(&run.stage).expect("read").replace("@CALLS@", &list.join(";"));
    super::stand::executable(&run.stage, &stage);
    let (record, output) = run.carry_out();
    assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
    let line = |line: &str| line.split_once(' ').and_then(|(name, code)| Some((name.to_owned(), code.parse().ok()?)));
    output.lines().filter_map(line).collect()
}

fn program() -> String {
    format!("printf '@CALLS@' | python3 -c '{}'", ATTEMPTS.replace('\'', "\""))
}

fn answers(isolation: Isolation, relaxed: &[Part], calls: &[(&str, libc::c_long, String)]) -> BTreeMap<String, i32> {
    let stand = Stand::new();
    let mut run = stand.program(&program());
    run.spec.isolation = isolation;
    run.spec.sandbox.relaxed = relaxed.iter().copied().collect();
    open_up(&stand);
    attempt(&run, calls)
}

#[test]
fn what_administers_a_host_or_separates_anew_is_refused_in_both_isolations() {
    for isolation in [Isolation::Namespaces, Isolation::Subreaper] {
        let with = answers(isolation, &[], &calls());
        assert_eq!(with.len(), calls().len(), "{with:?}");
        assert!(with.values().all(|errno| *errno == libc::EPERM), "{isolation:?}: {with:?}");
    }
    // The kernel itself says something else to most of them, so it is the filter that was heard.
    let without = answers(Isolation::Namespaces, &[Part::Seccomp], &calls());
    for name in
        ["keyctl", "add_key", "request_key", "io_uring_setup", "unshare_user", "clone_user", "setns", "open_tree"]
    {
        assert_ne!(without[name], libc::EPERM, "{name}: {without:?}");
    }
    assert_eq!((without["unshare_user"], without["clone_user"]), (0, 0), "{without:?}");
}

#[test]
fn what_a_filter_cannot_judge_does_not_exist() {
    let calls = [
        ("clone3", libc::SYS_clone3, "0 0".to_owned()),
        ("after_the_list", libc::SYS_mseal + 1, "-1 -1 -1".to_owned()),
        ("far_after", 5000, "0".to_owned()),
        ("x32", 0x4000_0000 | 39, "0".to_owned()),
    ];
    let with = answers(Isolation::Namespaces, &[], &calls);
    assert!(with.len() == 4 && with.values().all(|errno| *errno == libc::ENOSYS), "{with:?}");
    assert_ne!(answers(Isolation::Namespaces, &[Part::Seccomp], &calls)["clone3"], libc::ENOSYS);
}

#[test]
fn io_uring_can_be_allowed_alone() {
    let with = answers(Isolation::Namespaces, &[Part::IoUring], &calls());
    let allowed: Vec<&str> = with.iter().filter(|(_, errno)| **errno != libc::EPERM).map(|(name, _)| &**name).collect();
    assert_eq!(allowed, ["io_uring_enter", "io_uring_setup"], "{with:?}");
}

#[test]
fn namespaces_and_their_mounts_can_be_allowed_alone_and_so_can_performance_events() {
    let relaxed = |part: Part| -> Vec<String> {
        let with = answers(Isolation::Namespaces, &[part], &calls());
        let without = answers(Isolation::Namespaces, &[Part::Seccomp], &calls());
        assert!(["keyctl", "bpf", "userfaultfd", "io_uring_setup"].iter().all(|name| with[*name] == libc::EPERM));
        // What the kernel itself refuses with EPERM cannot be told from the filter.
        with.into_iter()
            .filter(|(name, errno)| *errno == without[name] && *errno != libc::EPERM)
            .map(|(name, _)| name)
            .collect()
    };
    let names = relaxed(Part::UserNamespaces);
    for name in ["unshare_user", "clone_user", "setns", "open_tree", "fsconfig"] {
        assert!(names.iter().any(|allowed| allowed == name), "{name}: {names:?}");
    }
    assert!(!names.iter().any(|name| name.starts_with("perf")), "{names:?}");
    assert!(relaxed(Part::PerfEvents).iter().all(|name| name == "perf_event_open"));
}

#[test]
fn every_stage_is_filtered_and_says_so() {
    let stand = Stand::new();
    let look = "grep -E '^(Seccomp|NoNewPrivs|CapBnd):' /proc/self/status | tr -d '\\n\\t'; echo";
    let script = super::stand::Script { source: look, plan: Some("0123456789abcdef"), build: look, program: look };
    let (record, output) = stand.run("r1", &script).carry_out();
    assert_eq!(record.end, End::Exited { code: 0 }, "{output}");
    assert_eq!(output, "CapBnd:0000000000000000NoNewPrivs:1Seccomp:2\n".repeat(3));
}

/// Code for another architecture: `mov eax, 20 (getpid); int 0x80; ret`.
const FOREIGN: &str = "
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
address = ctypes.addressof(ctypes.c_char.from_buffer(code))
print(\"answered\", ctypes.CFUNCTYPE(ctypes.c_int)(address)(), flush=True)
";

#[cfg(target_arch = "x86_64")]
#[test]
fn calls_of_another_architecture_end_the_process() {
    use std::os::unix::process::ExitStatusExt;
    let outside = std::process::Command::new("python3").arg("-c").arg(FOREIGN).output().expect("python3");
    let stand = Stand::new();
    let (record, output) = stand.program(&format!("exec python3 -c '{FOREIGN}'")).carry_out();
    assert!(!output.contains("answered"), "{output}");
    // A kernel that was built without them ends the process itself, in its own way.
    let signal = if outside.status.success() { libc::SIGSYS } else { outside.status.signal().unwrap_or(0) };
    assert_eq!(record.end, End::Signaled { signal }, "{output}");
}

/// What programs of this trade do; each line that it prints is one that worked.
const USUAL: &str = r#"
import asyncio, concurrent.futures, ctypes, mmap, multiprocessing, os, select, signal, socket, subprocess, sys, threading
from multiprocessing import shared_memory
libc = ctypes.CDLL(None, use_errno=True)
def works(name, condition):
    print(name if condition else f'{name} FAILED errno {ctypes.get_errno()}', flush=True)
def square(number):
    return number * number
def child_of_ours(function):
    pid = os.fork()
    if pid == 0:
        function()
        os._exit(0)
    return pid
if __name__ == '__main__':
    box = []
    threads = [threading.Thread(target=box.append, args=(n,)) for n in range(50)]
    [t.start() for t in threads]; [t.join() for t in threads]
    works('threads', len(box) == 50)
    works('subprocess', subprocess.run(['sh', '-c', 'cat /dev/null | wc -l'], capture_output=True).stdout.strip() == b'0')
    async def both():
        process = await asyncio.create_subprocess_exec('true')
        return await asyncio.gather(process.wait(), asyncio.to_thread(square, 3))
    works('asyncio', asyncio.run(both()) == [0, 9])
    for method in ('fork', 'spawn', 'forkserver'):
        with multiprocessing.get_context(method).Pool(2) as pool:
            works(method, pool.map(square, [1, 2, 3]) == [1, 4, 9])
    memory = shared_memory.SharedMemory(create=True, size=1 << 20)
    memory.buf[0] = 7; memory.close(); memory.unlink(); works('shared_memory', True)
    works('memfd', os.memfd_create('x') > 0)
    works('eventfd', libc.eventfd(0, 0) > 0)
    works('affinity', os.sched_setaffinity(0, os.sched_getaffinity(0)) is None)
    works('epoll', select.epoll() is not None)
    one, other = socket.socketpair()
    works('pass_fd', socket.send_fds(one, [b'x'], [0]) == 1 and len(socket.recv_fds(other, 9, 9)[1]) == 1)
    # A kernel without NUMA has no such call, which a program takes well; a refusal it does not.
    works('numa', libc.syscall(ctypes.c_long(SET_MEMPOLICY), 0, None, 0) == 0 or ctypes.get_errno() == 38)
    page = mmap.mmap(-1, 4096)
    works('mlock', libc.mlock(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(page))), ctypes.c_size_t(4096)) == 0)
    works('userland_threads_unshare', libc.unshare(0x400) == 0)   # CLONE_FILES: no namespace
    # MPI reads its neighbour (CMA): a vector of one, theirs and ours.
    secret, ours = ctypes.create_string_buffer(b'of the child'), ctypes.create_string_buffer(13)
    reader, writer = os.pipe()
    pid = child_of_ours(lambda: os.read(reader, 1))
    Vector = ctypes.c_size_t * 2
    mine, theirs = Vector(ctypes.addressof(ours), 12), Vector(ctypes.addressof(secret), 12)
    works('process_vm_readv', libc.process_vm_readv(pid, mine, 1, theirs, 1, 0) == 12 and ours.value == b'of the child')
    os.write(writer, b'x'); os.waitpid(pid, 0)
    # A debugger: stops its child at a call, skips that, and answers in its place.
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    def traced():
        libc.ptrace(0, 0, None, None); os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(libc.syscall(ctypes.c_long(110)) & 0x7f)
    pid = child_of_ours(traced)
    stopped = os.WIFSTOPPED(os.waitpid(pid, 0)[1])
    works('ptrace', stopped)
    if os.uname().machine == 'x86_64':
        while True:
            libc.ptrace(24, pid, None, None); os.waitpid(pid, 0)
            libc.ptrace.restype = ctypes.c_long
            if libc.ptrace(3, pid, 15 * 8, None) == 110: break
        libc.ptrace(6, pid, 15 * 8, ctypes.c_void_p(-1)); libc.ptrace(6, pid, 10 * 8, 42)
        libc.ptrace(17, pid, None, None)
        works('ptrace_skips_a_call', os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 42)
    else:
        libc.ptrace(8, pid, None, None)
    print('over')
"#;

#[test]
fn threads_pools_shared_memory_numa_neighbours_memory_and_debuggers_work() {
    for isolation in [Isolation::Namespaces, Isolation::Subreaper] {
        let stand = Stand::new();
        let file = stand.state.path().join("tools/usual.py");
        let text = USUAL.replace("SET_MEMPOLICY", &libc::SYS_set_mempolicy.to_string());
        clearmld::sys::durable::write(&file, text.as_bytes(), 0o644).expect("written");
        let place = match isolation {
            Isolation::Namespaces => "/clearml/tools/0/usual.py".to_owned(),
            Isolation::Subreaper => file.display().to_string(),
        };
        let mut run = stand.program(&format!("export PATH=/usr/bin:/bin; exec /usr/bin/python3 {place}"));
        run.spec.isolation = isolation;
        open_up(&stand);
        let (record, output) = run.carry_out();
        assert!(record.end == End::Exited { code: 0 } && !output.contains("FAILED"), "{isolation:?}: {output}");
        assert!(output.lines().count() >= 18 && output.ends_with("over\n"), "{isolation:?}: {output}");
    }
}
