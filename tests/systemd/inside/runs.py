"""Runs as units: what they are, that they outlive the daemon, how they end."""

import os
import pathlib
import pwd
import signal
import time

import host
from host import (
    ask,
    call,
    holds,
    identity,
    journal,
    log,
    main_pid,
    must,
    running,
    settled,
    show,
    submit,
    told,
    until,
    unit_of,
)

COUNTING = "/check/counting.sh"
# What the shim needs is in src/host/launch/confinement.rs.
RUN_EXPOSURE = 58


def check():
    task = submit(COUNTING)
    run = running(task)
    what_a_run_is(run)
    it_outlives_the_daemon(task, run)
    the_end(task, run)
    the_journal(task, run)
    a_stopped_unit()
    a_python_task()


def what_a_run_is(run):
    unit, pid = unit_of(run), run["stage_pid"]
    said = show(unit, "ActiveState", "Slice", "ControlGroup", "Delegate", "MainPID")
    expected = (said["ActiveState"], said["Slice"], said["ControlGroup"], said["Delegate"])
    wanted = ("active", "clearml.slice", f"/clearml.slice/{unit}", "yes")
    holds("a task runs as a unit clearml-run-<run>.service in clearml.slice", expected == wanted, said)
    holds(
        "its program is in a cgroup of its own below the unit",
        host.cgroup(pid).startswith(f"{wanted[2]}/payload"),
        host.cgroup(pid),
    )
    rating(unit)
    holds("the shim is beside it", host.cgroup(said["MainPID"]) == f"{wanted[2]}/shim", host.cgroup(said["MainPID"]))
    holds(
        "the daemon is elsewhere", host.cgroup(main_pid()) == "/system.slice/clearmld.service", host.cgroup(main_pid())
    )
    status = host.status(pid)
    user = pwd.getpwnam("clearml-run")
    holds("the program runs as clearml-run", status["Uid"].split() == [str(user.pw_uid)] * 4, status["Uid"])
    holds(
        "with its own group and no other",
        (status["Gid"].split(), status["Groups"].split()) == ([str(user.pw_gid)] * 4, []),
        (status["Gid"], status["Groups"]),
    )
    sets = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    holds("without any capability, CapBnd included", not any(sets.values()), sets)
    holds("and with NoNewPrivs", status["NoNewPrivs"] == "1", status["NoNewPrivs"])


def rating(unit):
    # What the daemon has asked for, as PID 1 wrote it down.
    host.rated(f"/run/systemd/transient/{unit}", RUN_EXPOSURE)
    lacking = [text for text in ask("status")["missing"] if "confine" in text]
    holds("this systemd knows all that confines it", not lacking, lacking)


def it_outlives_the_daemon(task, run):
    program = identity(run["stage_pid"])
    shim = identity(main_pid(unit_of(run)))

    def restarted(how, act):
        before, began = main_pid(), time.monotonic()
        act()
        after = until("clearmld is active again", lambda: back(before), 30)
        took = time.monotonic() - began
        same = identity(program[0]) == program and identity(shim[0]) == shim
        holds(f"{how} leaves the program as it is", same and after != before, (before, after, identity(program[0])))
        print(f"# {took:.2f} s until it is ready again")
        found = until("the run is adopted", lambda: ask("run", "show", task))
        holds(f"and the daemon that comes up knows the run", found["live"] and found["id"] == run["id"], found)

    began = time.time()
    restarted("systemctl restart clearmld", lambda: must("systemctl", "restart", host.UNIT))
    told_of = [e["MESSAGE"] for e in journal("_PID=1", f"--since=@{began:.6f}") if "219/CGROUP" in e["MESSAGE"]]
    state = show(host.UNIT, "Result", "NRestarts")
    clean = state == {"Result": "success", "NRestarts": "0"}
    holds("a restart beside a living run does not end in 219/CGROUP", clean and not told_of, (state, told_of))
    holds("the daemon said STOPPING=1", told("STOPPING=1", began), "no such notification")
    restarted("kill -9 of the daemon", lambda: os.kill(main_pid(), signal.SIGKILL))
    restarted("systemctl stop and start", stop_and_start)
    began = time.time()
    restarted("a daemon that hangs is restarted by the watchdog, which", lambda: os.kill(main_pid(), signal.SIGSTOP))
    timeouts = [e for e in journal("_PID=1", f"--since=@{began:.6f}") if "Watchdog timeout" in e["MESSAGE"]]
    holds("PID 1 says that it was the watchdog", timeouts, "no line of it")
    must("systemctl", "daemon-reload")
    holds("daemon-reload leaves the program as it is", identity(program[0]) == program, identity(program[0]))


