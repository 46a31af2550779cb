#!/usr/bin/env python3
"""Licences and notices of the crates that the installed programs contain, as text. Their texts ask for it."""

import json
import os
import pathlib
import subprocess
import sys

HEAD = """clearmld contains the following crates, each under the licence that is named beside it. The texts that they
bring follow, each once."""
NAMES = ("license", "licence", "copying", "copyright", "notice", "unlicense")


def main(host):
    command = [os.environ.get("CARGO", "cargo"), "metadata", "--locked", "--format-version=1"]
    told = subprocess.run([*command, f"--filter-platform={host}"], check=True, capture_output=True, text=True).stdout
    metadata = json.loads(told)
    packages = {package["id"]: package for package in metadata["packages"]}
    used = linked(metadata["resolve"])
    crates = sorted((packages[name] for name in used), key=lambda crate: (crate["name"], crate["version"]))
    texts = {}
    print(HEAD, "\n")
    for crate in crates:
        label = f"{crate['name']} {crate['version']}"
        print(f"{label} ({crate['license'] or 'see its text'}), {crate['repository'] or 'crates.io'}")
        for path in sorted(pathlib.Path(crate["manifest_path"]).parent.iterdir()):
            if path.is_file() and path.name.lower().startswith(NAMES):
                texts.setdefault(path.read_text(errors="replace").strip(), []).append(label)
    for text, labels in texts.items():
        print(f"\n\n{'=' * 80}\n{', '.join(dict.fromkeys(labels))}\n{'=' * 80}\n\n{text}")


def linked(resolve):
    """What ends in a program: neither tests nor what only builds."""
    nodes = {node["id"]: node for node in resolve["nodes"]}
    seen, todo = {resolve["root"]}, [resolve["root"]]
    while todo:
        for dependency in nodes[todo.pop()]["deps"]:
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if normal and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                todo.append(dependency["pkg"])
    return seen - {resolve["root"]}


main(sys.argv[1])
