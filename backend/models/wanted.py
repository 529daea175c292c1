"""What a person asked for and does not have yet, so that it goes on, or is offered again, after a restart.

A small JSON file in the models' folder, there only while something is wanted. Losing it costs a person one click.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from .bundles import find
from .catalogue import Entry

NAME = "wanted-files.json"


@dataclass(frozen=True)
class Wanted:
    """Files that have not come yet.

    Attributes:
        files: name → name of the bundle or file that was asked for.
        waits: whether nobody is to go on with them unasked: they were paused, or failed.
    """

    files: dict[str, str] = field(default_factory=dict)
    waits: bool = False

    @property
    def asked(self) -> tuple[str, ...]:
        """The names that were asked for, each once."""
        return tuple(dict.fromkeys(self.files.values()))


def wanted(root: Path) -> Wanted:
    """What is wanted in a models' folder."""
    try:
        found = Wanted(**json.loads((root / NAME).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return Wanted()
    texts = isinstance(found.files, dict) and all(isinstance(name, str) for name in found.files.values())
    return found if texts else Wanted()


def want(root: Path, names: Iterable[str]) -> None:
    """Write down that bundles or files were asked for and are on their way."""
    asked = {file.name: name for name in names for file in find([name])}
    _write(root, Wanted(wanted(root).files | asked))


def unwant(root: Path, files: Iterable[Entry]) -> None:
    """Strike files that came, or that nobody wants any more."""
    old, gone = wanted(root), {file.name for file in files}
    _write(root, replace(old, files={name: asked for name, asked in old.files.items() if name not in gone}))


def hold(root: Path, waits: bool) -> None:
    """Write down whether what is wanted waits until somebody asks for it again."""
    _write(root, replace(wanted(root), waits=waits))


def _write(root: Path, what: Wanted) -> None:
    # A folder that cannot be written to is told of by the download itself.
    with contextlib.suppress(OSError):
        if not what.files:
            (root / NAME).unlink(missing_ok=True)
            return
        root.mkdir(parents=True, exist_ok=True)
        new = root / f"{NAME}.new"
        new.write_text(json.dumps(asdict(what)), "utf-8")
        os.replace(new, root / NAME)
