"""A hostile program, run exactly as a task's program is. Each attempt is a process of its own, and says in a line of JSON
what came of it: the name of an errno, the signal that ended it, `succeeded`, or what it found. ../attempts.txt has what
must come of it. WORLD is written in by whoever submits this; the parts beside this file follow."""

import ctypes
import errno
import json
import os
import select
import signal
import socket
import stat
import struct
import sys
import time

MARK = "attempt: "
PATIENCE = 20
ATTEMPTS = []
# Descriptors of the attempt itself.
OWN = []

libc = ctypes.CDLL(None, use_errno=True)


def attempt(sentence):
    """The attempt of that name; it comes back when it has succeeded, with what it found, if that is not plain."""

    def keep(work):
        ATTEMPTS.append((sentence, work))
        return work

    return keep


def tries(sentence, work, *arguments):
    attempt(sentence)(lambda: work(*arguments))


def outcome_of(work):
    """In a process of its own: it may be killed, or may never come back."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        OWN.append(writer)
        os.write(writer, told(work).encode())
        os._exit(0)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], PATIENCE)
    text = os.read(reader, 4096).decode() if ready else "hangs"
    os.close(reader)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    return text or (signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "no answer")


def told(work):
    try:
        found = work()
    except OSError as error:
        return errno.errorcode.get(error.errno, f"errno {error.errno}")
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "succeeded" if found in (None, 0) else str(found)


def found(things):
    return ", ".join(sorted(map(str, things))) or "nothing"


# What attempts are made of.


def checked(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def call(name, *arguments):
    ctypes.set_errno(0)
    number = WORLD["calls"][name] if isinstance(name, str) else name
    words = [argument if isinstance(argument, ctypes.c_void_p) else ctypes.c_long(argument) for argument in arguments]
    result = checked(libc.syscall(ctypes.c_long(number), *words))
    return result


def address(thing):
    return ctypes.c_void_p(ctypes.addressof(thing))


def text(string):
    """For a call that wants a string; kept, so that its address stays good."""
    kept = ctypes.create_string_buffer(string.encode())
    KEPT.append(kept)
    return address(kept)


KEPT = []


def read(path):
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    return None if os.read(descriptor, 64) else "nothing"


def write(path, string):
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, string.encode())


def create(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))


def connect(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        try:
            stream.connect(path)
        except OSError as error:
            # A socket of the other kind is there all the same.
            if error.errno != errno.EPROTOTYPE:
                raise
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
                datagrams.connect(path)


def received(name):
    """Descriptors that somebody at an abstract socket of the host gives away."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        stream.connect("\0" + name)
        stream.send(b"give")
        return socket.recv_fds(stream, 16, 8)[1]


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def contents(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def run_id():
    """As the cgroup tells it: .../clearml-run-ID.service/payload, or .../ID/payload."""
    own = next(line for line in contents("/proc/self/cgroup").splitlines() if line.startswith("0::"))
    unit = own.rpartition("/payload")[0].rpartition("/")[2]
    return unit.removeprefix("clearml-run-").removesuffix(".service")


STATE = WORLD["state"]
OWN_RUN = f"{STATE}/runs/{run_id()}"
