"""The launcher's own tests (tests/shim/launch.rs) that need a PID 1 that is systemd."""

import re

import host

TESTS = "/check/shim-tests"


def check():
    done = host.call(TESTS, "--ignored", "under_systemd", "--test-threads=1", cwd="/")
    held = re.findall(r"^test (?:\w+::)*(under_systemd_\w+) \.\.\. ok$", done.stdout, re.M)
    host.holds("the launcher's own tests pass", done.returncode == 0 and held, done.stdout + done.stderr)
    for name in held:
        host.holds(name.replace("_", " "), True)
