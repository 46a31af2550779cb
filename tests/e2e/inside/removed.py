"""The service is stopped, the package removed and purged."""

import json
import os

import duties
import host
import installed
from host import ask, call, holds, identity, must


def check(_boot):
    duties.denials()
    run = next(run for run in ask("run", "list") if run["live"])
    program = identity(run["stage_pid"])
    must("systemctl", "stop", host.UNIT)
    holds("systemctl stop leaves a run as it is", identity(program[0]) == program, run)
    removed = call("apt-get", "remove", "--yes", "--quiet", "clearmld")
    holds("apt-get remove succeeds", removed.returncode == 0, removed.stdout + removed.stderr)
    holds("it ends what runs", identity(program[0]) != program, run)
    kept = [path for path in ("/etc/clearmld/credentials.conf", "/var/lib/clearmld") if os.path.exists(path)]
    holds("and keeps configuration and state", len(kept) == 2, kept)
    purged = call("apt-get", "purge", "--yes", "--quiet", "clearmld")
    holds("apt-get purge succeeds", purged.returncode == 0, purged.stdout + purged.stderr)
    nothing_is_left()


def nothing_is_left():
    before, after = json.loads(installed.BEFORE.read_text()), installed.everything()
    left = sorted(set(after["files"]) - set(before["files"]) - OURS)
    left = [path for path in left if "clearml-server" not in path]
    holds("purge leaves no file", not left, left)
    # Empty; what dh_apparmor writes into packages removes it.
    gone = sorted(set(before["files"]) - set(after["files"]) - {"/etc/apparmor.d/disable"})
    holds("and takes none with it", not gone, gone)
    users = sorted(set(after["users"]) - set(before["users"]))
    holds("it leaves no user and no group", not users, users)
    units = call("systemctl", "list-units", "--all", "--plain", "--no-legend", "clearml*").stdout.splitlines()
    # The server's own names clearmld.service, which is not found then.
    units = [line for line in units if line.split()[1] != "not-found" and "clearml-server" not in line]
    holds("no unit", not units, units)
    holds("no cgroup", not os.path.exists("/sys/fs/cgroup/clearml.slice"), os.listdir("/sys/fs/cgroup"))
    profiles = open("/sys/kernel/security/apparmor/profiles").read()
    holds("and no AppArmor profile in the kernel", "clearmld" not in profiles, profiles)


# What this test has put there.
OURS = {"/etc/pip.conf", "/usr/local/bin/uv", "/usr/lib/libnvidia-ml.so.1", "/usr/lib/libnvidia-ml.so.1.conf"}
