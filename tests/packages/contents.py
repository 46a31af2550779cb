"""What is in the packages, file by file."""

import os
import pathlib
import re

from told import holds, must

FILES = """
/etc/apparmor.d/clearmld
/etc/clearmld/clearmld.toml
/etc/clearmld/workers.d/example.toml.disabled
/usr/bin/clearmld
/usr/bin/clearmlctl
/usr/lib/clearmld/clearmld-shim
/usr/lib/clearmld/notify-reload.conf
/usr/lib/clearmld/package-steps
/usr/lib/systemd/system-preset/90-clearmld.preset
/usr/lib/systemd/system/clearml.slice
/usr/lib/systemd/system/clearmld.service
/usr/lib/sysusers.d/clearmld.conf
/usr/lib/tmpfiles.d/clearmld.conf
/usr/share/bash-completion/completions/clearmlctl
/usr/share/doc/clearmld/README.md
/usr/share/doc/clearmld/clearmld.json
/usr/share/doc/clearmld/clearmld.rules.yml
/usr/share/doc/clearmld/policy.toml.example
/usr/share/doc/clearmld/SECURITY.md
/usr/share/doc/clearmld/THIRD-PARTY
/usr/share/fish/vendor_completions.d/clearmlctl.fish
/usr/share/man/man5/clearmld-workers.5.gz
/usr/share/man/man5/clearmld.toml.5.gz
/usr/share/man/man8/clearmld.8.gz
/usr/share/zsh/site-functions/_clearmlctl
"""
DEB_ONLY = """
/usr/share/doc/clearmld/changelog
/usr/share/doc/clearmld/copyright
/usr/share/lintian/overrides/clearmld
"""
EXECUTABLE = {
    "/usr/bin/clearmld",
    "/usr/bin/clearmlctl",
    "/usr/lib/clearmld/clearmld-shim",
    "/usr/lib/clearmld/package-steps",
}


def check(repository, deb, rpm, tree):
    shared = set(FILES.split())
    if (repository / "systemd/clearmld.catalog").exists():
        shared.add("/usr/lib/systemd/catalog/clearmld.catalog")
    shared |= {f"/usr/share/doc/clearmld/docs/{page.name}" for page in repository.glob("docs/*.md")}
    shared |= {f"/usr/share/man/man1/{page}.1.gz" for page in commands(tree)}
    exactly("the .deb", in_deb(deb), shared | set(DEB_ONLY.split()))
    exactly("the .rpm", in_rpm(rpm), shared)
    modes(deb)
    holds(
        "what an operator changes is a configuration file of both",
        conffiles(deb) == configuration(rpm),
        (conffiles(deb), configuration(rpm)),
    )
    no_traces(repository, tree)
    no_failpoints(tree)
    version = must(repository / "packaging/version.sh").strip()
    for program in ("clearmld", "clearmlctl"):
        says = must(tree / "usr/bin" / program, "--version").strip()
        holds(f"{program} says that version", says == f"{program} {version}", says)
    scripts = [must("dpkg-deb", "--info", deb, name) for name in ("postinst", "prerm", "postrm")]
    scripts.append(must("rpm", "--query", "--scripts", "-p", rpm))
    holds("no script of either restarts the slice of the runs with the daemon", "clearml.slice" not in "".join(scripts))


def exactly(what, found, expected):
    missing, further = sorted(expected - found), sorted(found - expected)
    detail = f"missing {missing}; further {further}"
    holds(f"{what} has exactly the {len(expected)} files that are listed", not missing and not further, detail)


def commands(tree, *path):
    """`clearmlctl-worker-add` and all others, as the program itself lists them."""
    text = must(tree / "usr/bin/clearmlctl", *path, "--help")
    listed = re.search(r"^Commands:\n((?:  .*\n|\n)+?)(?=^\S|\Z)", text, re.MULTILINE)
    names = re.findall(r"^  ([a-z-]+)(?:  |$)", listed[1], re.MULTILINE) if listed else []
    found = {"-".join(("clearmlctl", *path))}
    for name in names:
        if name != "help":
            found |= commands(tree, *path, name)
    return found


def merged(path):
    """Debian 12 has units in /lib, which is /usr/lib; and its packages compress what is long in /usr/share/doc."""
    path = re.sub("^/lib/", "/usr/lib/", path)
    return path.removesuffix(".gz") if path.startswith("/usr/share/doc/") else path


def in_deb(deb):
    lines = must("dpkg-deb", "--contents", deb).splitlines()
    return {merged(line.split()[5][1:]) for line in lines if not line.startswith("d")}


def in_rpm(rpm):
    lines = must("rpm", "--query", "--queryformat", "[%{FILEMODES:perms} %{FILENAMES}\n]", "-p", rpm).splitlines()
    files = {line.split()[1] for line in lines if not line.startswith("d")}
    return {path for path in files if not path.startswith("/usr/share/licenses/")}


def modes(deb):
    wrong = []
    for line in must("dpkg-deb", "--contents", deb).splitlines():
        mode, owner, *_, path = line.split()
        path = merged(path[1:])
        wanted = "drwxr-xr-x" if mode[0] == "d" else "-rwxr-xr-x" if path in EXECUTABLE else "-rw-r--r--"
        if (mode, owner) != (wanted, "root/root"):
            wrong.append(line)
    holds("every file is root's, and only programs are executable", not wrong, wrong)


def conffiles(deb):
    return set(must("dpkg-deb", "--info", deb, "conffiles").split())


def configuration(rpm):
    return set(must("rpm", "--query", "--configfiles", "-p", rpm).split())


def no_failpoints(tree):
    """What src/sys/failpoint.rs has in a debug build."""
    programs = [tree / "usr/bin/clearmld", tree / "usr/lib/clearmld/clearmld-shim"]
    found = [str(program) for program in programs if b"CLEARMLD_FAILPOINT" in program.read_bytes()]
    holds("no program has a place in it at which tests let it die", not found, found)


def no_traces(repository, tree):
    """Paths of the machine that built it."""
    home = os.environ.get("HOME", "/root")
    cargo = os.environ.get("CARGO_HOME", f"{home}/.cargo")
    traces = [str(path).encode() for path in (repository, cargo, f"{home}/.rustup")]
    found = []
    for path in pathlib.Path(tree).rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            found += [(str(path), trace) for trace in traces if trace in content]
    holds("no file names a directory of the machine that it was built on", not found, found)
