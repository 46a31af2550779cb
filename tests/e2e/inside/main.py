"""What holds on a whole machine, one line each. The machine reboots once; the file `boot` says where it is."""

import json
import os
import pathlib
import sys
import time
import traceback

import containers
import duties
import host
import installed
import limits
import outlives
import reboot
import removed
import sandbox
import sdk
import server

# Behind an emulated processor.
host.PAUSE = 0.3
host.PATIENCE = 6

STATE = pathlib.Path("/var/lib/check")
BOOTS = [
    [installed, server, sdk, limits, sandbox, outlives, duties, reboot],
    [reboot, containers, removed],
]


def main():
    kept = STATE / "boot.json"
    boot = json.loads(kept.read_text()) if kept.exists() else {"number": 0, "done": True}
    up = float(pathlib.Path("/proc/uptime").read_text().split()[0])
    print(f"# boot {boot['number'] + 1}, up since {up:.0f} s")
    try:
        if not boot["done"]:
            raise host.Broken(f"the machine went down by itself in boot {boot['number']}")
        number = boot["number"]
        kept.write_text(json.dumps({"number": number + 1, "done": False}))
        for part in BOOTS[number]:
            began = time.monotonic()
            part.check(number)
            print(f"# {part.__name__}: {time.monotonic() - began:.0f} s")
        if number + 1 < len(BOOTS):
            kept.write_text(json.dumps({"number": number + 1, "done": True}))
            os.sync()
            host.must("systemctl", "reboot")
            return
        end("ok")
    except host.Broken as error:
        host.explain(error)
        end("broken")
    except Exception:
        traceback.print_exc(file=sys.stdout)
        host.explain("the checks themselves broke")
        end("broken")


def end(result):
    print(f"end {result}")
    host.call("systemctl", "poweroff", "--force")


main()