def back(before):
    pid = main_pid()
    return pid if pid not in (0, before) and show(host.UNIT, "ActiveState")["ActiveState"] == "active" else None


def stop_and_start():
    must("systemctl", "stop", host.UNIT)
    left = [pid for pid in os.listdir("/proc") if pid.isdigit() and program_of(pid) == "/usr/bin/clearmld"]
    holds("systemctl stop leaves no process of the daemon", not left, left)
    time.sleep(1)
    must("systemctl", "start", host.UNIT)


def program_of(pid):
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return None


def the_end(task, run):
    os.kill(run["stage_pid"], signal.SIGUSR1)
    ended = settled(task)
    end = ended["end"]
    holds("after all that the exit code is the program's", (end["cause"], end["exit_code"]) == ("exit_code", 7), end)
    at_server = ask("task", "show", task)["task"]
    told = (at_server["status"], "exit code 7" in at_server["status_reason"])
    holds("the server knows it", told == ("failed", True), at_server)
    text = log(task)
    last = [line for line in text.splitlines() if line.startswith("ended after ")]
    holds(
        "the server has the whole output, each line once",
        len(last) == 1 and host.lines_are_complete(text, int(last[0].split()[2])),
        text[-400:],
    )
    nothing_is_left(run)


def nothing_is_left(run):
    unit = unit_of(run)
    until("the unit is gone", lambda: show(unit, "LoadState")["LoadState"] == "not-found")
    holds("nothing is left of the unit", not pathlib.Path(f"/sys/fs/cgroup/clearml.slice/{unit}").exists(), unit)


def the_journal(task, run):
    wanted = {
        "CLEARML_TASK_ID": task,
        "CLEARML_RUN_ID": run["id"],
        "CLEARML_WORKER": run["worker"],
        "CLEARML_QUEUE": "default",
    }
    for field, value in wanted.items():
        found = [e for e in journal(f"{field}={value}", "_COMM=clearmld") if "run_started" in e["MESSAGE"]]
        holds(
            f"journalctl {field}=… finds the start of the run",
            len(found) == 1 and wanted.items() <= found[0].items(),
            found,
        )
    found = journal("CLEARML_CAUSE=exit_code", f"CLEARML_TASK_ID={task}")
    kinds = [entry["MESSAGE"].split(":")[0] for entry in found]
    holds("journalctl CLEARML_CAUSE=… finds its end", kinds == ["run_exited", "run_settled"], found)


def a_stopped_unit():
    task = submit(COUNTING)
    run = running(task)
    began = time.monotonic()
    must("systemctl", "stop", unit_of(run))
    took = time.monotonic() - began
    ended = settled(task)
    holds(
        "systemctl stop of a run's unit ends it with cause host_shutdown",
        ended["end"]["cause"] == "host_shutdown",
        ended,
    )
    at_server = ask("task", "show", task)["task"]
    holds("the server has it as stopped", at_server["status"] == "stopped", at_server)
    text = log(task)
    holds("the program could save its work first", "saved at" in text, text[-400:])
    print(f"# {took:.2f} s")
    nothing_is_left(run)


def a_python_task():
    began = time.monotonic()
    task = submit("/check/look.py", name="python")
    ended = settled(task)
    text = log(task)
    holds("a Python task completes in an environment of its own", ended["end"]["cause"] == "completed", (ended, text))
    holds("it sees neither the state directory nor the socket", "sees nothing" in text, text)
    print(f"# {time.monotonic() - began:.1f} s")
    failed = call("systemctl", "list-units", "--failed", "--plain", "--no-legend", "clearml*").stdout
    holds("no unit of ours has failed", not failed, failed)
