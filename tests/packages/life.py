"""Installation, upgrade, removal and purge, in a root file system that no systemd runs in."""

import contextlib
import pathlib
import re
import shutil

from told import call, holds, must

# What package managers keep for themselves, and backups of the files of users.
OF_THE_PACKAGE_MANAGER = (
    "/var/lib/dpkg",
    "/var/lib/rpm",
    "/etc/dnf",
    "/var/lib/dnf",
    "/var/log/dnf.librepo.log",
    "/var/log/dnf.log",
    "/var/log/dnf.rpm.log",
    "/var/log/hawkey.log",
    "/var/log/dpkg.log",
    "/var/cache",
    "/etc/passwd-",
    "/etc/group-",
    "/etc/shadow-",
    "/etc/gshadow-",
    "/etc/.pwd.lock",
    "/etc/subuid-",
    "/etc/subgid-",
    # The compiled catalog is made anew by a trigger of systemd's.
    "/var/lib/systemd/catalog",
    "/root/.rpmdb",
    # systemctl notes there when it has read units.
    "/run/systemd",
    "/proc",
    "/tmp",
)
# Debian's file system lacks these; where packages are RPMs they are there already.
OF_RPM_HOSTS = {
    f"{path} drwxr-xr-x 0 0"
    for path in (
        "/etc/apparmor.d",
        "/usr/share/licenses",
        "/usr/share/man/man1",
        "/usr/share/man/man5",
        "/usr/share/man/man8",
    )
}
# Nothing here has to survive a power cut.
DPKG = ("dpkg", "--force-unsafe-io")
DROP_IN = "/usr/lib/systemd/system/clearmld.service.d/notify-reload.conf"


def check(repository, base, scratch, deb, rpm):
    from_source(repository, scratch / "local", scratch / "tree")
    with layer(base, scratch / "debian") as root:
        debian(Host(root), deb, scratch)
    with layer(base, scratch / "rpm") as root:
        redhat(Host(root), rpm, scratch, (repository / "README.md").read_text())


@contextlib.contextmanager
def layer(base, place):
    """A root file system over the kept one, which stays as it is."""
    root = place / "root"
    for name in ("root", "upper", "work"):
        (place / name).mkdir(parents=True)
    options = f"lowerdir={base},upperdir={place}/upper,workdir={place}/work"
    mounted = call("mount", "-t", "overlay", "overlay", "-o", options, root).returncode == 0
    if not mounted:
        root.rmdir()
        must("cp", "-a", "--reflink=auto", base, root)
    try:
        yield root
    finally:
        if mounted:
            must("umount", root)
        shutil.rmtree(place)


def from_source(repository, root, tree):
    """`make install PREFIX=/usr/local`, from what the package has."""
    pages = root.with_name("pages")
    for name in ("man", "completions"):
        (pages / name).mkdir(parents=True)
    (pages / "man/clearmld.8").write_text("")
    for name in ("completions/clearmlctl.bash", "completions/_clearmlctl", "completions/clearmlctl.fish", "THIRD-PARTY"):
        (pages / name).write_text("")
    shutil.copy(tree / "etc/clearmld/clearmld.toml", pages)
    shim = tree / "usr/lib/clearmld/clearmld-shim"
    must(repository / "packaging/install.sh", tree / "usr/bin", shim, pages, root, "/usr/local")
    unit = (root / "usr/local/lib/systemd/system/clearmld.service").read_text()
    starts = "\nExecStart=/usr/local/bin/clearmld\n" in unit
    holds("an installation below /usr/local has a unit that starts the program there", starts, unit)
    shutil.rmtree(root)
    shutil.rmtree(pages)


