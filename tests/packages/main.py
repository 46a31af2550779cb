#!/usr/bin/env python3
"""What holds of the packages that `make deb rpm` has built, one line each. The booted part is in tests/e2e.

usage: main.py PACKAGES ROOT-FILE-SYSTEM
"""

import os
import pathlib
import sys
import tempfile

import contents
import life
import lint
import pages
import told


def main(packages, base):
    repository = pathlib.Path(__file__).resolve().parents[2]
    version = told.must(repository / "packaging/version.sh").strip().replace("-", "~")
    architecture = told.must("dpkg", "--print-architecture").strip()
    deb = packages / f"clearmld_{version}_{architecture}.deb"
    rpm = next(packages.glob(f"clearmld-{version}-1.*.rpm"), None)
    told.holds("both packages bear the version of Cargo.toml", deb.exists() and rpm, sorted(packages.iterdir()))
    with tempfile.TemporaryDirectory(dir=packages) as scratch:
        scratch = pathlib.Path(scratch)
        tree = scratch / "tree"
        told.must("dpkg-deb", "--extract", deb, tree)
        lint.check(repository, deb, rpm)
        contents.check(repository, deb, rpm, tree)
        pages.check(tree)
        life.check(repository, base, scratch, deb, rpm)
    print(f"packages: all {len(told.HELD)} behaviours hold")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    if os.geteuid() != 0:
        sys.exit("packages are installed into a root file system here, which needs root: sudo make test-packages")
    try:
        main(*(pathlib.Path(argument).resolve() for argument in sys.argv[1:]))
    except told.Broken as error:
        sys.exit(str(error))
