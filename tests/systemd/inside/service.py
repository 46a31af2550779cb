"""The shipped units, and clearmld.service by itself: start, status, reload, the socket."""

import grp
import json
import os
import pathlib
import shutil
import stat
import time

import host
import setup
from host import call, ctl, holds, main_pid, must, show, told, until

UNITS = "/usr/lib/systemd/system"
SOCKET = "/run/clearmld/clearmld.sock"
CONFIGURATION = pathlib.Path("/etc/clearmld/clearml.conf")
DECLARED = pathlib.Path("/etc/clearmld/workers.d/again.toml")


def check():
    installed()
    units()
    setup.check()
    # From here on: journald takes only so many lines from PID 1 in half a minute.
    must("systemctl", "log-level", "debug")
    a_broken_configuration()
    start()
    the_socket()
    reload()
    doctor()


def installed():
    # No power cut comes while it is unpacked.
    must("dpkg", "--force-unsafe-io", "--install", "/check/clearmld.deb")
    state = show(host.UNIT, "ActiveState", "UnitFileState")
    holds("the package brings the service up", state == {"ActiveState": "active", "UnitFileState": "enabled"}, state)
    # As if nobody had been here.
    must("systemctl", "disable", "--quiet", "--now", host.UNIT)
    shutil.copy("/check/clearmld.toml", CONFIGURATION.with_name("clearmld.toml"))


def units():
    # The manual pages come with the packages; tests/packages looks at them.
    paths = [f"{UNITS}/clearmld.service", f"{UNITS}/clearml.slice"]
    verified = call("systemd-analyze", "verify", "--man=no", *paths)
    said = verified.stdout + verified.stderr
    holds("systemd-analyze verify has nothing to say about the units", not said and verified.returncode == 0, said)
    host.rated(paths[0], 30)
    members = grp.getgrnam("clearml").gr_mem
    holds("the user clearml-run is not in group clearml", "clearml-run" not in members, members)


def a_broken_configuration():
    CONFIGURATION.write_text("api { api_server = \n")
    started = call("systemctl", "start", host.UNIT)
    state = show(host.UNIT, "ActiveState", "NRestarts")
    holds("with a broken clearml.conf, systemctl start fails", started.returncode != 0, state)
    holds("and is not tried again and again", state == {"ActiveState": "failed", "NRestarts": "0"}, state)
    CONFIGURATION.unlink()
    must("systemctl", "reset-failed", host.UNIT)


def start():
    began = time.time()
    must("systemctl", "enable", "--quiet", host.UNIT)
    must("systemctl", "start", host.UNIT)
    took = time.time() - began
    answered = call("clearmlctl", "status")
    holds("systemctl start returns when the socket answers", answered.returncode == 0, answered.stderr)
    print(f"# {took:.2f} s")
    holds("because the daemon said READY=1", told("READY=1", began), "no such notification")
    said = show(host.UNIT, "StatusText", "Type", "ActiveState")
    holds("systemctl status shows what the daemon is at", "0 workers, 0 runs" in said["StatusText"], said)
    # Half of the limit and more, so that one beat at least was due.
    until("a watchdog beat", lambda: told("WATCHDOG=1", began), 5)
    launcher = host.ask("status")["launcher"]
    holds("runs are started as units of systemd", "systemd" in str(launcher), launcher)


def the_socket():
    found = os.stat(SOCKET)
    owner = (found.st_uid, grp.getgrgid(found.st_gid).gr_name, oct(stat.S_IMODE(found.st_mode)))
    holds("the socket is 0660 root:clearml", owner == (0, "clearml", "0o660"), owner)
    outsider = host.as_user("nobody", "clearmlctl", "status")
    holds("a user outside group clearml is denied", outsider.returncode == 4, outsider)
    insider = host.as_user("nobody", "clearmlctl", "status", groups=[grp.getgrnam("clearml").gr_gid])
    holds("a user in group clearml is served", insider.returncode == 0, insider)
    task_user = host.as_user("clearml-run", "clearmlctl", "status")
    holds("the user that tasks run as is denied", task_user.returncode == 4, task_user)


def reload():
    before = (main_pid(), show(host.UNIT, "StatusText"))
    began = time.time()
    must("systemctl", "reload", host.UNIT)
    holds("systemctl reload goes through RELOADING=1", told("RELOADING=1", began), "no such notification")
    holds("and ends with READY=1", told("READY=1", began), "no such notification")
    after = (main_pid(), show(host.UNIT, "StatusText"))
    holds("the same process goes on after it, with the same status", before == after, (before, after))
    CONFIGURATION.write_text("api { api_server = \n")
    call("systemctl", "reload", host.UNIT)
    served = call("clearmlctl", "status")
    holds(
        "it serves on when the new configuration is broken", main_pid() == before[0] and served.returncode == 0, served
    )
    CONFIGURATION.unlink()
    must("systemctl", "reload", host.UNIT)
    declared()
    ctl("worker", "add", "--name", "w", "--cpu-only", "--queue", "default")


def doctor():
    """Each check works under the confinement of the shipped unit."""
    asked = call("clearmlctl", "doctor", "--output", "json")
    found = {finding["check"]: finding for finding in json.loads(asked.stdout or "[]")}
    for check in ["daemon", "server", "clock", "sandbox_dns", "sandbox_server", "kernel", "systemd", "permissions"]:
        holds(f"clearmlctl doctor finds {check} to be well", found.get(check, {}).get("verdict") == "ok", found)
    seen = found.get("sandbox", {}).get("detail", "")
    holds("its program in a sandbox was confined", "NoNewPrivs: 1" in seen and "uid 0 " not in seen, found)
    left = [unit for unit in call("systemctl", "list-units", "--all", "--plain").stdout.split() if "run-doctor" in unit]
    holds("and no unit of it is left", not left, left)


def declared():
    """The worker that reboots.py runs tasks on that are to come back."""
    DECLARED.parent.mkdir(exist_ok=True)
    DECLARED.write_text('queues = ["again"]\ncreate_queue = true\ncpu_only = true\nrequeue_on_host_loss = true\n')
    plan = call("clearmlctl", "plan", "--exit-code")
    name = "clearmld-test:again"
    holds("clearmlctl plan shows a new file", plan.returncode == 8 and f"+ {name}" in plan.stdout, plan)
    holds("and changes nothing", name not in ctl("worker", "list"), plan)
    must("systemctl", "reload", host.UNIT)
    shown = until("the declared worker", lambda: host.ask("worker", "show", name))
    holds("systemctl reload adds the worker", shown["declared_in"] == str(DECLARED), shown)
    holds("then there is nothing to do", call("clearmlctl", "plan", "--exit-code").returncode == 0, ctl("plan"))
    DECLARED.with_name("broken.toml").write_text("colour = 1\n")
    done = call("clearmlctl", "reload")
    holds("a broken file is refused by name and line", "line 1: colour" in done.stdout and done.returncode == 1, done)
    holds("and shown in the status", "broken.toml" in ctl("status"), ctl("status"))
    DECLARED.with_name("broken.toml").unlink()
    ctl("reload")
    removed = call("clearmlctl", "worker", "remove", name)
    holds("a declared worker is not removed by hand", str(DECLARED) in removed.stderr, removed)
