"""NVML under the shipped unit. The library is one of ours, found where the driver's own would be; a file beside it says
which GPUs there are. A container may make no device nodes, so its GPUs have none."""

import json
import os
import pathlib
import subprocess

import host
from host import ctl, holds, must

DESCRIBED = pathlib.Path("/usr/lib/libnvidia-ml.so.1.conf")
T4 = "GPU-22222222-2222-2222-2222-222222222222"
TASK = 'echo "visible $CUDA_VISIBLE_DEVICES, $NVIDIA_VISIBLE_DEVICES"\n'


def check():
    found = host.ask("gpu", "list")
    holds("GPUs are seen under the shipped unit", len(found["gpus"]) == 2 and found["driver"]["state"] == "up", found)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        described = DESCRIBED.read_text()
        DESCRIBED.write_text(f"{described}process gpu=1 pid={stranger.pid} used=1024\n")
        gpu = host.ask("gpu", "rescan")["gpus"][1]
        stranger.kill()
    DESCRIBED.write_text(described)
    process = gpu["processes"][0]
    holds("and what computes on them", (process["name"], process["uid"]) == ("sleep", 0), gpu)
    a_task()


def a_task():
    ctl("worker", "add", "--name", "g", "--gpus", "1", "--queue", "gpus", "--create-queue")
    script = "/tmp/gpu.sh"
    pathlib.Path(script).write_text(TASK)
    task = json.loads(ctl("submit", script, "--queue", "gpus", "--output", "json"))["task_id"]
    host.settled(task)
    log = host.log(task)
    holds("a task of a GPU worker is given its GPU by UUID", f"visible {T4}, {T4}" in log, log)
    must("clearmlctl", "worker", "remove", "g")
    os.unlink(script)
