"""How a check speaks: a sentence a behaviour."""

import os
import subprocess

# What tools say must not depend on who runs them.
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": os.environ.get("HOME", "/root"),
    "LC_ALL": "C.UTF-8",
    "MANWIDTH": "80",
    "DEBIAN_FRONTEND": "noninteractive",
}


class Broken(Exception):
    """A behaviour that does not hold."""


HELD = []


def holds(sentence, condition, detail=""):
    """Says whether a behaviour holds; the first that does not ends the checks."""
    if not condition:
        print(f"not ok {sentence}", flush=True)
        raise Broken(f"{sentence}: {detail}")
    HELD.append(sentence)
    print(f"ok {sentence}", flush=True)


def call(*command, **options):
    options.setdefault("env", ENVIRONMENT)
    options.setdefault("timeout", 120)
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([str(word) for word in command], text=True, capture_output=True, **options)


def must(*command, **options):
    done = call(*command, **options)
    if done.returncode != 0:
        raise Broken(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout
