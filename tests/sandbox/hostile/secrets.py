# What the daemon knows, and what other runs do.


def listed(path):
    return found(os.listdir(path))


tries("list the daemon's state directory", listed, STATE)
tries("list the daemon's configuration", listed, "/etc/clearmld")
tries("read the key pair of the embedded server", read, f"{STATE}/server/credentials.json")
tries("read the key pair that init has stored", read, "/etc/clearmld/credentials.conf")
tries("read a clearml.conf that everybody may read", read, WORLD["clearml_conf"])
tries("read the credentials that systemd has given the daemon", read, "/run/credentials/clearmld.service/clearml.conf")
tries("list the credentials of all services", listed, "/run/credentials")
tries("read the host's passwords", read, "/etc/shadow")
tries("read the ledger of runs", listed, f"{STATE}/ledger")


@attempt("find the daemon's environment in its own")
def environment():
    wanted = ("SECRET", "ACCESS_KEY", "CREDENTIALS", "CANARY")
    return found(name for name in os.environ if any(word in name for word in wanted))


@attempt("find a descriptor that was left open")
def descriptors():
    left = []
    for number in set(map(int, os.listdir("/proc/self/fd"))) - {0, 1, 2, *OWN}:
        try:
            left.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            # That of the listing itself.
            pass
    return found(left)


@attempt("find a process of the daemon or of a shim")
def processes():
    return found(pid for pid in pids() if contents(f"/proc/{pid}/comm").strip() in ("clearmld", "clearmld-shim"))


for name in ("environ", "mem", "maps", "auxv", "syscall", "fd/0", "root/etc/hostname", "cwd/etc/hostname", "task/1/environ"):
    tries(f"read /proc/1/{name}, of the init above it", read, f"/proc/1/{name}")
for name in ("fd", "map_files", "root", "root/root", "root/dev"):
    tries(f"list /proc/1/{name}", listed, f"/proc/1/{name}")
for name in ("exe", "root", "ns/mnt", "ns/pid"):
    tries(f"follow /proc/1/{name}", os.readlink, f"/proc/1/{name}")

# Another run, of the same user, that is on at the same time (victim.py).
VICTIM = f"{STATE}/runs/{WORLD['victim_run']}"
tries("read another run's /tmp by its path on the host", read, f"{VICTIM}/work/tmp/mine")
tries("read another run's orders", read, f"{VICTIM}/spec.json")
tries("read what another run has printed", read, f"{VICTIM}/spool")
tries("read another run's /tmp in its own", read, "/tmp/mine")
tries("read another run's shared memory in /dev/shm", read, "/dev/shm/mine")
tries("read another run's home", read, os.path.expanduser("~/mine"))
tries("read a cache of another user", read, f"{STATE}/cache/uid-1/packages/canary")
tries("list the caches of its own user", listed, f"{STATE}/cache")
tries("find the caches of its own user in a program", listed, "/clearml/cache")


@attempt("find another run's processes")
def strangers():
    return found(pid for pid in pids() if WORLD["victim_marker"] in contents(f"/proc/{pid}/cmdline"))


@attempt("attach another run's System V shared memory")
def shared_memory():
    checked(libc.shmget(WORLD["victim_key"], 0, 0))


@attempt("open another run's message queue")
def message_queue():
    call("mq_open", text("mine"), os.O_RDONLY, 0, 0)


# Its own run, as root's code keeps it.
tries("list its own run's directory by its path on the host", listed, OWN_RUN)
tries("write its own spool", write, f"{OWN_RUN}/spool", "forged\n")
tries("forge its own end", create, f"{OWN_RUN}/exit.json")
tries("order its own stop", create, f"{OWN_RUN}/stop.json")
tries("make its run's directory again where the host's is covered", os.mkdir, f"{STATE}/runs")
tries("change its orders", write, f"{OWN_RUN}/spec.json", "{}")
tries("put another program in the place of the stage", write, "/clearml/stage", "#!/bin/sh\n")
tries("read from the pipe that it prints to", read, "/proc/self/fd/1")


@attempt("answer the shim in the stage's place")
def answer():
    refused = None
    for number in set(range(3, 256)) - set(OWN):
        try:
            os.write(number, b'{"report":"failed","reason":"forged","disk_full":false}')
            return f"wrote to {number}"
        except OSError as error:
            refused = error
    raise refused
