"""The launcher's own tests (tests/shim/launch.rs) that need a PID 1 that is systemd."""

import os
import re

import host

TESTS = "/check/shim-tests"
SHIM = {"CARGO_BIN_EXE_clearmld-shim": "/check/clearmld-shim"}


def check():
    done = host.call(TESTS, "--ignored", "under_systemd", "--test-threads=1", cwd="/", env=os.environ | SHIM)
    held = re.findall(r"^test (?:\w+::)*(under_systemd_\w+) \.\.\. ok$", done.stdout, re.M)
    host.holds("the launcher's own tests pass", done.returncode == 0 and held, done.stdout + done.stderr)
    for name in held:
        host.holds(name.replace("_", " "), True)
