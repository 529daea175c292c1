"""What was found out about files: their SHA-256, and those outside the models' folder that are used where they lie.

A small JSON file in the models' folder. An entry holds as long as the file has the size and time of change that it had;
losing the registry costs only the time to compute sums again and one more `scan`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

NAME = "known-files.json"


@dataclass(frozen=True)
class Known:
    """One file.

    Attributes:
        path: absolute.
        size: bytes.
        changed: time of the last change, in ns.
        sha256: hexadecimal, "" while it has not been computed.
        family: ``"sd15"`` or ``"sdxl"``; "" where that does not matter.
        mode: as of `catalogue.Entry`, or `LORA`.
    """

    path: str
    size: int
    changed: int
    sha256: str = ""
    family: str = ""
    mode: str = ""


LORA = "lora"


def look(path: Path) -> Known:
    """A file as it stands, nothing else known. Raises ``OSError``."""
    status = path.stat()
    return Known(os.path.abspath(path), status.st_size, status.st_mtime_ns)


def known(root: Path) -> dict[str, Known]:
    """Absolute path → what the registry of a models' folder says, of the files that are as they were."""
    try:
        entries = json.loads((root / NAME).read_text("utf-8"))
        found = [Known(**entry) for entry in entries]
    except (OSError, ValueError, TypeError):
        return {}
    return {entry.path: entry for entry in found if _unchanged(entry)}


def elsewhere(root: Path, *modes: str) -> list[Known]:
    """The files outside the models' folder that are used, of these modes or, when none is named, of all."""
    inside = os.path.join(os.path.abspath(root), "")
    others = [entry for path, entry in known(root).items() if entry.mode and not path.startswith(inside)]
    return [entry for entry in others if not modes or entry.mode in modes]


def remember(root: Path, files: Iterable[Known]) -> None:
    """Write down what was found out; what the registry knows and these leave empty stays. Raises ``OSError``."""
    def add(entries: dict[str, Known]) -> None:
        for file in files:
            old = entries.get(file.path)
            filled = {} if old is None else {
                name.name: getattr(old, name.name) for name in fields(file) if getattr(file, name.name) == ""
            }
            entries[file.path] = replace(file, **filled)

    _change(root, add)


def forget(root: Path, paths: Iterable[str]) -> None:
    """Strike files out; the files themselves stay. Raises ``OSError``."""
    def strike(entries: dict[str, Known]) -> None:
        for path in paths:
            entries.pop(path, None)

    _change(root, strike)


def _change(root: Path, change: Callable[[dict[str, Known]], None]) -> None:
    """Read, change and write in one step that no other process comes between."""
    from huggingface_hub.utils import WeakFileLock

    root.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(root / f"{NAME}.lock"):
        entries = known(root)
        change(entries)
        new = root / f"{NAME}.new"
        new.write_text(json.dumps([asdict(entry) for entry in entries.values()], indent=1), "utf-8")
        os.replace(new, root / NAME)


def _unchanged(entry: Known) -> bool:
    try:
        status = os.stat(entry.path)
    except (OSError, ValueError):
        return False
    return (status.st_size, status.st_mtime_ns) == (entry.size, entry.changed)
