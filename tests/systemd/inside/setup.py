"""A host that is not configured yet, and clearmlctl init against a server beside it."""

import json
import os
import pathlib
import stat
import subprocess
import time

import host
from host import ask, call, holds, must, show, until

# The tests' drop-in gives the unit an embedded server; here it has what a fresh installation has.
EMBEDDED = pathlib.Path("/etc/systemd/system/clearmld.service.d/local.conf")
ASIDE = pathlib.Path("/check/local.conf.aside")
SLOW = pathlib.Path("/run/systemd/system/clearmld.service.d/slow.conf")
STORED = pathlib.Path("/etc/clearmld/credentials.conf")
ENCRYPTED = pathlib.Path("/etc/clearmld/credentials.cred")
DROP_IN = pathlib.Path("/etc/systemd/system/clearmld.service.d/50-credentials.conf")
SERVER = "server-of-the-tests"
PLACE = pathlib.Path("/var/lib/server-of-the-tests")


def check():
    EMBEDDED.rename(ASIDE)
    must("systemctl", "daemon-reload")
    not_configured()
    a_daemon_that_starts_is_waited_for()
    pair = a_server()
    wrong_keys(pair)
    from_nothing(pair)
    once_more(pair)
    what_goes_wrong_later(pair)
    encrypted(pair)
    clean_up()


def text_of_status():
    return show(host.UNIT, "StatusText", "ActiveState")


def not_configured():
    must("systemctl", "start", host.UNIT)
    said = text_of_status()
    holds(
        "a unit without a server is active and says that it is not configured",
        said["ActiveState"] == "active" and said["StatusText"].startswith("not configured:"),
        said,
    )
    holds("and names the next step", "clearmlctl init" in said["StatusText"], said)
    shown = must("systemctl", "status", "--no-pager", host.UNIT)
    holds("systemctl status shows it", 'Status: "not configured: ' in shown, shown)
    told = must("clearmlctl", "status")
    holds("so does clearmlctl status", "not configured: run `clearmlctl init`" in told, told)
    logged = must("journalctl", "-u", host.UNIT, "--no-pager", "--output=cat")
    holds("so does the journal", "clearmlctl init" in logged, logged)
    asked = call("clearmlctl", "worker", "add", "--queue", "q")
    holds("a worker without a server is refused with that step", "clearmlctl init" in asked.stderr, asked)
    must("systemctl", "stop", host.UNIT)


def a_daemon_that_starts_is_waited_for():
    began = time.monotonic()
    asked = call("clearmlctl", "status")
    took = time.monotonic() - began
    holds(
        "a stopped daemon is told at once, with exit code 5 and the next step",
        (asked.returncode, took < 1, "systemctl start clearmld" in asked.stderr) == (5, True, True),
        (asked, took),
    )
    SLOW.parent.mkdir(parents=True, exist_ok=True)
    SLOW.write_text("[Service]\nExecStartPre=/bin/sleep 1.5\n")
    must("systemctl", "daemon-reload")
    must("systemctl", "start", "--no-block", host.UNIT)
    until("the start has begun", lambda: show(host.UNIT, "ActiveState")["ActiveState"] == "activating")
    began = time.monotonic()
    asked = host.as_user("nobody", "clearmlctl", "status")
    holds("whoever may not command it is told that, not that it is away", asked.returncode == 4, asked)
    asked = call("clearmlctl", "status")
    took = time.monotonic() - began
    holds("one that is starting is waited for", asked.returncode == 0 and took > 1, (asked, took))
    must("systemctl", "stop", host.UNIT)
    SLOW.unlink()
    must("systemctl", "daemon-reload")


def a_server():
    server = ["/usr/bin/clearmld", "--local=127.0.0.1:9008", f"--state-dir={PLACE}", "--socket=/run/other.sock"]
    must("systemd-run", "--quiet", f"--unit={SERVER}", f"--property=StateDirectory={PLACE.name}", *server)
    kept = PLACE / "server" / "credentials.json"
    return until("the server's key pair", lambda: kept.exists() and json.loads(kept.read_text()))


def block(pair, secret=None, api="http://127.0.0.1:9008"):
    return f"""
api {{
  web_server: http://127.0.0.1:8080
  api_server: {api}
  files_server: http://127.0.0.1:9081
  credentials {{
    "access_key" = "{pair["access_key"]}"
    "secret_key" = "{secret or pair["secret_key"]}"
  }}
}}
"""


def init(text, *arguments):
    command = ["clearmlctl", "init", "--credentials", "-", *arguments]
    return subprocess.run(command, input=text, text=True, capture_output=True, timeout=60)


