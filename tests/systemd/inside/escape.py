"""The escape tests (tests/sandbox) against the daemon that is installed here: the same program, the same list."""

import os
import pathlib
import re

import host

TESTS = [path for path in ("/check/sandbox-tests", "/check/bin/sandbox-tests") if pathlib.Path(path).exists()]
INSTALLED = {"CLEARMLD_TEST_INSTALLED": "1"}


def check(modules=("hostile::", "leftovers::", "races::")):
    """One by one: each has workers of its own."""
    command = [*TESTS, *modules, "--test-threads=1", "--show-output"]
    done = host.call(*command, cwd="/", env=os.environ | INSTALLED, timeout=150 * host.PATIENCE)
    tried = re.findall("^a task that tries to .*: (?!not tried)", done.stdout, re.M)
    told = (done.stdout + done.stderr)[-6000:]
    host.holds(f"of {len(tried)} ways out of a sandbox none leads further than it may", done.returncode == 0 and tried, told)
    for name in re.findall(r"^test (?:\w+::)*(\w+) \.\.\. ok$", done.stdout, re.M):
        host.holds(name.replace("_", " "), True)
