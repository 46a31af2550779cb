"""What the daemon does under the shipped unit and its AppArmor profile."""

import os
import shutil
import stat
import time

import gpus
import host
from host import ask, call, ctl, holds, identity, running, settled, submit, until
from server import api

LIBRARY = "libnvidia-ml.so.1"


def check(_boot):
    machine_figures()
    a_stubborn_task()
    nvml()


def machine_figures():
    def reported():
        found = [worker for worker in api("workers.get_all")["workers"] if worker["id"] == "w"]
        return found[0].get("machine_stats") if found else None

    # Reports are half a minute apart.
    figures = until("the worker's figures are at the server", reported)
    read = {name for name in ("cpu_usage", "memory_used", "memory_free", "disk_free_home") if figures.get(name)}
    holds("the server has the machine's figures", len(read) == 4, figures)


def a_stubborn_task():
    task = submit("/check/stubborn.sh", name="stubborn")
    run = running(task)
    program = identity(run["stage_pid"])
    began = time.monotonic()
    ctl("run", "stop", run["id"], "--grace", "3")
    ended = settled(task)
    holds("clearmlctl run stop ends a task that ignores SIGTERM", not identity(program[0]) == program, program)
    holds("with the operator as its cause", ended["end"]["cause"] == "operator", ended)
    text = host.log(task)
    holds("after it had been asked", "deaf" in text, text)
    print(f"# {time.monotonic() - began:.0f} s with a grace of 3 s")
    holds("the server has it as stopped", ask("task", "show", task)["task"]["status"] == "stopped", task)


def nvml():
    """A driver's library of ours, where the real one would be, and device nodes as a driver makes them."""
    shutil.copy(f"/check/nvml/{LIBRARY}", f"/usr/lib/{LIBRARY}")
    shutil.copy("/check/nvml/two.conf", f"/usr/lib/{LIBRARY}.conf")
    for name, minor in (("nvidia0", 0), ("nvidia1", 1), ("nvidiactl", 255)):
        os.mknod(f"/dev/{name}", stat.S_IFCHR | 0o666, os.makedev(195, minor))
        os.chmod(f"/dev/{name}", 0o666)
    ctl("gpu", "rescan")
    gpus.check()


def denials():
    """What AppArmor has refused the daemon in this boot."""
    said = call("journalctl", "--boot", "--quiet", "--dmesg", "--grep=apparmor=.DENIED.", "--output=cat").stdout
    refused = [line for line in said.splitlines() if 'profile="clearmld' in line]
    holds("AppArmor had nothing to refuse it", not refused, "\n".join(refused))
