"""The service is stopped, the package removed and purged."""

import json
import os

import host
import installed
from host import ask, call, holds, identity, must, until, unit_of


def check(_boot):
    run = next(run for run in ask("run", "list") if run["live"])
    program = identity(run["stage_pid"])
    must("systemctl", "stop", host.UNIT)
    holds("systemctl stop leaves a run as it is", identity(program[0]) == program, run)
    removed = call("apt-get", "purge", "--yes", "--quiet", "clearmld")
    holds("apt-get purge succeeds", removed.returncode == 0, removed.stdout + removed.stderr)
    nothing_is_left()


def nothing_is_left():
    before, after = json.loads(installed.BEFORE.read_text()), installed.everything()
    left = sorted(set(after["files"]) - set(before["files"]))
    left = [path for path in left if path not in OURS]
    holds("purge leaves no file", not left, left)
    gone = sorted(set(before["files"]) - set(after["files"]))
    holds("and takes none with it", not gone, gone)
    users = sorted(set(after["users"]) - set(before["users"]))
    holds("it leaves no user and no group", not users, users)
    units = call("systemctl", "list-units", "--all", "--plain", "--no-legend", "clearml*").stdout.splitlines()
    units = [line for line in units if not line.startswith("clearml-server.service")]
    holds("no unit", not units, units)
    holds("and no cgroup", not os.path.exists("/sys/fs/cgroup/clearml.slice"), os.listdir("/sys/fs/cgroup"))


# What this test has put there.
OURS = {
    "/etc/pip.conf",
    "/etc/systemd/system/clearml-server.service",
    "/etc/systemd/system/multi-user.target.wants/clearml-server.service",
    "/run/clearml-server",
    "/run/clearml-server/clearmld.sock",
    "/usr/local/bin/uv",
}
