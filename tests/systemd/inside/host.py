"""This machine, as the checks ask it."""

import json
import os
import pathlib
import pwd
import subprocess
import sys
import time

UNIT = "clearmld.service"

# How slow this machine is: how often to look again, in seconds, and how much longer than usual to wait.
PAUSE = 0.05
PATIENCE = 1


class Broken(Exception):
    """A behaviour that does not hold."""


def holds(sentence, condition, detail=""):
    """Says whether a behaviour holds; the first that does not ends the checks."""
    if not condition:
        print(f"not ok {sentence}")
        raise Broken(f"{sentence}: {detail}")
    print(f"ok {sentence}")


def call(*command, **options):
    options.setdefault("timeout", 60 * PATIENCE)
    return subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL, **options)


def must(*command, **options):
    done = call(*command, **options)
    if done.returncode != 0:
        raise Broken(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def until(what, ask, limit=20.0):
    """The first answer that is not empty."""
    limit *= PATIENCE
    end = time.monotonic() + limit
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Broken(f"waited {limit} s for: {what}")
        time.sleep(PAUSE)


# systemd


def version():
    return int(must("systemctl", "--version").split()[1])


def rated(path, threshold):
    """How exposed a unit is. systemd-analyze rates files since 250: an older one is given no say."""
    if version() < 250:
        print(f"# {path} is not rated by systemd {version()}")
        return
    asked = call("systemd-analyze", "security", "--offline=true", f"--threshold={threshold}", "--no-pager", path)
    overall = (asked.stdout.strip().splitlines() or [asked.stderr])[-1]
    holds(f"systemd-analyze security rates {pathlib.Path(path).name} at {threshold / 10} or better", asked.returncode == 0, asked.stdout)
    print(f"# {overall}")


def show(unit, *names):
    lines = must("systemctl", "show", unit, *(f"--property={name}" for name in names)).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def main_pid(unit=UNIT):
    return int(show(unit, "MainPID")["MainPID"])


def journal(*matches):
    lines = must("journalctl", "--quiet", "--output=json", "--no-pager", *matches).splitlines()
    return [json.loads(line) for line in lines]


def told(what, since):
    """Whether PID 1 had this notification (it logs them at level debug)."""
    entries = journal("_PID=1", f"--since=@{since:.6f}")
    return any("Got notification message" in e["MESSAGE"] and what in e["MESSAGE"] for e in entries)


# clearmld


def ctl(*arguments):
    return must("clearmlctl", *arguments)


def ask(*arguments):
    """One JSON document; nothing while the daemon is away."""
    done = call("clearmlctl", *arguments, "--output", "json")
    return json.loads(done.stdout) if done.returncode == 0 else None


def log(task):
    """The task's console, as the server has it."""
    lines = ctl("task", "log", task, "--output", "json").splitlines()
    return "".join(json.loads(line)["text"] for line in lines)


def submit(script, name="a task", queue="default", options=()):
    where = ("--name", name, "--queue", queue, "--output", "json")
    return json.loads(ctl("submit", *([script] if script else []), *options, *where))["task_id"]


def running(task):
    """The Run of a task, once its program runs."""

    def ask_for_it():
        run = ask("run", "show", task)
        if run and run["phase"] == "settled":
            raise Broken(f"the run has ended: {run}")
        return run if run and run["stage"] == "program" and run["stage_pid"] else None

    return until(f"task {task} runs its program", ask_for_it, 40)


def settled(task, limit=40):
    """The Run of a task, once the server knows its end."""

    def ask_for_it():
        run = ask("run", "show", task)
        return run if run and run["phase"] == "settled" else None

    return until(f"the end of task {task} is reported", ask_for_it, limit)


def unit_of(run):
    return f"clearml-run-{run['id']}.service"


# processes


def identity(pid):
    """Which process that is: a pid and when it started. Nothing if it is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else (pid, fields[19])


def status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def cgroup(pid):
    with open(f"/proc/{pid}/cgroup") as file:
        return next(line.rstrip("\n")[3:] for line in file if line.startswith("0::"))


def as_user(name, *command, groups=()):
    user = pwd.getpwnam(name)
    return call(*command, user=user.pw_uid, group=user.pw_gid, extra_groups=list(groups))


def lines_are_complete(text, last):
    """Whether `line 1` to `line LAST` are there, each once and in order."""
    found = [line for line in text.splitlines() if line.startswith("line ")]
    return found == [f"line {number}" for number in range(1, last + 1)]


def explain(error):
    """What a person wants to see next."""
    print(f"# {error}")
    said = call("journalctl", "--no-pager", "-n", "30", "_COMM=clearmld", "--output=short-precise").stdout
    units = call("journalctl", "--no-pager", "-n", "40", "-u", "clearml-run-*", "-t", "systemd").stdout
    units += call("journalctl", "--no-pager", "-n", "15", "-t", "clearml-task", "--output=short-precise").stdout
    state = call("systemctl", "status", "--no-pager", "-n", "0", UNIT, "clearml-run-*").stdout
    for line in (said + units + state).splitlines():
        print(f"# {line}")
    for entry in journal("_COMM=clearmld", "-n", "30"):
        if "CLEARML_ERROR" in entry:
            print(f"# {entry['MESSAGE']}")
    for directory, _, names in os.walk("/var/lib/clearmld/runs"):
        if "shim.log" in names:
            with open(os.path.join(directory, "shim.log")) as file:
                for line in file.read().splitlines()[-10:]:
                    print(f"# {directory}/shim.log: {line}")
    sys.stdout.flush()
