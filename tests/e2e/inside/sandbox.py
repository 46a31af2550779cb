"""The escape tests, where the kernel has all controllers and AppArmor confines the daemon."""

import escape


def check(_boot):
    escape.check(("hostile::", "leftovers::"))
