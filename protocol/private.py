"""What is left out of texts that people pass on to others."""

from __future__ import annotations

import re
from pathlib import Path

QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”|„[^“]*“")
"""A quotation in an error may come out of a prompt."""

ADDRESS = re.compile(r"[\w.\-\[\]:]+:\d+\b")
"""A machine and its port."""

_STEP = r"(?:(?![.,]\s)[^\\/\n\"'<>|:;])+[\\/]"
PLACE = re.compile(
    rf"(?<![\w./\\~-])(?:(?:[A-Za-z]:|~)[\\/](?:{_STEP})*|(?:/|\\\\)(?=[^\s/])(?:{_STEP})+)"
)
"""The folders of a path from the root, a drive, a share or the user's folder on. Their names may hold spaces, so that
more of a text may be taken for them than there is of them."""


def without_quotations(text: str) -> str:
    """The text with “…” or the like shortened to an ellipsis."""
    return QUOTED.sub("…", text)


def without_addresses(text: str) -> str:
    """The text with ``name:port`` shortened to an ellipsis."""
    return ADDRESS.sub("…", text)


def without_home(text: str) -> str:
    """The text with the user's folder, and so the user's name, as ``~``."""
    return text.replace(str(Path.home()), "~")


def without_places(text: str) -> str:
    """The text with the last name alone of each path, but for relative ones."""
    return PLACE.sub("", text)
