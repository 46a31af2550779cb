import os
import sys


def visible(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


seen = [path for path in ("/var/lib/clearmld/ledger", "/run/clearmld", "/etc/clearmld") if visible(path)]
print("sees", seen or "nothing", "with", sys.prefix != sys.base_prefix)
