"""What holds under systemd, one line each. The file `phase` says which boot this is."""

import os
import pathlib
import sys
import traceback

import documents
import escape
import gpus
import host
import launcher
import logs
import reboots
import runs
import service

HERE = pathlib.Path("/check")
PHASES = [
    # The first boot ends as with a power cut, the second in an orderly way; the third has seen both.
    lambda: (
        service.check(),
        gpus.check(),
        runs.check(),
        logs.check(),
        launcher.check(),
        escape.check(),
        reboots.cut_the_power(),
    ),
    lambda: (reboots.after_the_power_cut(), reboots.power_off()),
    lambda: (reboots.after_the_power_off(), documents.check()),
]
# What an old systemd could be unable to do.
ONE_BOOT = [lambda: (service.check(), runs.check())]


def main():
    phase_file = HERE / "phase"
    phase = int(phase_file.read_text()) if phase_file.exists() else 0
    phase_file.write_text(str(phase + 1))
    try:
        phases = ONE_BOOT if (HERE / "only-one-boot").exists() else PHASES
        phases[phase]()
        if phase + 1 < len(phases):
            return
        end("ok")
    except host.Broken as error:
        host.explain(error)
        end("broken")
    except Exception:
        traceback.print_exc()
        host.explain("the checks themselves broke")
        end("broken")


def end(result):
    sys.stdout.flush()
    (HERE / "result").write_text(result)
    os.sync()
    host.call("systemctl", "poweroff", "--force")


main()
