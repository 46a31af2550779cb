"""The journal: a run's output and what is said of it, the catalog, audit records, floods, a journald that hangs."""

import datetime
import os
import signal
import time

import host
from host import call, ctl, holds, log, main_pid, must, settled, submit, until, unit_of

JOURNALD = "systemd-journald.service"
LEFT_OUT = "b2a01b38bdadacb7948618007ca8fdae"
FAILED = "80e274d4cb21f8d34cb58a660a5d9779"


def check():
    # At level debug PID 1 logs from the child that becomes the shim, and journald keeps what it has seen of a process
    # for a second or more: then the shim is in init.scope to it. And for each line PID 1 would wait for a journald that
    # hangs.
    must("systemctl", "log-level", "info")
    the_catalog()
    lines_of_a_task()
    stamps()
    orders()
    a_flood()
    a_journald_that_hangs()
    must("systemctl", "log-level", "debug")


def the_catalog():
    updated = call("journalctl", "--update-catalog")
    said = updated.stdout + updated.stderr
    holds("journalctl takes the catalog without a word", updated.returncode == 0 and not said, said)
    listed = [line for line in must("journalctl", "--list-catalog").splitlines() if " clearmld: " in line]
    with open("/usr/lib/systemd/catalog/clearmld.catalog") as file:
        written = [line for line in file if line.startswith("-- ")]
    holds("and has each of its entries", len(listed) == len(written) > 30, (len(listed), len(written)))


def journal(*matches):
    """With all that was sent until now."""
    must("journalctl", "--sync")
    return host.journal(*matches)


def printed(*matches):
    return [e["MESSAGE"] for e in journal("SYSLOG_IDENTIFIER=clearml-task", *matches)]


def lines_of_a_task():
    task = submit("/check/few.sh")
    run = settled(task)
    unit = unit_of(run)
    wanted = [f"number {number}" for number in range(1, 21)]
    found = until("the lines", lambda: [m for m in printed(f"CLEARML_TASK_ID={task}") if "number" in m])
    holds("journalctl CLEARML_TASK_ID=… shows what the program printed", found == wanted, found)
    entries = journal("-u", unit)
    said = [e["MESSAGE"] for e in entries if e.get("SYSLOG_IDENTIFIER") == "clearml-task"]
    holds("journalctl -u of the run's unit shows it too", [m for m in said if "number" in m] == wanted, said)
    kinds = [e["MESSAGE"].split(":")[0] for e in entries if e.get("SYSLOG_IDENTIFIER") == "clearmld"]
    wanted = ["run_claimed", "run_started", "run_exited", "run_settled"]
    holds("and what the daemon says of the run stands beside it", kinds == wanted, kinds)
    holds("the program itself cannot reach journald", "journald is out of reach" in said, said)
    explained = must("journalctl", "--no-pager", "-x", f"MESSAGE_ID={FAILED}", f"CLEARML_TASK_ID={task}")
    parts = ("Subject: The program of a task failed", f"The program of task {task} ended", f"run logs {run['id']}")
    holds("journalctl -x says what an end means and what to do", all(p in explained for p in parts), explained)


def stamps():
    unit = unit_of(settled(submit("/check/lasting.sh")))
    found = {(e["_UID"], e["_COMM"], e["MESSAGE"]) for e in journal(f"_SYSTEMD_UNIT={unit}")}
    holds("journald's own stamps say that it comes from there", ("0", "clearmld-shim", "lasting") in found, found)


def orders():
    ctl("drain")
    ctl("resume")
    found = journal("-t", "clearmld-audit", "CLEARML_AUDIT_RPC=Host.Resume")
    wanted = {
        "CLEARML_AUDIT_UID": "0",
        "CLEARML_AUDIT_EXE": "/usr/bin/clearmlctl",
        "CLEARML_AUDIT_RESULT": "ok",
        "_SYSTEMD_UNIT": host.UNIT,
        "PRIORITY": "5",
    }
    holds("journalctl -t clearmld-audit shows who gave which order", found and wanted.items() <= found[-1].items(), found)


def a_flood():
    must("systemd-run", "--quiet", "--wait", "--unit=neighbour", "sh", "-c", "for i in $(seq 200); do echo before $i; done")
    task = submit("/check/flood.sh")
    run = settled(task)
    must("systemd-run", "--quiet", "--wait", "--unit=neighbour", "sh", "-c", "echo after")
    text = log(task)
    wanted = [f"number {number}" for number in range(1, 200_001)]
    whole = [line for line in text.splitlines() if line.startswith("number ")] == wanted
    holds("of 200,000 lines the server has each", whole, len(text))
    entries = journal(f"CLEARML_RUN_ID={run['id']}", "SYSLOG_IDENTIFIER=clearml-task")
    told = [e for e in entries if e.get("MESSAGE_ID") == LEFT_OUT]
    passed = len([e for e in entries if e["MESSAGE"].startswith("number ")])
    left_out = sum(int(e["CLEARML_LINES"]) for e in told)
    holds("the journal has some, and one line for the rest", len(told) == 1 and 500 <= passed <= 1500, (told, passed))
    holds("which counts them exactly", passed + left_out == 200_000, (passed, left_out))
    until("the neighbour's last word", lambda: "after" in neighbour())
    wanted = [f"before {i}" for i in range(1, 201)] + ["after"]
    holds("and has all that another unit said before and after", neighbour() == wanted, neighbour()[-3:])
    suppressed = [e for e in journal("-u", JOURNALD) if unit_of(run) in e["MESSAGE"] and "Suppressed" in e["MESSAGE"]]
    holds("journald's own limit was not needed", not suppressed, suppressed)


def neighbour():
    return [e["MESSAGE"] for e in journal("-t", "sh")]


def a_journald_that_hangs():
    usual = duration(settled(submit("/check/many.sh")))
    os.kill(main_pid(JOURNALD), signal.SIGSTOP)
    try:
        began = time.monotonic()
        task = submit("/check/many.sh")
        run = settled(task)
        took = time.monotonic() - began
        ctl("drain")
        ctl("resume")
    finally:
        os.kill(main_pid(JOURNALD), signal.SIGCONT)
    print(f"# {usual} ms as a rule, {duration(run)} ms while journald hangs, {took:.1f} s with all round it")
    in_time = duration(run) < usual + 2000
    holds("while journald hangs a program ends in its usual time", in_time, (usual, duration(run)))
    wanted = [f"number {number}" for number in range(1, 50_001)]
    found = [line for line in log(task).splitlines() if line.startswith("number ")]
    holds("nothing of its output is missing at the server", found == wanted, len(found))
    kept = call("clearmlctl", "run", "logs", run["id"]).stdout.splitlines()
    holds("nor on this host", [line for line in kept if line.startswith("number ")] == wanted, len(kept))
    again = lambda: len(journal("-t", "clearmld-audit", "CLEARML_AUDIT_RPC=Host.Resume")) == 2
    until("the record of an order that was given meanwhile", again)
    kinds = [e["MESSAGE"].split(":")[0] for e in journal(f"CLEARML_TASK_ID={task}", "SYSLOG_IDENTIFIER=clearmld")]
    wanted = ["run_claimed", "run_started", "run_exited", "run_settled"]
    holds("and what the daemon had to say meanwhile is there when it reads again", kinds == wanted, kinds)


def duration(run):
    """From the start to the end of the run's processes, in milliseconds."""
    started, ended = (datetime.datetime.fromisoformat(run[name]) for name in ("started_at", "ended_at"))
    return round((ended - started).total_seconds() * 1000)
