"""Writes expected.json beside it: what ClearML's own pyhocon reads from the files here.

    python -m venv /tmp/reference && /tmp/reference/bin/pip install clearml-agent
    /tmp/reference/bin/python tests/config/reference.py

The copy of pyhocon inside clearml-agent is asked, since that is what reads clearml.conf.
"""

import json
import pathlib

from clearml_agent.external.pyhocon import ConfigFactory
from clearml_agent.external.pyhocon.config_tree import NoneValue

HERE = pathlib.Path(__file__).parent


def plain(value):
    if isinstance(value, NoneValue):
        return None
    if isinstance(value, dict):
        return {key.strip('"'): plain(dict.__getitem__(value, key)) for key in dict.keys(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def read(text):
    try:
        return {"text": text, "value": plain(ConfigFactory.parse_string(text, str(HERE)))}
    except Exception as error:  # pyhocon raises whatever comes
        return {"text": text, "refused": type(error).__name__}


if __name__ == "__main__":
    cases = (HERE / "cases.txt").read_text().split("\n---\n")
    files = {path.name: plain(ConfigFactory.parse_file(str(path))) for path in sorted(HERE.glob("*.conf"))}
    (HERE / "expected.json").write_text(json.dumps({"cases": [read(c) for c in cases], "files": files}, indent=1) + "\n")
