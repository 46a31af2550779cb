# Processes that are not its own: init, which is root's, above it; the shim, the daemon and another run outside.


def outside():
    """Numbers that the host knows; but one that happens to be a process of this run, too."""
    return next(pid for pid in WORLD["pids"] if not os.path.exists(f"/proc/{pid}"))


def vector(thing):
    pair = (ctypes.c_size_t * 2)(ctypes.addressof(thing), ctypes.sizeof(thing))
    KEPT.append(pair)
    return address(pair)


def peek(pid, name):
    ours = ctypes.create_string_buffer(8)
    call(name, pid, vector(ours), 1, vector(ours), 1, 0)


def trace(pid, request):
    call("ptrace", request, pid, 0, 0)


def limit(pid):
    bounds = (ctypes.c_uint64 * 2)(1, 1)
    call("prlimit64", pid, 7, address(bounds), 0)


def pidfd(pid):
    return call("pidfd_open", pid, 0)


def pages(pid):
    page, where, status = (ctypes.c_size_t * 1)(4096), (ctypes.c_int * 1)(0), (ctypes.c_int * 1)()
    call("move_pages", pid, 1, address(page), address(where), address(status), 0)


def affinity(pid):
    os.sched_setaffinity(pid, {0})


ATTACH, SEIZE = 16, 0x4206
for who, pid in (("init", lambda: 1), ("a process of the host", outside)):
    tries(f"kill {who}", lambda pid: os.kill(pid(), signal.SIGKILL), pid)
    tries(f"stop {who}", lambda pid: os.kill(pid(), signal.SIGSTOP), pid)
    tries(f"tell {who} to end the run", lambda pid: os.kill(pid(), signal.SIGUSR2), pid)
    tries(f"attach a debugger to {who}", lambda pid: trace(pid(), ATTACH), pid)
    tries(f"seize {who}", lambda pid: trace(pid(), SEIZE), pid)
    tries(f"read the memory of {who}", lambda pid: peek(pid(), "process_vm_readv"), pid)
    tries(f"write the memory of {who}", lambda pid: peek(pid(), "process_vm_writev"), pid)
    tries(f"change the limits of {who}", lambda pid: limit(pid()), pid)
    tries(f"take a descriptor of {who}", lambda pid: call("pidfd_getfd", pidfd(pid()), 0, 0), pid)
    tries(f"kill {who} by a pidfd", lambda pid: call("pidfd_send_signal", pidfd(pid()), 9, 0, 0), pid)
    tries(f"enter the namespaces of {who}", lambda pid: call("setns", pidfd(pid()), 0x00020000), pid)
    tries(f"move the memory of {who}", lambda pid: pages(pid()), pid)
    tries(f"move {who} to another processor", lambda pid: affinity(pid()), pid)
    tries(f"slow {who} down", lambda pid: os.setpriority(os.PRIO_PROCESS, pid(), 19), pid)

tries("write into init's memory by its file", write, "/proc/1/mem", "x")
tries("have init killed first when memory is short", write, "/proc/1/oom_score_adj", "1000")
tries("be spared itself when memory is short", write, "/proc/self/oom_score_adj", "-1")
tries("open a namespace of init", os.open, "/proc/1/ns/mnt", os.O_RDONLY)
