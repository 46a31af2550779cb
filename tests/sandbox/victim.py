"""Another task of the same user, with something to hide. It gives a file to whoever comes by its abstract socket."""

import ctypes
import os
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
for path in ("/tmp/mine", "/dev/shm/mine", os.path.expanduser("~/mine")):
    with open(path, "w") as file:
        file.write("of another run")
assert libc.shmget(WORLD["victim_key"], 4096, 0o1666) >= 0
name = ctypes.create_string_buffer(b"mine")
assert libc.syscall(ctypes.c_long(WORLD["calls"]["mq_open"]), name, os.O_RDWR | os.O_CREAT, 0o666, 0) >= 0

listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listener.bind("\0" + WORLD["victim_socket"])
listener.listen()
print("victim is ready", flush=True)
while True:
    stream, _ = listener.accept()
    with stream, open("/tmp/mine") as file:
        if stream.recv(16) == b"end":
            sys.exit(5)
        socket.send_fds(stream, [b"x"], [file.fileno()])
