"""What is left out of texts that people pass on to others."""

from __future__ import annotations

import re
from pathlib import Path

QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”|„[^“]*“")
"""A quotation in an error may come out of a prompt."""

ADDRESS = re.compile(r"[\w.\-\[\]:]+:\d+\b")
"""A machine and its port."""


def without_quotations(text: str) -> str:
    """The text with “…” or the like shortened to an ellipsis."""
    return QUOTED.sub("…", text)


def without_addresses(text: str) -> str:
    """The text with ``name:port`` shortened to an ellipsis."""
    return ADDRESS.sub("…", text)


def without_home(text: str) -> str:
    """The text with the user's folder, and so the user's name, as ``~``."""
    return text.replace(str(Path.home()), "~")
