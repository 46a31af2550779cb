#!/usr/bin/env python3
"""How long a trivial task takes from its queue to its end, under clearmld and under the stock clearml-agent, against the
same server on the same machine in one run. Prints medians and their ratio.

usage: target/test-venv/bin/python tests/benches/beside_agent.py target/release [ROUNDS]
"""

import base64
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

SCRIPT = "print('hello')\n"


class Server:
    def __init__(self, url, pair):
        self.url, self.auth = url, "Basic " + base64.b64encode(":".join(pair).encode()).decode()

    def call(self, endpoint, /, **body):
        request = urllib.request.Request(
            f"{self.url}/{endpoint}",
            json.dumps(body).encode(),
            {"Authorization": self.auth, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["data"]

    def one_task(self):
        """Seconds from enqueue to started, to the first line of the program, and to the end."""
        task = self.call(
            "tasks.create",
            name="bench",
            type="training",
            script={"binary": "python", "entry_point": "hello.py", "diff": SCRIPT, "requirements": {"pip": ""}},
        )["id"]
        began = time.monotonic()
        self.call("tasks.enqueue", task=task, queue_name="default")
        started = said = None
        while True:
            state = self.call("tasks.get_by_id", task=task)["task"]
            now = time.monotonic() - began
            if started is None and state["status"] != "queued":
                started = now
            if said is None and any("hello\n" in e["msg"] for e in self.call("events.get_task_log", task=task)["events"]):
                said = time.monotonic() - began
            if state["status"] in ("completed", "failed", "stopped"):
                assert state["status"] == "completed", state
                return started, said or time.monotonic() - began, now
            time.sleep(0.02)


def rounds(server, count):
    server.one_task()  # the first makes environments and caches
    figures = [server.one_task() for _ in range(count)]
    return [statistics.median(column) for column in zip(*figures)]


def main():
    bin = pathlib.Path(sys.argv[1]).resolve()
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    base = pathlib.Path(tempfile.mkdtemp(prefix="clearmld-bench."))
    base.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML", "TRAINS"))}
    clean.update(HOME=str(base), CLEARMLD_SOCKET=str(base / "s"), CLEARML_WORKER_NAME="bench")
    log = open(base / "log", "w")
    daemon = subprocess.Popen(
        [bin / "clearmld", "--local=127.0.0.1:0", "--state-dir", base / "state", "--socket", base / "s"],
        env=clean, stdout=log, stderr=log,
    )
    ctl = lambda *args: subprocess.run([bin / "clearmlctl", *args], env=clean, check=True, capture_output=True, text=True).stdout
    try:
        for _ in range(200):
            if (base / "s").exists():
                break
            time.sleep(0.05)
        url = json.loads(ctl("status", "--output", "json"))["server"]["api_url"]
        pair = json.loads((base / "state/server/credentials.json").read_text())
        server = Server(url, (pair["access_key"], pair["secret_key"]))
        ctl("worker", "add", "--cpu-only", "--queue", "default", "--name", "ours")
        ours = rounds(server, count)
        ctl("worker", "stop", "ours")
        agent_env = dict(clean, CLEARML_API_HOST=url, CLEARML_WEB_HOST=url, CLEARML_FILES_HOST=url,
                         CLEARML_API_ACCESS_KEY=pair["access_key"], CLEARML_API_SECRET_KEY=pair["secret_key"],
                         TMPDIR=str(base))
        agent = subprocess.Popen(
            [sys.executable, "-m", "clearml_agent", "daemon", "--foreground", "--cpu-only", "--queue", "default"],
            env=agent_env, stdout=log, stderr=log,
        )
        try:
            theirs = rounds(server, count)
        finally:
            agent.send_signal(signal.SIGKILL)
            agent.wait()
    finally:
        daemon.terminate()
        daemon.wait()
        log.close()
        shutil.rmtree(base, ignore_errors=True)
    print(f"median of {count} tasks, seconds from enqueue to … {'clearmld':>18}{'clearml-agent':>16}{'ratio':>8}")
    for name, mine, agents in zip(("started", "first line at the server", "completed"), ours, theirs):
        print(f"{name:<45}{mine:>18.2f}{agents:>16.2f}{agents / mine:>8.1f}")


if __name__ == "__main__":
    main()
