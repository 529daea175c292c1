"""The one error of the installer, and what a person types to act on it."""

import sys

COMMAND = "py -m installer" if sys.platform == "win32" else "python3 -m installer"
"""In Windows `python3` is mostly the entrance of a shop."""


class InstallerError(Exception):
    """Something a person can act on: one sentence what happened, one what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message} {hint}")
