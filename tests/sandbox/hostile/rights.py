# Rights that it does not have. `calls` has the numbers of system calls on this machine.


def program(path, *arguments):
    import subprocess

    return subprocess.run([path, *arguments], capture_output=True, text=True, timeout=10).stdout


@attempt("become root by a set-user-id program")
def set_user_id():
    return "root" if program(WORLD["set_user_id"], "-u").strip() == "0" else "still itself"


@attempt("become a member of root's group by a set-group-id program")
def set_group_id():
    return "root" if program(WORLD["set_group_id"], "-g").strip() == "0" else "still itself"


@attempt("get a capability of a file")
def file_capability():
    lines = program(WORLD["capable"], "/proc/self/status").splitlines()
    sets = [line.split()[1] for line in lines if line.startswith("Cap")]
    return "none" if len(sets) == 5 and not any(int(one, 16) for one in sets) else str(sets)


@attempt("have a capability left in any set, or a group of anybody else's")
def left():
    status = dict(line.split(":", 1) for line in contents("/proc/self/status").splitlines() if ":" in line)
    sets = [int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")]
    plain = not any(sets) and not status["Groups"].split() and status["NoNewPrivs"].strip() == "1"
    return "none" if plain and status["Seccomp"].strip() == "2" else str(status)


def raised():
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
    call("capset", address(header), address(sets))


def given():
    create("/tmp/own")
    os.setxattr("/tmp/own", "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 21, 0, 0, 0))


tries("become root", os.setresuid, 0, 0, 0)
tries("join root's group", os.setresgid, 0, 0, 0)
tries("take supplementary groups", os.setgroups, [0])
tries("raise its capabilities", raised)
tries("give a capability to a file", given)
tries("give a file to root", lambda: (create("/tmp/gift"), os.chown("/tmp/gift", 0, 0)))
tries("lift no_new_privs", lambda: call("prctl", 38, 0, 0, 0, 0))
tries("keep capabilities over a change of user", lambda: call("prctl", 28, 1 << 4, 0, 0, 0))
tries("change its root", os.chroot, "/tmp")
tries("map itself to root", write, "/proc/self/uid_map", "0 0 1")
tries("raise its limit of processes", lambda: higher(6))
tries("allow itself core files", lambda: higher(4))


def higher(resource):
    bounds = (ctypes.c_uint64 * 2)(2**63, 2**63)
    call("prlimit64", 0, resource, address(bounds), 0)


# Namespaces: by unshare, clone, clone3 and setns.
NAMESPACES = {
    "user": 0x10000000,
    "mount": 0x00020000,
    "pid": 0x20000000,
    "network": 0x40000000,
    "ipc": 0x08000000,
    "uts": 0x04000000,
    "cgroup": 0x02000000,
    "time": 0x00000080,
}


def cloned(flags):
    if call("clone", flags | signal.SIGCHLD, 0, 0, 0, 0) == 0:
        os._exit(0)


for name, flag in NAMESPACES.items():
    tries(f"make a namespace ({name})", lambda flag: call("unshare", flag), flag)
    tries(f"make a user namespace, and a namespace in it ({name})", lambda flag: call("unshare", flag | NAMESPACES["user"]), flag)
tries("start a child in a user namespace", cloned, NAMESPACES["user"])
tries("start a child in a user and a pid namespace", cloned, NAMESPACES["user"] | NAMESPACES["pid"])


@attempt("start a child by clone3, whose flags no filter can see")
def clone3():
    arguments = (ctypes.c_uint64 * 11)(NAMESPACES["user"], 0, 0, 0, signal.SIGCHLD)
    if call("clone3", address(arguments), ctypes.sizeof(arguments)) == 0:
        os._exit(0)


@attempt("enter a namespace by its file")
def entered():
    call("setns", os.open("/proc/self/ns/net", os.O_RDONLY), 0)


# Mounts.
RDONLY, REMOUNT, BIND, REC = 1, 32, 4096, 16384


def mounted(source, target, kind, flags):
    call("mount", text(source), text(target), text(kind), flags, 0)


tries("mount a file system", mounted, "none", "/tmp", "tmpfs", 0)
tries("mount /proc anew", mounted, "proc", "/tmp", "proc", 0)
tries("mount the cgroups", mounted, "none", "/tmp", "cgroup2", 0)
tries("bind a directory", mounted, "/etc", "/tmp", "", BIND | REC)
tries("make /usr writable", mounted, "none", "/usr", "", REMOUNT | BIND)
tries("make / writable", mounted, "none", "/", "", REMOUNT)
tries("uncover the state directory", lambda: call("umount2", text(STATE), 2))
tries("take /proc away", lambda: call("umount2", text("/proc"), 2))
tries("change the root for all", lambda: call("pivot_root", text("/tmp"), text("/tmp")))
tries("copy a mount", lambda: call("open_tree", -100, text("/"), 1))
tries("move a mount", lambda: call("move_mount", -100, text("/usr"), -100, text("/tmp"), 0))
tries("open a file system", lambda: call("fsopen", text("tmpfs"), 0))
tries("set up a file system", lambda: call("fsconfig", -1, 6, 0, 0, 0))
tries("make a mount of a file system", lambda: call("fsmount", -1, 0, 0))
tries("choose a file system", lambda: call("fspick", -100, text("/"), 0))
tries("change the properties of mounts", lambda: call("mount_setattr", -100, text("/usr"), 0, 0, 0))

for directory in ("/", "/usr", "/etc", "/var/lib", "/run", "/dev", "/sys", "/clearml", WORLD["open_directory"]):
    name = "a directory of the host that everybody may write to" if directory == WORLD["open_directory"] else directory
    tries(f"write to {name}", create, os.path.join(directory, "clearmld-escaped"))
tries("write to a file of the host that everybody may write to", write, WORLD["open_file"], "escaped")
tries("remove a file of the host from a directory that everybody may write to", os.unlink, WORLD["open_file"])
tries("read by a link of its own what it may not", lambda: (os.symlink("/etc/shadow", "/tmp/link"), read("/tmp/link")))
tries("make a hard link to a file of the host", os.link, WORLD["readable"], "/tmp/hard")
tries("change the mode of a file of the host", os.chmod, WORLD["readable"], 0o777)
