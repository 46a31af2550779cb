"""What only a kernel with cgroup controllers can show."""

import os
import pathlib
import re

from host import ask, call, ctl, holds, log, main_pid, settled, submit, unit_of

LIMITS = ("--memory", "256M", "--cpus", "0.5", "--pids", "64")


def check(_boot):
    the_shims_own_tests()
    ctl("worker", "add", "--name", "small", "--cpu-only", "--queue", "small", "--create-queue", *LIMITS)
    a_hog()
    a_fork_bomb()
    ctl("worker", "remove", "small")
    the_document()


def the_shims_own_tests():
    shim = {"CARGO_BIN_EXE_clearmld-shim": "/check/bin/clearmld-shim"}
    done = call(
        "/check/bin/shim-tests", "enforced::", "--ignored", "--test-threads=1", cwd="/", env=os.environ | shim
    )
    held = re.findall(r"^test (?:\w+::)*(\w+) \.\.\. ok$", done.stdout, re.M)
    holds("the shim's own tests of limits pass", done.returncode == 0 and held, done.stdout + done.stderr)
    for name in held:
        holds(name.replace("_", " "), True)


def a_hog():
    daemon = main_pid()
    task = submit("/check/hog.sh", name="hog", queue="small")
    run = settled(task)
    holds("a task beyond its worker's memory ends as out of memory", run["end"]["cause"] == "out_of_memory", run)
    at_server = ask("task", "show", task)["task"]
    told = (at_server["status"], "256 MiB" in at_server["status_reason"], "had used" in at_server["status_reason"])
    holds("the server has its limit and its peak", told == ("failed", True, True), at_server)
    # Each line comes before the memory is asked for.
    text = log(task)
    holds("nothing of its output is lost", "the last word\n" in text and "survived" not in text, text)
    killed = call("journalctl", "--quiet", "--dmesg", "--grep=Memory cgroup out of memory").stdout
    victims = set(re.findall(r"Killed process \d+ \(([^)]*)\)", killed))
    holds("the kernel took nobody but tasks", victims <= {"python3", "sh", "bash", "stage", "clearmld-shim"}, killed)
    holds("the daemon lives on", main_pid() == daemon, daemon)


def a_fork_bomb():
    task = submit("/check/bomb.sh", name="bomb", queue="small")
    run = settled(task)
    text = log(task)
    refused = "refused" in text and run["end"]["cause"] == "exit_code"
    holds("a fork bomb is refused the 65th process", refused, (run, text))
    count = int(re.search(r"refused after (\d+)", text)[1])
    holds("and has had no more than its limit", 40 <= count < 64, count)
    unit = pathlib.Path("/sys/fs/cgroup/clearml.slice", unit_of(run))
    holds("nothing of it is left", not unit.exists(), unit)


def the_document():
    """What docs/security.md has an operator type about limits."""
    text = pathlib.Path("/check/security.md").read_text()
    for block in re.findall(r"^```sh booted limits\n((?:.*\n)*?)^```$", text, re.M):
        done = call("bash", "-euo", "pipefail", "-c", block)
        typed = " && ".join(block.split("\n")[:-1])
        holds(f"docs/security.md: {typed}", done.returncode == 0, done.stdout + done.stderr)
    ctl("worker", "remove", "limited")
