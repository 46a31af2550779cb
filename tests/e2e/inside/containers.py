"""The container engine, as the daemon sees it."""

import json

from host import call, holds, must


def check(_boot):
    # It takes a while, and reboot.py had begun with it.
    must("systemctl", "start", "docker.service")
    asked = call("clearmlctl", "doctor", "--output", "json")
    found = {finding["check"]: finding for finding in json.loads(asked.stdout or "[]")}
    engine = found["containers"]
    seen = engine["verdict"] == "ok" and "docker" in engine["detail"]
    holds("clearmlctl doctor sees the container engine", seen, found)
    # The disk of this machine is small, and its GPUs ended with the first boot.
    bad = [finding for check, finding in found.items() if finding["verdict"] != "ok" and check not in ("disk", "gpu")]
    holds("and finds the rest to be well", not bad and len(found) > 10, bad)
