"""What becomes of workers and runs when the host goes down, in order and without."""

import json
import pathlib
import sys

import host
from host import ask, call, ctl, holds, journal, log, must, running, settled, submit, until, unit_of

COUNTING = "/check/counting.sh"
SLOW = "/check/slow.sh"
KEPT = pathlib.Path("/check/kept.json")


def cut_the_power():
    task = submit(COUNTING, "at the power cut")
    run = running(task)
    again = submit(COUNTING, "comes back", queue="again")
    KEPT.write_text(json.dumps({"task": task, "run": run["id"], "again": again, "again_run": running(again)["id"]}))
    sys.stdout.flush()
    must("sync")
    # Nothing is stopped, nobody is told.
    call("systemctl", "reboot", "--force", "--force")


def after_the_power_cut():
    kept = json.loads(KEPT.read_text())
    # The boot starts it; this waits until it is ready.
    must("systemctl", "start", host.UNIT)
    worker = ask("worker", "show", "w")
    holds("after a reboot the worker is back by itself", worker["intent"] == "active", worker)
    ended = settled(kept["task"])
    holds("a run whose host rebooted is lost", ended["id"] == kept["run"] and ended["end"]["cause"] == "lost", ended)
    at_server = ask("task", "show", kept["task"])["task"]
    holds(
        "the server has its task as failed, with the reason",
        (at_server["status"], "lost" in at_server["status_reason"]) == ("failed", True),
        at_server,
    )
    run = running_again(kept)
    holds("one whose worker says so is put back and runs again", run["worker"] == "clearmld-test:again", run)


def running_again(kept):
    """The Run after the one that the host took down."""

    def ask_for_it():
        run = ask("run", "show", kept["again"])
        return run if run and run["id"] != kept["again_run"] and run["stage"] == "program" else None

    return until("the task runs again", ask_for_it, 60)


def power_off():
    again = json.loads(KEPT.read_text())["again"]
    task = submit(COUNTING, "at the power off")
    run = running(task)
    until("some output", lambda: "line 3\n" in log(task))
    holds("the worker takes the next task", run["worker"] == "w", run)
    # The first worker is idle for the two seconds that this one's task takes: long enough to take what waits.
    ctl("worker", "add", "--name", "w2", "--cpu-only", "--queue", "default")
    slow = submit(SLOW, "ends slowly")
    running(slow)
    after = host.show(unit_of(run), "After")["After"]
    holds("a run's unit is ordered after clearmld.service", host.UNIT in after, after)
    waiting = submit(COUNTING, "waits")
    KEPT.write_text(
        json.dumps(
            {
                "task": task,
                "run": run["id"],
                "waiting": waiting,
                "slow": slow,
                "again": again,
                "again_run": running(again)["id"],
            }
        )
    )
    sys.stdout.flush()
    must("systemctl", "poweroff")


def after_the_power_off():
    kept = json.loads(KEPT.read_text())
    entries = journal("--boot=-1", f"CLEARML_TASK_ID={kept['task']}", "CLEARML_CAUSE=host_shutdown")
    kinds = [entry["MESSAGE"].split(":")[0] for entry in entries]
    unit = journal("--boot=-1", "--unit=clearmld.service")
    messages = [entry["MESSAGE"] for entry in unit][-15:]
    holds("systemctl poweroff ends a run with cause host_shutdown", "run_exited" in kinds, messages)
    holds("which is reported before the daemon goes", "run_settled" in kinds, messages)
    slow = journal("--boot=-1", f"CLEARML_TASK_ID={kept['slow']}", "CLEARML_CAUSE=host_shutdown")
    holds("so is one that takes two seconds to end", "run_settled" in "".join(e["MESSAGE"] for e in slow), messages)
    untouched = journal("--boot=-1", f"CLEARML_TASK_ID={kept['waiting']}")
    holds("a task that waited is not taken by a host that goes down", not untouched, [e["MESSAGE"] for e in untouched])
    errors = [entry["MESSAGE"] for entry in journal("--boot=-1", "_COMM=clearmld", "--priority=err")]
    holds("the daemon had no error to log in that boot", not errors, errors)
    must("systemctl", "start", host.UNIT)
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
    run = running(kept["waiting"])
    holds("the task that waited runs now", run["live"], run)
    entries = journal("--boot=-1", f"CLEARML_TASK_ID={kept['again']}", "CLEARML_CAUSE=host_shutdown")
    kinds = "".join(entry["MESSAGE"] for entry in entries)
    holds("one whose worker says so is put back before the host is down", "run_settled" in kinds, kinds or messages)
    text = log(kept["again"])
    holds("which its log tells", "goes back to the head of queue again" in text, text[-400:])
    back = running_again(kept)
    holds("and runs again after the boot", back["live"], back)
    must("systemctl", "stop", unit_of(back))
    settled(kept["again"])
    at_server = ask("task", "show", kept["again"])["task"]
    holds("but not when only its unit is stopped", at_server["status"] == "stopped", at_server)
    holds("the slow one has its whole output", "slowly saved" in log(kept["slow"]), log(kept["slow"]))
    must("systemctl", "stop", unit_of(run))
    settled(kept["waiting"])
