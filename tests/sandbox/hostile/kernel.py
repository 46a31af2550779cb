# The kernel's own doors.

REFUSED = {
    "load a module": ("init_module", 0, 0, 0),
    "load a module from a file": ("finit_module", 0, 0, 0),
    "unload a module": ("delete_module", 0, 0),
    "prepare another kernel": ("kexec_load", 0, 0, 0, 0),
    "prepare another kernel from a file": ("kexec_file_load", -1, -1, 0, 0, 0),
    "reboot": ("reboot", 0xFEE1DEAD, 0x28121969, 0, 0),
    "swap to a file": ("swapon", 0, 0),
    "take the swap away": ("swapoff", 0),
    "read the kernel's log": ("syslog", 3, 0, 0),
    "clear the kernel's log": ("syslog", 5, 0, 0),
    "have processes accounted": ("acct", 0),
    "change quotas": ("quotactl", 0, 0, 0, 0),
    "load a BPF program": ("bpf", 5, 0, 0),
    "make a BPF map": ("bpf", 0, 0, 0),
    "watch performance counters": ("perf_event_open", 0, 0, -1, -1, 0),
    "handle page faults": ("userfaultfd", 1),
    "open an io_uring": ("io_uring_setup", 1, 0),
    "enter an io_uring": ("io_uring_enter", -1, 0, 0, 0, 0),
    "register at an io_uring": ("io_uring_register", -1, 0, 0, 0),
    "use a keyring": ("keyctl", 0, -3, 0, 0, 0),
    "search its user's keyring": ("keyctl", 10, -4, 0, 0, 0),
    "add a key": ("add_key", 0, 0, 0, 0, -3),
    "request a key": ("request_key", 0, 0, 0, -3),
    "open a file by its handle": ("open_by_handle_at", -1, 0, 0),
    "watch a whole file system": ("fanotify_init", 0, 0),
    "rename the host": ("sethostname", 0, 0),
    "rename the host's domain": ("setdomainname", 0, 0),
    "hang up terminals": ("vhangup",),
    "use a system call that is newer than the list": ("newer",),
    "use a system call far beyond the list": (5000, 0),
}
for sentence, arguments in REFUSED.items():
    tries(sentence, lambda arguments: call(*arguments) * 0, arguments)


@attempt("use the numbers of x32")
def x32():
    if os.uname().machine != "x86_64":
        return "not on this machine"
    call(0x40000000 | 39)


@attempt("make a 32-bit system call")
def foreign():
    if os.uname().machine != "x86_64":
        return "not on this machine"
    import mmap

    # mov eax, 20 (getpid); int 0x80; ret
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()


@attempt("reach the ports of the machine")
def ports():
    if "iopl" not in WORLD["calls"]:
        return "not on this machine"
    call("iopl", 3)