class Host:
    def __init__(self, root):
        self.root = root

    def beside(self, *command):
        """A command of this machine, for which the file system has its /proc."""
        return call("unshare", "--mount", "--pid", "--fork", f"--mount-proc={self.root}/proc", *command)

    def call(self, *command):
        return self.beside("chroot", self.root, *command)

    def must(self, *command):
        done = self.call(*command)
        holds(f"`{' '.join(command)}` succeeds", done.returncode == 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def path(self, name):
        return self.root / name.lstrip("/")

    def write(self, name, text):
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_text(text)

    def everything(self):
        """Every path with its mode, and every user and group."""
        prune = [word for path in OF_THE_PACKAGE_MANAGER for word in ("-path", path, "-prune", "-o")]
        found = self.call("find", "/", "-xdev", *prune, "-printf", "%p %M %U %G\n").stdout.splitlines()
        accounts = [f"{name}: {line}" for name in ("passwd", "group") for line in open(self.path(f"/etc/{name}"))]
        return set(found) | set(accounts)


def debian(host, deb, scratch):
    before = host.everything()
    shutil.copy(deb, host.path("/tmp/clearmld.deb"))
    host.must(*DPKG, "--install", "/tmp/clearmld.deb")
    group = host.must("getent", "group", "clearml").strip()
    holds("the group of the operators is there, and nobody is in it", group.endswith(":"), group)
    user = host.must("getent", "passwd", "clearml-run").strip()
    holds("the user of the tasks is there and cannot log in", user.endswith("nologin"), user)
    enabled = host.call("systemctl", "is-enabled", "clearmld.service").stdout.strip()
    holds("the service is enabled", enabled == "enabled", enabled)
    state = host.path("/var/lib/clearmld").stat()
    holds("the state directory is root's alone", (state.st_uid, state.st_mode & 0o777) == (0, 0o700), oct(state.st_mode))
    units(host)
    catalog = host.call("journalctl", "--list-catalog").stdout
    holds("journalctl -x has the texts of the catalog", "clearmld: clearmld is ready" in catalog, catalog[-300:])
    notify_reload(host)
    written(host)
    upgrade(host, scratch)
    removal(host)
    host.must(*DPKG, "--purge", "clearmld")
    left, gone = sorted(host.everything() - before), sorted(before - host.everything())
    holds("purge leaves nothing behind", not left, left)
    holds("and takes nothing with it", not gone, gone)
    host.must(*DPKG, "--install", "/tmp/clearmld.deb")
    disk = host.path("/var/lib/clearmld")
    must("mount", "-t", "tmpfs", "tmpfs", disk)
    try:
        host.write("/var/lib/clearmld/runs/r/spool", "")
        host.must(*DPKG, "--purge", "clearmld")
        holds("a state directory that is a disk of its own is emptied", not list(disk.iterdir()), list(disk.iterdir()))
    finally:
        must("umount", disk)
    disk.rmdir()
    host.must(*DPKG, "--install", "/tmp/clearmld.deb")
    host.must(*DPKG, "--purge", "clearmld")
    holds("nor does it at once after an installation", host.everything() == before, host.everything() ^ before)


def units(host):
    paths = [f"/usr/lib/systemd/system/{name}" for name in ("clearmld.service", "clearml.slice")]
    verified = host.call("systemd-analyze", "verify", "--man=no", *paths)
    said = verified.stdout + verified.stderr
    holds("systemd-analyze verify has nothing to say about the units", not said and verified.returncode == 0, said)


def notify_reload(host):
    """What is used only where systemd has it."""
    steps = ("/usr/lib/clearmld/package-steps",)
    for version, wanted in ((252, False), (253, True), (257, True), (247, False)):
        stub = f"#!/bin/sh\necho 'systemd {version} ({version}.1-1)'\n"
        host.write("/usr/local/bin/systemctl", stub)
        host.path("/usr/local/bin/systemctl").chmod(0o755)
        done = host.call(*steps, "installed")
        there = host.path(DROP_IN).exists() and done.returncode == 0
        holds(f"systemd {version} {'tells' if wanted else 'does not tell'} a reload by itself", there == wanted, done)
    host.call(*steps, "removed")
    host.path("/usr/local/bin/systemctl").unlink()
    holds("nothing is left of it", not host.path(DROP_IN).parent.exists())


# What operators, clearmlctl init and the daemon write, each with what is in it.
WRITTEN = {
    "/etc/clearmld/clearml.conf": "agent {}\n",
    "/etc/clearmld/credentials.conf": "api {}\n",
    "/etc/systemd/system/clearmld.service.d/50-credentials.conf": "[Service]\n",
    "/etc/clearmld/workers.d/gpu0.toml": 'name = "gpu0"\n',
    "/var/lib/clearmld/ledger/worker": "{}",
    "/var/lib/clearmld/environments/sealed/lib": "",
    "/var/cache/clearmld/x": "",
}
# Where something of these stays at a removal.
WRITTEN_TO = ("/etc/clearmld", "/etc/clearmld/workers.d")
CHANGED = "/etc/clearmld/clearmld.toml"


def written(host):
    for name, text in WRITTEN.items():
        host.write(name, text)
    host.write(CHANGED, "stop_grace_seconds = 30\n")


def kept(host, sentence):
    lost = [name for name, text in WRITTEN.items() if not host.path(name).exists() or host.path(name).read_text() != text]
    changed = host.path(CHANGED).read_text() != "stop_grace_seconds = 30\n"
    holds(sentence, not lost and not changed, (lost, changed))


def upgrade(host, scratch):
    """The same package once more, of a higher version and with another default configuration."""
    tree = scratch / "newer"
    must("dpkg-deb", "--raw-extract", host.path("/tmp/clearmld.deb"), tree)
    control = tree / "DEBIAN/control"
    control.write_text(control.read_text().replace("\nArchitecture:", "+newer\nArchitecture:", 1))
    (tree / "etc/clearmld/clearmld.toml").write_text("# other defaults\n")
    must("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, host.path("/tmp/newer.deb"))
    shutil.rmtree(tree)
    host.must(*DPKG, "--force-confold", "--install", "/tmp/newer.deb")
    version = host.call("dpkg-query", "--show", "--showformat=${Version}", "clearmld").stdout
    holds("that is an upgrade", version.endswith("+newer"), version)
    kept(host, "an upgrade keeps state and configuration")


def removal(host):
    said = host.must(*DPKG, "--remove", "clearmld")
    complaints = [line for line in said.splitlines() if "warning" in line and line.split("'")[1] not in WRITTEN_TO]
    holds("dpkg has no complaint about directories that the package shares", not complaints, complaints)
    kept(host, "removal keeps state and configuration")
    gone = [name for name in ("/usr/bin/clearmld", "/usr/lib/clearmld") if host.path(name).exists()]
    holds("but no program", not gone, gone)


def redhat(host, rpm, scratch, readme):
    database = ("rpm", "--root", host.root)
    # To rpm, a file system of Debian's has nothing of what the package requires.
    said = host.beside(*database, "--install", what_it_requires(rpm, scratch))
    holds("an rpm host has what the package requires", said.returncode == 0, said.stderr)
    before = host.everything()
    dnf = ("dnf", "--assumeyes", f"--installroot={host.root}", "--releasever=/", "--disablerepo=*")
    typed = re.search("`dnf install (\\S+)`", readme)
    holds("the README's name of the package is that of the one here", rpm.match(typed[1]), typed[0])
    said = host.beside(*dnf, "install", rpm)
    told = said.stdout + said.stderr
    complaint = said.returncode != 0 or re.search("(?i)fail|error|warning|cannot|not found", told)
    holds(f"README.md: {typed[0]}, and no scriptlet complains", not complaint, told)
    enabled = host.call("systemctl", "is-enabled", "clearmld.service").stdout.strip()
    holds("the service is enabled by its preset", enabled == "enabled", enabled)
    verified = call(*database, "--verify", "--nodeps", "clearmld")
    holds("every file is as it was packaged", verified.returncode == 0, verified.stdout)
    written(host)
    said = host.beside(*dnf, "remove", "clearmld")
    holds("dnf removes it", said.returncode == 0, said.stdout + said.stderr)
    lost = [name for name in WRITTEN if not host.path(name).exists()]
    saved = pathlib.Path(f"{host.path(CHANGED)}.rpmsave")
    holds("state and changed configuration stay", not lost and saved.exists(), lost)
    for name in ("/etc/clearmld", "/etc/systemd/system/clearmld.service.d", "/var/lib/clearmld", "/var/cache/clearmld"):
        shutil.rmtree(host.path(name))
    new = host.everything() - before - OF_RPM_HOSTS
    left = sorted(line for line in new if "clearml-run:" not in line and "clearml:" not in line)
    holds("and nothing else but the users", not left, left)


def what_it_requires(rpm, scratch):
    """A package that stands for the rest of a host."""
    required = {line.split(" ")[0] for line in must("rpm", "--query", "--requires", "-p", rpm).splitlines()}
    # Those two kinds rpm and the package have themselves.
    provided = sorted(name for name in required if not name.startswith(("rpmlib(", "config(")))
    versions = {"systemd": " = 247"}
    lines = ["Name: host", "Version: 1", "Release: 1", "Summary: A host", "License: none", "BuildArch: noarch"]
    lines += [f"Provides: {name}{versions.get(name, '')}" for name in provided]
    spec = scratch / "host.spec"
    spec.write_text("\n".join([*lines, "%description", "A host.", "%files", ""]))
    must("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {scratch}/host", spec)
    return next((scratch / "host/RPMS").rglob("*.rpm"))
