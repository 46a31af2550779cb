"""A run whose directories another run still has open, when root's code removes them. First argument: which of the two."""

import ctypes
import os
import random
import socket
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
NAME = "\0" + WORLD["name"]
EXCHANGE = 2
COUNT = 1500
DEEPEST = 3000


def leave():
    places = []
    for top in ("/tmp/tree", "/clearml/code/tree", os.path.expanduser("~/tree")):
        os.mkdir(top)
        directory = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
        for number in range(COUNT):
            os.makedirs(f"{top}/{number}/a/b")
            open(f"{top}/{number}/a/b/file", "w").close()
            os.symlink(WORLD["precious"], f"{top}/link{number}")
        places += [directory, os.open(os.path.dirname(top), os.O_RDONLY | os.O_DIRECTORY)]
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(NAME)
    server.listen()
    print("leaver is ready", flush=True)
    stream, _ = server.accept()
    socket.send_fds(stream, [b"x"], places)
    # Until the other one races.
    stream.recv(1)


def exchange(directory, one, other):
    number = ctypes.c_long(WORLD["calls"]["renameat2"])
    names = [ctypes.create_string_buffer(name.encode()) for name in (one, other)]
    return libc.syscall(number, directory, names[0], directory, names[1], EXCHANGE) == 0


def race(directory, until):
    """Directories become links to what is root's, and links become directories, all the time."""
    swapped = 0
    while time.monotonic() < until:
        # Those that root's code comes to next.
        names = [name for name in os.listdir(directory) if name.isdigit()][:4]
        before = swapped
        for name in names * 50:
            swapped += exchange(directory, name, f"link{name}")
            if swapped == 200:
                os.write(1, b"swapped 200\n")
        if swapped == before:
            # It is root's by now; and this machine has other things to do, too.
            time.sleep(0.05)
        for name in (f".clearmld-removed-{random.randrange(40)}", f"new{random.randrange(40)}", "tree"):
            try:
                os.symlink(WORLD["precious"], name, dir_fd=directory)
            except OSError:
                pass


def grow(directory, _until):
    """Goes on making directories at the bottom, where root's code has not been yet."""
    for _ in range(DEEPEST):
        try:
            os.mkdir("deeper", dir_fd=directory)
            below = os.open("deeper", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
        except OSError:
            break
        os.close(directory)
        directory = below


def racer():
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.connect(NAME)
    directories = socket.recv_fds(stream, 16, 16)[1]
    until = time.monotonic() + WORLD["seconds"]
    children = []
    for directory in directories:
        for work in (race, grow):
            if (pid := os.fork()) == 0:
                work(directory, until)
                os._exit(0)
            children.append(pid)
    # Now the other one may end.
    time.sleep(0.5)
    stream.send(b"x")
    for pid in children:
        os.waitpid(pid, 0)


leave() if sys.argv[1] == "leave" else racer()
