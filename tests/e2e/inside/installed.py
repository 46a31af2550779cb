"""What the package brings, and what it leaves as it was."""

import json
import pathlib

import host
from host import call, holds, main_pid, must, show

BEFORE = pathlib.Path("/var/lib/check/before.json")
# What changes on any machine at any time, and what is the test's own.
PASSING = (
    "/check",
    "/tmp",
    "/root",
    "/var/tmp",
    "/var/log",
    "/var/cache",
    "/var/lib/apt",
    "/var/lib/check",
    "/var/lib/clearml-server",
    "/var/lib/docker",
    "/var/lib/containerd",
    "/etc/cni",
    "/etc/docker",
    "/var/lib/dpkg",
    "/var/lib/systemd",
)


def check(_boot):
    BEFORE.write_text(json.dumps(everything()))
    install("/check/clearmld.deb")
    state = show(host.UNIT, "UnitFileState", "ActiveState", "StatusText")
    up = (state["UnitFileState"], state["ActiveState"])
    holds("the service is then enabled and up, as packages do it", up == ("enabled", "active"), state)
    holds("and says that it is not configured", "not configured" in state["StatusText"], state)
    profile = pathlib.Path(f"/proc/{main_pid()}/attr/current").read_text().strip()
    holds("AppArmor confines it", profile == "clearmld (enforce)", profile)
    paths = ["/usr/lib/systemd/system/clearmld.service", "/usr/lib/systemd/system/clearml.slice"]
    verified = call("systemd-analyze", "verify", "--man=no", *paths)
    said = verified.stdout + verified.stderr
    holds("systemd-analyze verify has nothing to say about the units", not said and verified.returncode == 0, said)


def install(deb):
    """Without a network: what the package depends on is there."""
    environment = {"DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = call("apt-get", "install", "--yes", "--quiet", deb, env=environment)
    holds(f"apt-get install {deb} succeeds", done.returncode == 0, done.stdout + done.stderr)


def everything():
    """Every path that a package could leave behind, and every user and group."""
    prune = [word for path in PASSING for word in ("-path", path, "-prune", "-o")]
    files = must("find", "/", "/run", "-xdev", "(", *prune, "-name", "__pycache__", "-prune", ")", "-o", "-print")
    # Of /run only what is ours.
    files = [path for path in files.splitlines() if not path.startswith("/run/") or "clearm" in path]
    users = [line.split(":")[0] for name in ("passwd", "group") for line in open(f"/etc/{name}")]
    return {"files": sorted(set(files)), "users": sorted(set(users))}
