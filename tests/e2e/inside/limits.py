"""What only a kernel with cgroup controllers can show."""

import os
import pathlib
import re

from host import call, holds

# By name: they are ignored elsewhere, for there are no controllers.
TESTS = ["out_of_memory_is_told_from_other_kills_and_spares_the_shim"]


def check(_boot):
    the_shims_own_tests()


def the_shims_own_tests():
    # Where they were built.
    shim = pathlib.Path(pathlib.Path("/check/shim-path").read_text().strip())
    shim.parent.mkdir(parents=True, exist_ok=True)
    os.symlink("/check/bin/clearmld-shim", shim)
    done = call("/check/bin/shim-tests", "--ignored", "--test-threads=1", *TESTS, cwd="/")
    held = re.findall(r"^test (?:\w+::)*(\w+) \.\.\. ok$", done.stdout, re.M)
    holds("the shim's own tests of limits pass", sorted(held) == sorted(TESTS), done.stdout + done.stderr)
    for name in held:
        holds(name.replace("_", " "), True)
    shim.unlink()
    for parent in shim.parents:
        if any(parent.iterdir()):
            break
        parent.rmdir()
