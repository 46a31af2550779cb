"""A task as people have them: a git repository, the clearml SDK from packages."""

from host import ask, holds, journal, log, settled, submit

CODE = ("--repo", "file:///check/repository.git", "--branch", "main", "--entry-point", "train.py")


def check(_boot):
    task = submit(None, name="train", options=CODE)
    ended = settled(task, 120)
    text = log(task)
    holds("an SDK task from git completes", ended["end"]["cause"] == "completed", (ended, text))
    holds("its log is at the server", "epoch 2\n" in text and "trained\n" in text, text)
    at_server = ask("task", "show", task)
    scalars = [scalar for scalar in at_server["last_scalars"] if scalar["metric"] == "loss"]
    holds("its scalars are there", len(scalars) == 1 and abs(scalars[0]["value"] - 1 / 3) < 1e-6, at_server)
    holds("its artifact is there", [a["key"] for a in at_server["artifacts"]] == ["answer"], at_server)
    lines = journal(f"CLEARML_TASK_ID={task}")
    said = {entry["MESSAGE"] for entry in lines if entry.get("SYSLOG_IDENTIFIER") == "clearml-task"}
    holds("journalctl CLEARML_TASK_ID=… shows its log", {"epoch 0", "epoch 2", "trained"} <= said, said)
    kinds = [entry["MESSAGE"].split(":")[0] for entry in lines if entry.get("SYSLOG_IDENTIFIER") == "clearmld"]
    holds("and its life", {"run_started", "run_settled"} <= set(kinds), kinds)