def wrong_keys(pair):
    tried = init(block(pair, secret="wrong"))
    holds("init refuses a key pair that the server does not take", tried.returncode == 1, tried)
    holds("and says what to do", "Create new credentials" in tried.stderr, tried)
    tried = init(block(pair, api="http://127.0.0.1:9081"))
    holds("the file server's address is told from the API's", "no ClearML API server" in tried.stderr, tried)
    left = [str(path) for path in (STORED, DROP_IN) if path.exists()]
    holds("and nothing is written", not left, left)
    state = show(host.UNIT, "ActiveState", "UnitFileState")
    holds("nor started", state == {"ActiveState": "inactive", "UnitFileState": "disabled"}, state)


def from_nothing(pair):
    began = time.monotonic()
    done = init(block(pair), "--queue", "first", "--create-queue", "--gpus", "none", "--output", "json")
    holds("init takes a host from nothing to a worker", done.returncode == 0, done)
    print(f"# {time.monotonic() - began:.2f} s")
    state = show(host.UNIT, "ActiveState", "UnitFileState", "StatusText")
    holds("the unit is enabled and active", (state["ActiveState"], state["UnitFileState"]) == ("active", "enabled"), state)
    server = ask("status")["server"]
    holds(
        "and works for that server", (server["api_url"], server["link"]) == ("http://127.0.0.1:9008", "up"), server
    )
    workers = ask("worker", "list")
    found = [(w["name"], [q["name"] for q in w["queues"]]) for w in workers]
    named = json.loads(done.stdout)["worker"]
    holds("the first worker serves its queue", found == [(named, ["first"])], found)
    mode = stat.S_IMODE(os.stat(STORED).st_mode)
    holds("the key pair is in a file of mode 0600", mode == 0o600, oct(mode))
    shown = must("systemctl", "cat", host.UNIT) + must("systemctl", "show", host.UNIT)
    logged = must("journalctl", "--no-pager", "--output=cat", "--all")
    said = shown + logged + done.stdout + done.stderr
    holds("its secret is in no unit, journal or output", pair["secret_key"] not in said, "it is there")
    # PID 1 has made the directory; another user may not even look into it.
    handed = host.as_user("nobody", "cat", f"/run/credentials/{host.UNIT}/clearml.credentials")
    holds("what systemd hands to the daemon is root's", handed.returncode != 0, "it could be read")


def once_more(pair):
    before = (STORED.read_text(), host.main_pid())
    again = call("clearmlctl", "init", "--yes", "--queue", "first", "--output", "json")
    holds("a second init changes nothing", json.loads(again.stdout)["changed"] is False, again)
    holds("and restarts nothing", (STORED.read_text(), host.main_pid()) == before, "it did")
    refused = init(block(pair))
    holds("other credentials are refused without --force", refused.returncode == 7, refused)
    must("clearmlctl", "worker", "remove", ask("worker", "list")[0]["name"])


def what_goes_wrong_later(pair):
    STORED.write_text(STORED.read_text().replace(pair["secret_key"], "wrong"))
    must("systemctl", "restart", host.UNIT)
    reason = until("the refusal", lambda: (ask("status") or {"server": {}})["server"].get("reason"))
    holds("wrong credentials show in the status, without any worker", "refuses the credentials" in reason, reason)
    text = until("STATUS=", lambda: "refuses" in text_of_status()["StatusText"] and text_of_status()["StatusText"])
    holds("also in that of systemctl", "clearmlctl init --force" in text, text)
    STORED.unlink()
    must("systemctl", "restart", host.UNIT)
    said = text_of_status()
    holds(
        "a declared credential whose file is gone is told as that",
        said["ActiveState"] == "active" and "its file is not there" in said["StatusText"],
        said,
    )
    done = init(block(pair))
    holds("init puts it right", done.returncode == 0 and ask("status")["server"]["link"] == "up", done)


def encrypted(pair):
    before = STORED.read_text()
    done = init(block(pair), "--force", "--encrypt")
    if host.version() < 250:
        refused = done.returncode == 1 and "leave out --encrypt" in done.stderr
        holds("an old systemd cannot encrypt, and what was stored stays", refused and STORED.read_text() == before, done)
        return
    holds("init --encrypt stores what only this host can read", done.returncode == 0, done)
    texts = ENCRYPTED.read_text()
    holds("and nothing else", not STORED.exists() and pair["access_key"] not in texts, texts)
    holds("the daemon can", ask("status")["server"]["link"] == "up", ask("status")["server"])


def clean_up():
    must("systemctl", "disable", "--quiet", host.UNIT)
    must("systemctl", "stop", host.UNIT, SERVER)
    for path in (STORED, ENCRYPTED, DROP_IN):
        path.unlink(missing_ok=True)
    ASIDE.rename(EMBEDDED)
    must("systemctl", "daemon-reload")
