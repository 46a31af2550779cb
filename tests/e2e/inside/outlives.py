"""What confines a run, and that it goes on while the daemon is restarted, killed and replaced."""

import os
import pathlib
import signal

import host
import installed
import runs
from host import ask, holds, identity, log, main_pid, must, running, settled, submit, until, unit_of


def check(_boot):
    task = submit("/check/counting.sh")
    run = running(task)
    runs.what_a_run_is(run)
    holds("and with a filter of system calls", host.status(run["stage_pid"])["Seccomp"] == "2", run)
    program = identity(run["stage_pid"])
    shim = identity(main_pid(unit_of(run)))

    def after(how, act):
        before = main_pid()
        act()
        now = until("clearmld is active again", lambda: runs.back(before), 30)
        same = identity(program[0]) == program and identity(shim[0]) == shim
        holds(f"{how} leaves the program as it is", same and now != before, (before, now, identity(program[0])))
        found = until("the run is adopted", lambda: ask("run", "show", task))
        holds("and the daemon that comes up knows the run", found["live"] and found["id"] == run["id"], found)

    after("systemctl restart clearmld", lambda: must("systemctl", "restart", host.UNIT))
    after("kill -9 of the daemon", lambda: os.kill(main_pid(), signal.SIGKILL))
    after("an upgrade of the package", lambda: installed.install("/check/newer.deb"))
    runs_now = pathlib.Path(f"/proc/{main_pid()}/exe").read_bytes()
    holds("the daemon is then that of the newer package", runs_now.endswith(b"the newer one"), must("dpkg", "-l"))
    the_end(task, run)


def the_end(task, run):
    os.kill(run["stage_pid"], signal.SIGUSR1)
    end = settled(task)["end"]
    holds("after all that the exit code is the program's", (end["cause"], end["exit_code"]) == ("exit_code", 7), end)
    text = log(task)
    last = [line for line in text.splitlines() if line.startswith("ended after ")]
    holds(
        "and the server has the whole output, each line once",
        len(last) == 1 and host.lines_are_complete(text, int(last[0].split()[2])),
        text[-400:],
    )
