"""What is on the host outside of every sandbox, for the hostile program to try: files, sockets, programs with rights, and
an accomplice who gives away what it has open. It says in JSON where all of that is, and takes it away when its standard
input ends.

    outside.py DIRECTORY CONTROL-SOCKET NONCE
"""

import json
import os
import shutil
import socket
import struct
import sys
import threading

here, control, nonce = sys.argv[1:]
NET_RAW = 1 << 13


def placed(name, text, mode):
    path = os.path.join(here, name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


def program(name, source, mode):
    path = shutil.copy(source, os.path.join(here, name))
    os.chmod(path, mode)
    return path


def directory(name, mode):
    path = os.path.join(here, name)
    os.mkdir(path)
    os.chmod(path, mode)
    return path


def listening(path):
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    server.listen(64)
    if not path.startswith("\0"):
        os.chmod(path, 0o666)
    SERVERS.append(server)
    return path


def pipe(name):
    path = os.path.join(here, name)
    os.mkfifo(path)
    os.chmod(path, 0o666)
    return path


def accomplice(server):
    """Gives whoever asks a descriptor of the control socket, as if somebody with the right to reach it were on their side."""
    while True:
        stream, _ = server.accept()
        with stream:
            stream.recv(16)
            descriptor = os.open(control, os.O_PATH)
            socket.send_fds(stream, [b"x"], [descriptor])
            os.close(descriptor)


SERVERS = []
capable = program("capable", "/bin/cat", 0o755)
# A capability of a file, version 2, effective.
os.setxattr(capable, "security.capability", struct.pack("<IIIII", 0x02000001, NET_RAW, 0, 0, 0))
loopback = socket.create_server(("127.0.0.1", 0))
in_run = listening(f"/run/{nonce}.socket")
in_tmp = listening(f"/tmp/{nonce}.socket")
listening(f"\0{nonce}-abstract")
listening(f"\0{nonce}-accomplice")
threading.Thread(target=accomplice, args=[SERVERS[-1]], daemon=True).start()
open_directory = directory("open", 0o777)
world = {
    "readable": placed("readable", "everybody may read this\n", 0o644),
    "open_directory": open_directory,
    "open_file": placed("open/file", "as it was\n", 0o666),
    "set_user_id": program("set-user-id", "/usr/bin/id", 0o4755),
    "set_group_id": program("set-group-id", "/usr/bin/id", 0o2755),
    "capable": capable,
    "open_socket": listening(os.path.join(here, "open.socket")),
    "open_pipe": pipe("pipe"),
    "open_socket_in_run": in_run,
    "open_socket_in_tmp": in_tmp,
    "abstract": f"{nonce}-abstract",
    "accomplice": f"{nonce}-accomplice",
    "port": loopback.getsockname()[1],
}
print(json.dumps(world), flush=True)
sys.stdin.read()
for path in (in_run, in_tmp):
    os.unlink(path)
