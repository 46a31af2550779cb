"""Processes that would rather stay. All have the marker among their arguments; how this ends is the second argument."""

import ctypes
import os
import signal
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
ATTACH = 16
NEW_USER_AND_PID = 0x30000000


def linger():
    while True:
        time.sleep(1000)


def born(work):
    """A child; this comes back when it has got as far as it wants."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        try:
            work(lambda: os.write(writer, b"x"))
            linger()
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 1) == b"x", f"{work.__name__} did not come up"
    os.close(reader)
    return pid


def detached(ready):
    os.setsid()
    if os.fork() == 0:
        os.setsid()
        ready()
        linger()
    os._exit(0)


def deaf(ready):
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    ready()


def stopped(ready):
    ready()
    os.kill(os.getpid(), signal.SIGSTOP)


def traced(ready):
    pid = born(lambda up: up())
    assert libc.ptrace(ATTACH, pid, None, None) == 0
    os.waitpid(pid, 0)
    ready()


def parent_of_zombies(ready):
    for _ in range(50):
        if os.fork() == 0:
            os._exit(0)
    ready()


def runner(ready):
    """Never the same process for long: one by one, nobody catches it."""
    ready()
    while True:
        if os.fork():
            os._exit(0)
        time.sleep(0.001)


def headless(ready):
    """Its first thread is gone, and the others go on."""
    threading.Thread(target=linger).start()
    ready()
    libc.syscall(ctypes.c_long(WORLD["calls"]["exit"]), ctypes.c_long(0))


def chain(ready, depth=60):
    if depth:
        born(lambda up: chain(up, depth - 1))
    ready()


def in_namespaces(ready):
    assert libc.unshare(NEW_USER_AND_PID) == 0
    born(lambda up: up())
    ready()


signal.signal(signal.SIGTERM, signal.SIG_IGN)
kinds = [detached, deaf, stopped, traced, parent_of_zombies, runner, headless, chain]
for kind in kinds + ([in_namespaces] if WORLD["namespaces"] else []):
    born(kind)
print("all are there", flush=True)
if sys.argv[2] == "exit":
    time.sleep(WORLD["seconds"])
    sys.exit(7)
linger()
