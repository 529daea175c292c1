"""Sets the program up with nothing but Python's standard library: environment, Krita plugin, demonstration, tests."""

import sys

OLDEST = (3, 11)
"""Oldest Python that the backend runs on."""

if sys.version_info < OLDEST:
    # Before anything else: the first import of a newer module would end in words that explain nothing.
    sys.stderr.write(
        f"Python 3.11 or newer is needed and this is {sys.version_info[0]}.{sys.version_info[1]}: install a newer one "
        "(python.org, or your distribution's package python3.11, say) and run the same command with it.\n"
    )
    sys.exit(2)