tries("set the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))
tries("run before all others", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
tries("be nicer to itself than others", lambda: os.setpriority(os.PRIO_PROCESS, 0, -5))
tries("write to the disk before all others", lambda: call("ioprio_set", 1, 0, 1 << 13))

# Network: the namespace is the host's, so the rights are what protects it.
AF_VSOCK, AF_ALG, AF_NETLINK = 40, 38, 16


def loopback_down():
    with socket.socket(AF_NETLINK, socket.SOCK_RAW, 0) as link:
        body = struct.pack("=BxHiII", 0, 0, 1, 0, 1)
        link.send(struct.pack("=IHHII", 16 + len(body), 16, 5, 1, 0) + body)
        answer = link.recv(4096)
        code = struct.unpack_from("=i", answer, 16)[0]
        if code < 0:
            raise OSError(-code, "refused")


tries("take the loopback down", loopback_down)
tries("send raw packets", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close())
tries("send raw messages of IP", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close())
tries("speak to the hypervisor", lambda: socket.socket(AF_VSOCK, socket.SOCK_STREAM).close())
tries("open the kernel's ciphers", lambda: socket.socket(AF_ALG, socket.SOCK_SEQPACKET).close())
tries("listen where only root may", lambda: socket.socket().bind(("127.0.0.1", 7)))

# Settings. A file may not be there on this kernel; none may be written to.
SETTINGS = {
    "have the host start its program at a crash": ("/proc/sys/kernel/core_pattern", "|/tmp/x"),
    "have the host start its program for a module": ("/proc/sys/kernel/modprobe", "/tmp/x"),
    "have the host start its program for an event": ("/sys/kernel/uevent_helper", "/tmp/x"),
    "press a key of the magic ones": ("/proc/sysrq-trigger", "c"),
    "allow all magic keys": ("/proc/sys/kernel/sysrq", "1"),
    "choose the next pid": ("/proc/sys/kernel/ns_last_pid", "100"),
    "let everybody bind any port": ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"),
    "forward packets": ("/proc/sys/net/ipv4/ip_forward", "1"),
    "register an interpreter": ("/proc/sys/fs/binfmt_misc/register", ":x:M::x::/tmp/x:"),
    "put the machine to sleep": ("/sys/power/state", "mem"),
    "change a module's parameter": ("/sys/module/kernel/parameters/panic", "1"),
    "trace the kernel": ("/sys/kernel/tracing/tracing_on", "1"),
}
for sentence, (path, word) in SETTINGS.items():
    tries(sentence, write, path, word)
for path in ("/proc/kcore", "/proc/kmsg", "/sys/kernel/debug", "/proc/1/pagemap", "/sys/firmware/dmi/tables/DMI"):
    tries(f"read {path}", lambda path: listed(path) if os.path.isdir(path) else read(path), path)


@attempt("find a setting that it may write to")
def settings():
    writable = []
    for directory, _, names in os.walk("/proc/sys"):
        writable += [os.path.join(directory, name) for name in names if os.access(os.path.join(directory, name), os.W_OK)]
    # Everybody's by its mode; the kernel asks for a capability when it is written to, see above.
    return found(set(writable) - {"/proc/sys/kernel/ns_last_pid"})


# Cgroups.


def hierarchies():
    """Where a hierarchy is mounted, and this process's own directory in it."""
    places = {}
    mine = {}
    for line in contents("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        mine[controllers] = path
    for line in contents("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        point, kind, options = before.split()[4], after.split()[0], after.split()[2]
        if kind == "cgroup2":
            places.setdefault("v2", (point, point + mine[""]))
        elif kind == "cgroup":
            places.setdefault(options, (point, point))
    return places


def in_v2(name, word, up=""):
    place = hierarchies().get("v2")
    if not place:
        raise FileNotFoundError(errno.ENOENT, "no cgroups to be seen")
    write(os.path.normpath(os.path.join(place[1], up, name)), word)


def release_agent():
    places = [point for kind, (point, _) in hierarchies().items() if kind != "v2"]
    if not places:
        return "not on this machine"
    write(os.path.join(places[0], "release_agent"), "/tmp/x")


tries("leave its cgroup for the highest", lambda: write(hierarchies()["v2"][0] + "/cgroup.procs", "0"))
tries("leave its cgroup for the shim's", in_v2, "cgroup.procs", "0", "../shim")
tries("leave its cgroup for its run's", in_v2, "cgroup.procs", "0", "..")
tries("lift its limit of memory", in_v2, "memory.max", "max")
tries("lift its limit of processes", in_v2, "pids.max", "max")
tries("lift its limit of processors", in_v2, "cpu.max", "max")
tries("kill all that is in its cgroup", in_v2, "cgroup.kill", "1")
tries("freeze the shim", in_v2, "cgroup.freeze", "1", "../shim")
tries("kill all runs by their cgroup", in_v2, "cgroup.kill", "1", "../..")
tries("make a cgroup below its own", lambda: os.mkdir(hierarchies()["v2"][1] + "/own"))
tries("have the host start its program for an empty cgroup", release_agent)
