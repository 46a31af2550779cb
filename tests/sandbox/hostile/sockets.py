# Whom it may speak to.

CONTROL = WORLD["socket"]
tries("connect to the control socket", connect, CONTROL)
tries("connect to it through its own root", connect, f"/proc/self/root{CONTROL}")
tries("connect to it through the root of init", connect, f"/proc/1/root{CONTROL}")
tries("connect to an abstract socket of that name", connect, f"\0{CONTROL}")
tries("list the control socket's directory", listed, os.path.dirname(CONTROL))


@attempt("connect to the control socket by a descriptor that somebody outside has sent")
def by_descriptor():
    connect(f"/proc/self/fd/{received(WORLD['accomplice'])[0]}")


for path in (
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/systemd/notify",
    "/run/systemd/journal/socket",
    "/run/systemd/journal/stdout",
    "/run/systemd/userdb/io.systemd.DynamicUser",
    "/dev/log",
    "/run/udev/control",
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
):
    tries(f"connect to {path}", connect, path)
tries("connect to a socket in /run that everybody may connect to", connect, WORLD["open_socket_in_run"])
tries("connect to a socket in /tmp that everybody may connect to", connect, WORLD["open_socket_in_tmp"])

# What SECURITY.md says is open.
tries("connect to a service of the host on loopback", lambda: socket.create_connection(("127.0.0.1", WORLD["port"])).close())
tries("connect to an abstract socket of the host", lambda: connect("\0" + WORLD["abstract"]))
tries("connect to a socket elsewhere that everybody may connect to", connect, WORLD["open_socket"])
tries("write to a pipe elsewhere that everybody may write to", lambda: os.write(os.open(WORLD["open_pipe"], os.O_RDWR), b"x") and None)
tries("read a file of the host that everybody may read", read, WORLD["readable"])
tries("be given a file by another run that wants it", lambda: None if os.read(received(WORLD["victim_socket"])[0], 64) else "nothing")


@attempt("choose the identity that audit records it by")
def audit_identity():
    if not os.path.exists("/proc/self/loginuid"):
        return "not on this machine"
    write("/proc/self/loginuid", "4242")
