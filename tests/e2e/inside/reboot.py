"""The machine reboots while tasks run."""

import json
import pathlib

import duties
import host
from host import ask, call, ctl, holds, journal, log, running, settled, submit, until

KEPT = pathlib.Path("/var/lib/check/reboot.json")
# A worker by file, whose tasks are to come back.
DECLARED = pathlib.Path("/etc/clearmld/workers.d/again.toml")


def check(boot):
    if boot == 0:
        before()
    else:
        after(json.loads(KEPT.read_text()))


def before():
    DECLARED.write_text('queues = ["again"]\ncreate_queue = true\ncpu_only = true\nrequeue_on_host_loss = true\n')
    ctl("reload")
    task = submit("/check/counting.sh", name="at the reboot")
    run = running(task)
    again = submit("/check/counting.sh", name="comes back", queue="again")
    first = running(again)
    until("some output", lambda: "line 3\n" in log(task))
    duties.denials()
    KEPT.write_text(json.dumps({"task": task, "run": run["id"], "again": again, "first": first["id"]}))


def after(kept):
    # It takes half a minute, and nobody waits for it here.
    call("systemctl", "start", "--no-block", "docker.service")
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

    def once_more():
        run = ask("run", "show", kept["again"])
        return run if run and run["id"] != kept["first"] and run["stage"] == "program" else None

    run = until("the task runs again", once_more, 60)
    holds("a task whose worker says so was put back and runs again", run["live"], run)
