"""A newcomer who types what the documents say, on a host that has never seen clearmld: from the package to a worker."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import host
import setup
from host import ask, ctl, holds, must, show, until

HERE = pathlib.Path("/check/documents")
KEPT = pathlib.Path("/check/bin")
CLOUD_KEYS = "/root/credentials.conf"


def check():
    pair = a_server_that_stays()
    as_if_nobody_had_been_here(pair)
    the_readme()
    the_other_documents()
    as_if_nobody_had_been_here(pair)
    cloud_init(pair)


def a_server_that_stays():
    """No part of the package: it stands for another machine."""
    must("systemctl", "stop", host.UNIT)
    KEPT.mkdir(exist_ok=True)
    shutil.copy("/usr/bin/clearmld", KEPT)
    shutil.copy("/usr/lib/clearmld/clearmld-shim", KEPT)
    shutil.copytree(setup.PLACE, "/var/lib/other", dirs_exist_ok=True)
    server = [f"{KEPT}/clearmld", "--local=127.0.0.1:9008", "--state-dir=/var/lib/other", "--socket=/run/other.sock"]
    must("systemd-run", "--quiet", "--unit=other", "--property=StateDirectory=other", *server)
    kept = pathlib.Path("/var/lib/other/server/credentials.json")
    return until("the server's key pair", lambda: kept.exists() and json.loads(kept.read_text()))


def as_if_nobody_had_been_here(pair):
    must("dpkg", "--purge", "clearmld")
    setup.EMBEDDED.unlink(missing_ok=True)
    must("systemctl", "daemon-reload")
    (HERE / "credentials.conf").write_text(setup.block(pair))
    shutil.copy("/check/clearmld.deb", HERE / "clearmld_0_test.deb")


def the_readme():
    for text in blocks("README.md", "booted", "booted gpu"):
        typed("README.md", text)
    state = show(host.UNIT, "ActiveState", "UnitFileState")
    holds("then the service is enabled and up", state == {"ActiveState": "active", "UnitFileState": "enabled"}, state)
    workers = ask("worker", "list")
    holds("there is a GPU worker and another", sorted(w["gpus"] for w in workers) == ["0", "none"], workers)
    pathlib.Path("/tmp/hello.sh").write_text("echo hello\n")
    task = host.submit("/tmp/hello.sh")
    ended = host.settled(task)
    holds("and a task runs to its end", ended["end"]["cause"] == "completed", ended)
    run = ended["id"]
    for document in sorted(HERE.glob("**/*.md")):
        for command in queries(document.read_text(), task, run):
            asked = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
            # A pattern that nothing matches is no mistake; a mistaken question is always complained of.
            nothing_found = " -g " in command and asked.returncode == 1 and not asked.stderr
            holds(f"{document.name}: {command} is answered", asked.returncode == 0 or nothing_found, asked)


def the_other_documents():
    for document in sorted((HERE / "docs").glob("*.md")):
        for text in blocks(f"docs/{document.name}", "booted"):
            typed(document.name, text)
    ctl("worker", "remove", "team-a")
    must("userdel", "team-a")


def cloud_init(pair):
    """Does what cloud-init does with the README's user data: files, then commands."""
    (text,) = blocks("README.md", None, language="yaml cloud-init")
    files, commands = text.split("runcmd:\n")
    for path, permissions, content in re.findall(
        r'- path: (\S+)\n(?:    permissions: "(\d+)"\n)?    content: \|\n((?:      .*\n)+)', files
    ):
        target = pathlib.Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(re.sub("^      ", "", content, flags=re.M))
        target.chmod(int(permissions or "644", 8))
    holds("the user data has a place for the key pair", pathlib.Path(CLOUD_KEYS).exists(), files)
    # What a reader puts there: the server, the key pair, and the package's address.
    pathlib.Path(CLOUD_KEYS).write_text(setup.block(pair))
    steps = re.findall(r"^  - (.*)\n", commands, flags=re.M)
    holds("its first step fetches the package", steps[0].startswith("curl "), steps)
    shutil.copy("/check/clearmld.deb", "/root/clearmld.deb")
    for step in steps[1:]:
        typed("cloud-init", step)
    worker = until("the declared worker", lambda: [w for w in ask("worker", "list") or [] if w["declared_in"]])
    holds("cloud-init's user data makes a worker", worker[0]["requeue_on_host_loss"], worker)


def blocks(name, *tiers, language="sh"):
    text = (HERE / name).read_text()
    wanted = [f"{language} {tier}" if tier else language for tier in tiers]
    return [body for info, body in re.findall(r"^```(.*)\n((?:.*\n)*?)^```$", text, flags=re.M) if info in wanted]


def typed(name, text):
    environment = {"PATH": os.environ["PATH"], "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=HERE, env=environment, capture_output=True, text=True, timeout=120
    )
    said = " && ".join(text.strip().splitlines())
    holds(f"{name}: {said}", done.returncode == 0, done)


def queries(text, task, run):
    """The questions to the journal that stand in a line."""
    for span in re.findall(r"`(journalctl [^`]*)`", text):
        if "…" not in span and span != "journalctl -u":
            # The placeholders are words of their own; CLEARML_TASK_ID is none.
            named = re.sub(r"\bTASK\b", task, re.sub(r"(?<![A-Z_])RUN(?![A-Z_])", run, span))
            yield f"{named} --no-pager --quiet"
