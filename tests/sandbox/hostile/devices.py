# Devices that were not lent. 195 is NVIDIA's major number; 254, 8 and 1 are disks and memory.

OTHER = WORLD["other_gpu"]
BESIDE = {"fd", "stdin", "stdout", "stderr", "ptmx", "pts", "shm"}
HARMLESS = {"null", "zero", "full", "random", "urandom", "tty"}


def node(path, major, minor, kind=stat.S_IFCHR):
    os.mknod(path, kind | 0o666, os.makedev(major, minor))
    open(path, "rb").close()


def opened(path):
    os.close(os.open(path, os.O_RDWR))


@attempt("find a device in /dev that is neither harmless nor lent")
def others():
    seen = []
    for directory, _, names in os.walk("/dev"):
        if directory.startswith(("/dev/pts", "/dev/shm")):
            continue
        seen += [os.path.relpath(os.path.join(directory, name), "/dev") for name in names]
    return found(set(seen) - BESIDE - HARMLESS - set(WORLD["lent"]))


@attempt("open what is lent to it")
def lent():
    for name in WORLD["lent"]:
        opened(f"/dev/{name}")


tries("open a GPU that is not its own", opened, OTHER)
tries("open it through its own root", opened, f"/proc/self/root{OTHER}")
tries("open it through the root of init", opened, f"/proc/1/root{OTHER}")
tries("open it through a way up from its directory", opened, f"/proc/self/cwd/../../../../../..{OTHER}")
tries("open it by its number", opened, "/dev/char/195:1")
tries("make its node in /tmp", node, "/tmp/gpu", 195, 1)
tries("make its node in /dev/shm", node, "/dev/shm/gpu", 195, 1)
tries("make its node in /dev", node, "/dev/gpu", 195, 1)
tries("make its node in the code", node, "/clearml/code/gpu", 195, 1)
tries("make the node of the memory", node, "/tmp/mem", 1, 1)
tries("make the node of a disk", node, "/tmp/disk", 8, 0, stat.S_IFBLK)
tries("make a device /dev/null of its own", node, "/tmp/null", 1, 3)
for name in ("mem", "kmsg", "kvm", "fuse", "net/tun", "console", "tty0", "vda", "sda", "loop-control", "uinput"):
    tries(f"open /dev/{name}", opened, f"/dev/{name}")

# Terminals.
TIOCSTI, TIOCSCTTY, TIOCLINUX = 0x5412, 0x540E, 0x541C


def push(descriptor):
    import fcntl

    fcntl.ioctl(descriptor, TIOCSTI, b"x")


tries("open a controlling terminal", opened, "/dev/tty")
tries("open a terminal of the host", opened, "/dev/pts/0")
for descriptor in (0, 1, 2):
    tries(f"type into what descriptor {descriptor} is", push, descriptor)
