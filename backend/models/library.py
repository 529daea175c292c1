"""What the server tells its clients about the models on this machine, and does with them at their wish."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from protocol.errors import ErrorCode, LayerDiffusionError, fail
from protocol.job import ModelInfo
from protocol.library import BundleInfo, FileInfo, FileState, OwnModel
from protocol.limits import MAX_NAME, MAX_NOTE
from protocol.request import Request

from .bundles import BUNDLES, find
from .catalogue import BASES, CATALOGUE, Entry
from .control import Cancelled, Control
from .install import install, missing, place, present, remove, unfinished, verify
from .installed import BUILTIN, folder, installed, lora_names, places, resolve, unusable
from .needs import needed
from .scan import scan
from .wanted import hold, unwant, want, wanted

Bytes = Callable[[int, int], None]
"""Hears of the bytes that are there, and of those in all."""
MAX_OWN = 128
"""Models besides those of the catalogue that are told of; more might not fit into a text message."""


class Library:
    """The models' folder, the catalogue and what other programs have; every method may take seconds.

    It holds no state, and its methods may be called from any thread; one at a time changes files.
    """

    def models(self) -> Sequence[ModelInfo]:
        """The models that can be chosen."""
        return installed()

    def loras(self) -> Sequence[str]:
        """Names that `<lora:…>` may name."""
        return [name for name in lora_names() if name.isprintable() and len(name) <= MAX_NAME]

    def find(self, request: Request) -> ModelInfo:
        """The model of a request that it has all files for. Raises `LayerDiffusionError` of `resolve` and `needed`."""
        files = resolve(request.model)
        needed(request, files)
        return files.info

    def files(self) -> tuple[tuple[BundleInfo, ...], tuple[FileInfo, ...]]:
        """What can be installed, and what of it is there."""
        begun = dict.fromkeys(wanted(folder()).files, 0) | {file.name: size for file, size in unfinished(folder())}
        bundles = (BundleInfo(one.name, one.purpose, tuple(file.name for file in one.files)) for one in BUNDLES)
        return tuple(bundles), tuple(_info(file, begun.get(file.name)) for file in (*CATALOGUE, *BASES))

    def own(self) -> tuple[OwnModel, ...]:
        """Models that are no part of the catalogue, those that cannot be used too; at most `MAX_OWN`."""
        listed, bases = {file.stem for file in BASES} | {BUILTIN}, places()
        told = [(one.id, one.family, one.note) for one in installed() if one.id not in listed]
        told += [(name, "", f"{error.message} {error.hint}") for name, error in unusable().items()]
        return tuple(self._own(name, family, bases[name], note) for name, family, note in told[:MAX_OWN]
                     if name in bases)  # fmt: skip

    def _own(self, name: str, family: str, path: Path, note: str) -> OwnModel:
        place = _printable(str(path.parent))[-MAX_NAME:]
        return OwnModel(_printable(name), family, place, _printable(note)[:MAX_NOTE])

    def waiting(self) -> tuple[str, ...]:
        """Names that were asked for, of what has not come whole and was not given up."""
        return wanted(folder()).asked

    def on_its_way(self) -> tuple[str, ...]:
        """Those names when the last process ended in the middle of them, so that they are to go on by themselves."""
        try:
            what = wanted(folder())
            find(what.asked)
            return () if what.waits else what.asked
        except LayerDiffusionError:
            return ()  # of another release

    def hold(self, waits: bool) -> None:
        """Write down whether an installation waits, which it then does after a restart, too."""
        hold(folder(), waits)

    def check(self, names: Sequence[str]) -> None:
        """Raise ``unknown_model`` unless all of these are names of bundles or files."""
        find(names)

    def install(self, names: Sequence[str], control: Control, report: Bytes) -> None:
        """Download what is missing of bundles and files, after a search in the usual places of other programs.

        However it ends, what has not come stays wanted, and is told as begun, until `give_up`. When it fails it waits
        to be asked for again; when the process ends it is `on_its_way` for the next one.

        Raises:
            LayerDiffusionError: of `scan` and `install.install`; ``cancelled_by_user``.
        """
        files = find(names)
        want(folder(), names)
        try:
            self.scan("", control)
            self._install(files, control, report)
        except LayerDiffusionError as error:
            if error.code is not ErrorCode.CANCELLED_BY_USER:
                self.hold(True)
            raise
        unwant(folder(), files)

    def _install(self, files: Sequence[Entry], control: Control, report: Bytes) -> None:
        with _cancellable():
            lacking = missing(folder(), files, control)
            total, come = sum(file.size for file in lacking), dict.fromkeys(lacking, 0)

            def hear(file: Entry, done: int) -> None:
                come[file] = done
                report(sum(come.values()), total)

            install(folder(), lacking, control, hear)

    def give_up(self, names: Sequence[str]) -> None:
        """Offer no more to go on with files of which nothing has come: the person cancelled."""
        unwant(folder(), find(names))

    def verify(self, names: Sequence[str], control: Control, report: Bytes) -> None:
        """Read what is there of bundles and files, or of everything, to its end; what is damaged counts as missing.

        Raises:
            LayerDiffusionError: ``bad_checkpoint`` naming the files that are damaged; ``cancelled_by_user``.
        """
        with _cancellable():
            files = find(names) or (*CATALOGUE, *BASES)
            there = [file for file in files if place(folder(), file).exists() or present(folder(), file)]
            done, total, damaged = 0, sum(file.size for file in there), []
            for file, path, wrong in verify(folder(), files, control):
                done = min(total, done + file.size)
                report(done, total)
                if wrong:
                    damaged.append(f"{path.name} {wrong}")
        if damaged:
            what = f"Not as it should be: {'; '.join(damaged)}."
            fail(ErrorCode.BAD_CHECKPOINT, what, "Install it again; what is whole is not fetched.")

    def scan(self, place: str, control: Control, report: Callable[[int], None] | None = None) -> None:
        """Find what other programs have, in a folder or, when that is "", in the usual places.

        `report` hears of the files that have been looked into.

        Raises:
            LayerDiffusionError: ``invalid_request`` when there is no such folder; ``cancelled_by_user``; ``disk_full``.
        """
        if place and not (os.path.isabs(place) and os.path.isdir(place)):
            fail(ErrorCode.INVALID_REQUEST, f"There is no folder {place}."[:MAX_NOTE], "Choose another one.")
        with _cancellable():
            try:
                for _ in scan(folder(), [Path(place)] if place else None, control, report):
                    pass
            except OSError as error:
                fail(ErrorCode.DISK_FULL, f"What was found cannot be written down: {error.strerror}.")

    def remove(self, names: Sequence[str]) -> None:
        """Delete files. Raises `LayerDiffusionError` of `install.remove` and `find`."""
        unwant(folder(), find(names))
        remove(folder(), find(names))


@contextlib.contextmanager
def _cancellable() -> Iterator[None]:
    try:
        yield
    except Cancelled:
        raise LayerDiffusionError(ErrorCode.CANCELLED_BY_USER) from None


def _printable(text: str) -> str:
    """A text with names of files in it, which may hold nearly any character."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _info(file: Entry, begun: int | None) -> FileInfo:
    """What is told of a file; `begun` are the bytes of it that have come, None when it was not asked for."""
    path = present(folder(), file)
    if path is None:
        state, done = (FileState.MISSING if begun is None else FileState.PARTIAL), begun or 0
    else:
        state = FileState.INSTALLED if path == place(folder(), file) else FileState.ELSEWHERE
        done = file.size
    purpose, licence = file.purpose[:MAX_NAME], file.licence[:MAX_NAME]
    return FileInfo(
        file.name, purpose, licence, file.repository, file.revision, file.sha256, file.family, file.memory,
        file.size, done, state,
    )  # fmt: skip
