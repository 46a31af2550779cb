"""What the distributions' own checkers say."""

import re

from told import call, holds


def check(repository, deb, rpm):
    said = call("lintian", "--display-info", "--pedantic", "--tag-display-limit", "0", deb)
    hints = [line for line in said.stdout.splitlines() if re.match("[EWIPX]: ", line)]
    # An override too many is no fault: what lintian reads out of machine code comes and goes.
    hints = [line for line in hints if "unused-override" not in line]
    holds("lintian has nothing to say that is not overridden with a reason", not hints, "\n".join(hints))
    said = call("rpmlint", "--config", repository / "packaging/rpm/rpmlint.toml", rpm)
    clean = re.search(r"0 errors, 0 warnings", said.stdout) and said.returncode == 0
    holds("nor has rpmlint", clean, said.stdout + said.stderr)
    parsed = call("apparmor_parser", "--skip-kernel-load", "--skip-cache", repository / "packaging/apparmor/clearmld")
    holds("apparmor_parser takes the profile", parsed.returncode == 0, parsed.stdout + parsed.stderr)
