"""Which files a person asked for and does not have yet, so that what was not begun is offered again after a restart.

A small JSON file in the models' folder, there only while something is wanted. Losing it costs a person one click.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from .catalogue import Entry

NAME = "wanted-files.json"


def wanted(root: Path) -> set[str]:
    """Names of the files."""
    try:
        names = json.loads((root / NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return set()
    return {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()


def want(root: Path, files: Iterable[Entry]) -> None:
    """Write down that files were asked for."""
    _write(root, wanted(root) | {file.name for file in files})


def unwant(root: Path, files: Iterable[Entry]) -> None:
    """Strike files that came, or that nobody wants any more."""
    _write(root, wanted(root) - {file.name for file in files})


def _write(root: Path, names: set[str]) -> None:
    # A folder that cannot be written to is told of by the download itself.
    with contextlib.suppress(OSError):
        if not names:
            (root / NAME).unlink(missing_ok=True)
            return
        root.mkdir(parents=True, exist_ok=True)
        new = root / f"{NAME}.new"
        new.write_text(json.dumps(sorted(names)), "utf-8")
        os.replace(new, root / NAME)
