"""The machine reboots while a task runs."""

import json
import pathlib

import host
from host import ask, holds, journal, log, running, settled, submit, until

KEPT = pathlib.Path("/var/lib/check/reboot.json")


def check(boot):
    if boot == 0:
        before()
    else:
        after(json.loads(KEPT.read_text()))


def before():
    task = submit("/check/counting.sh", name="at the reboot")
    run = running(task)
    until("some output", lambda: "line 3\n" in log(task))
    KEPT.write_text(json.dumps({"task": task, "run": run["id"]}))


def after(kept):
    entries = journal("--boot=-1", f"CLEARML_TASK_ID={kept['task']}", "CLEARML_CAUSE=host_shutdown")
    kinds = [entry["MESSAGE"].split(":")[0] for entry in entries]
    unit = [entry["MESSAGE"] for entry in journal("--boot=-1", f"--unit={host.UNIT}")][-15:]
    holds("a reboot ends a run with cause host_shutdown", "run_exited" in kinds, unit)
    holds("which is reported before the daemon goes", "run_settled" in kinds, unit)
    until("clearmld is up again by itself", lambda: ask("status"))
    ended = settled(kept["task"])
    holds("the next boot finds the run settled", ended["end"]["cause"] == "host_shutdown", ended)
    at_server = ask("task", "show", kept["task"])["task"]
    holds("and its task stopped", at_server["status"] == "stopped", at_server)
    text = log(kept["task"])
    saved = [line for line in text.splitlines() if line.startswith("saved at ")]
    holds(
        "with the whole output",
        len(saved) == 1 and host.lines_are_complete(text, int(saved[0].split()[2])),
        text[-400:],
    )
    worker = ask("worker", "show", "w")
    holds("the worker is back by itself", worker["intent"] == "active", worker)
    run = running(submit("/check/counting.sh", name="after the reboot"))
    holds("and serves", run["worker"] == "w", run)
