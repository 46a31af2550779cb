"""Manual pages and completions."""

import re
import tomllib

from contents import commands
from told import call, holds, must


def check(tree):
    man(tree)
    completions(tree)
    settings(tree)


def man(tree):
    pages = sorted((tree / "usr/share/man").rglob("*.gz"))
    texts = {}
    for page in pages:
        shown = call("man", "--warnings", "--local-file", page)
        if shown.returncode != 0 or shown.stderr:
            holds(f"{page.name} renders without a warning", False, shown.stderr)
        texts[page.name.removesuffix(".gz")] = shown.stdout
    holds(f"all {len(pages)} manual pages render without a warning", pages)
    referred = {
        (name, f"{reference[0]}.{reference[1]}")
        for name, text in texts.items()
        for reference in re.findall(r"\b(clearml[a-z.-]*)\(([158])\)", text)
    }
    dangling = sorted((page, to) for page, to in referred if to not in texts)
    holds("and refer to no page of ours that does not exist", not dangling, dangling)
    options = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", must(tree / "usr/bin/clearmld", "--help"), re.MULTILINE))
    untold = [option for option in options - {"--help", "--version"} if option not in texts["clearmld.8"]]
    holds("clearmld(8) has every option of the daemon", not untold, untold)


def completions(tree):
    bash = tree / "usr/share/bash-completion/completions/clearmlctl"
    zsh = tree / "usr/share/zsh/site-functions/_clearmlctl"
    fish = tree / "usr/share/fish/vendor_completions.d/clearmlctl.fish"
    for shell, file in (("bash", bash), ("zsh", zsh), ("fish", fish)):
        parsed = call(shell, "-n", file)
        holds(f"{shell} parses its completion", parsed.returncode == 0 and not parsed.stderr, parsed.stderr)
    paths = sorted(name.split("-")[1:] for name in commands(tree) if name != "clearmlctl")
    expected = {}
    for path in paths:
        expected.setdefault(tuple(path[:-1]), set()).add(path[-1])
    for before, names in expected.items():
        typed = " ".join(("clearmlctl", *before, ""))
        offers = {"bash": offered_by_bash(bash, before), "fish": offered_by_fish(fish, typed)}
        for shell, offered in offers.items():
            holds(f"{shell} completes `{typed}` with {' '.join(sorted(names))}", names <= offered, offered)
    # It needs a terminal; what it would offer is in its text.
    text = zsh.read_text()
    missing = [path for path in paths if not re.search(rf"^'{re.escape(path[-1])}:", text, re.MULTILINE)]
    holds("zsh knows them, too", not missing, missing)


def offered_by_bash(file, before):
    words = ("clearmlctl", *before, "")
    quoted = " ".join(f"'{word}'" for word in words)
    script = f"""source '{file}'
COMP_WORDS=({quoted}) COMP_CWORD={len(words) - 1}
_clearmlctl clearmlctl '' '{words[-2]}'
printf '%s\\n' "${{COMPREPLY[@]}}" """
    return set(must("bash", "-c", script).split())


def offered_by_fish(file, typed):
    lines = must("fish", "--no-config", "-c", f"source '{file}'; complete --do-complete '{typed}'").splitlines()
    return {line.split("\t")[0] for line in lines}


def settings(tree):
    text = (tree / "etc/clearmld/clearmld.toml").read_text()
    holds("the default configuration says nothing", tomllib.loads(text) == {}, text)
    shown = tomllib.loads(re.sub(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE))
    page = must("man", "--local-file", tree / "usr/share/man/man5/clearmld.toml.5.gz")
    missing = [key for key in shown if key not in page]
    holds(f"and shows {len(shown)} settings, all of which clearmld.toml(5) explains", shown and not missing, missing)
