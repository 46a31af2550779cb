"""The ClearML server of this test, and clearmld that works for it."""

import json
import os
import pathlib

import host
from host import ask, ctl, holds, must

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


def check(_boot):
    pathlib.Path("/etc/systemd/system/clearml-server.service").write_text(UNIT)
    pathlib.Path("/etc/pip.conf").write_text(PIP)
    os.symlink("/check/bin/uv", "/usr/local/bin/uv")
    must("systemctl", "daemon-reload")
    must("systemctl", "enable", "--quiet", "--now", "clearml-server.service")
    configure()
    must("systemctl", "restart", host.UNIT)
    holds("systemctl restart clearmld returns when the socket answers", ask("status"), "clearmlctl status fails")
    ctl("worker", "add", "--name", "w", "--queue", "default")
    holds("a worker is added", ask("worker", "show", "w")["intent"] == "active", ask("worker", "list"))


def configure():
    found = next(pathlib.Path("/var/lib/clearml-server").rglob("credentials.json"))
    pair = json.loads(found.read_text())
    target = pathlib.Path("/etc/clearmld/clearml.conf")
    target.parent.mkdir(exist_ok=True)
    target.touch(0o600)
    target.write_text(
        "api {\n"
        "  web_server: http://127.0.0.1:8080\n"
        "  api_server: http://127.0.0.1:8008\n"
        "  files_server: http://127.0.0.1:8081\n"
        f'  credentials {{ "access_key" = "{pair["access_key"]}", "secret_key" = "{pair["secret_key"]}" }}\n'
        "}\n"
    )
