"""The ClearML server of this test, and clearmld that is told of it."""

import base64
import json
import os
import pathlib
import stat
import urllib.request

import host
from host import ask, ctl, holds, must

API = "http://127.0.0.1:8008"
# It stands for another machine: no part of the package, up before clearmld and down after it.
UNIT = """
[Unit]
Before=clearmld.service
[Service]
Type=notify
ExecStart=/check/bin/clearmld --local --state-dir /var/lib/clearml-server --socket /run/clearml-server/clearmld.sock
RuntimeDirectory=clearml-server
StateDirectory=clearml-server
[Install]
WantedBy=multi-user.target
"""
# No network: packages come from the disk. The payload reads what pip does.
PIP = "[global]\nno-index = true\nfind-links = /check/wheels\n"
# Compiling some two thousand files that no task imports takes minutes of an emulated processor.
AGENT = 'agent { package_manager { extra_pip_install_flags: ["--no-compile"] } }\n'


def check(_boot):
    pathlib.Path("/etc/systemd/system/clearml-server.service").write_text(UNIT)
    pathlib.Path("/etc/pip.conf").write_text(PIP)
    os.symlink("/check/bin/uv", "/usr/local/bin/uv")
    private("/etc/clearmld/clearml.conf", AGENT)
    must("systemctl", "daemon-reload")
    must("systemctl", "enable", "--quiet", "--now", "clearml-server.service")
    pair = key_pair()
    block = private(
        "/run/credentials-block",
        f"api {{\n  web_server: http://127.0.0.1:8080\n  api_server: {API}\n  files_server: http://127.0.0.1:8081\n"
        f'  credentials {{ "access_key" = "{pair["access_key"]}", "secret_key" = "{pair["secret_key"]}" }}\n}}\n',
    )
    said = json.loads(ctl("init", "--credentials", str(block), "--no-worker", "--yes", "--output", "json"))
    block.unlink()
    holds("clearmlctl init logs in and stores the key pair", said["changed"], said)
    stored = os.stat("/etc/clearmld/credentials.conf")
    holds("for root alone", stat.S_IMODE(stored.st_mode) == 0o600 and stored.st_uid == 0, stored)
    must("systemctl", "enable", "--now", host.UNIT)
    found = ask("status")
    holds("systemctl enable --now clearmld leaves a service that answers", found, "clearmlctl status fails")
    holds("and knows its server", found["server"]["api_url"] == API, found)
    ctl("worker", "add", "--name", "w", "--queue", "default")
    holds("a worker is added", ask("worker", "show", "w")["intent"] == "active", ask("worker", "list"))


def private(path, text):
    path = pathlib.Path(path)
    path.touch(0o600)
    path.write_text(text)
    return path


def key_pair():
    """What the web UI of a server shows once."""
    found = next(pathlib.Path("/var/lib/clearml-server").rglob("credentials.json"))
    return json.loads(found.read_text())


def api(endpoint, **parameters):
    """Asks the server itself."""
    pair = key_pair()
    login = base64.b64encode(f"{pair['access_key']}:{pair['secret_key']}".encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
    request = urllib.request.Request(f"{API}/{endpoint}", json.dumps(parameters).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["data"]
