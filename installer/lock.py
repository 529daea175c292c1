"""One installer at a time in one folder."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from .errors import InstallerError

NAME = "installer.lock"


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock meanwhile; the system takes it back however this process ends.

    Raises `InstallerError` when another installer holds it, or when the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / NAME, "a+b")  # noqa: SIM115
    except OSError as error:
        raise InstallerError(
            f"The folder {folder} cannot be written ({error.strerror or error}).",
            "Check that it is yours and that the disk has space, or choose another with --home.",
        ) from error
    with file:
        try:
            _take(file.fileno())
        except OSError as error:
            raise InstallerError(f"Another installer is at work in {folder}.", "Wait until it has finished.") from error
        yield


def _take(number: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
