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
from .wanted import unwant, want, wanted

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
        begun = dict.fromkeys(wanted(folder()), 0) | {file.name: size for file, size in unfinished(folder())}
        bundles = (BundleInfo(one.name, one.purpose, tuple(file.name for file in one.files)) for one in BUNDLES)
        return tuple(bundles), tuple(_info(file, begun.get(file.name)) for file in (*CATALOGUE, *BASES))

    def own(self) -> tuple[OwnModel, ...]:
        """Models that are no part of the catalogue, those that cannot be used too; at most `MAX_OWN`."""
        listed, bases = {file.stem for file in BASES} | {BUILTIN}, places()
        told = [(one.id, one.family, one.note) for one in installed() if one.id not in listed]
        told += [(name, "", f"{error.message} {error.hint}") for name, error in unusable().items()]
        return tuple(
            OwnModel(_printable(name), family, _printable(str(bases[name].parent))[-MAX_NAME:],
                     _printable(note)[:MAX_NOTE])
            for name, family, note in told[:MAX_OWN] if name in bases
        )  # fmt: skip

    def check(self, names: Sequence[str]) -> None:
        """Raise ``unknown_model`` unless all of these are names of bundles or files."""
        find(names)

    def install(self, names: Sequence[str], control: Control, report: Bytes) -> None:
        """Download what is missing of bundles and files, after a search in the usual places of other programs.

        However it ends, what has not come stays wanted, and is told as begun, until `give_up`.

        Raises:
            LayerDiffusionError: of `scan` and `install.install`; ``cancelled_by_user``.
        """
        files = find(names)
        want(folder(), files)
        self.scan("", control)
        with _cancellable():
            lacking = missing(folder(), files, control)
            sizes = {file.name: [0, file.expected] for file in lacking}

            def hear(file: Entry, done: int, total: int | None) -> None:
                sizes[file.name] = [done, total or sizes[file.name][1]]
                report(sum(one[0] for one in sizes.values()), sum(one[1] for one in sizes.values()))

            install(folder(), lacking, control, hear)
        unwant(folder(), files)

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
            done, total, damaged = 0, sum(file.expected for file in there), []
            for file, path, wrong in verify(folder(), files, control):
                done = min(total, done + file.expected)
                report(done, total)
                if wrong:
                    damaged.append(f"{path.name} {wrong}")
        if damaged:
            what = f"Not as it should be: {'; '.join(damaged)}."
            fail(ErrorCode.BAD_CHECKPOINT, what, "Install it again; what is whole is not fetched.")

    def scan(self, place: str, control: Control) -> None:
        """Find what other programs have, in a folder or, when that is "", in the usual places.

        Raises:
            LayerDiffusionError: ``invalid_request`` when there is no such folder; ``cancelled_by_user``; ``disk_full``.
        """
        if place and not (os.path.isabs(place) and os.path.isdir(place)):
            fail(ErrorCode.INVALID_REQUEST, f"There is no folder {place}."[:MAX_NOTE], "Choose another one.")
        with _cancellable():
            try:
                for _ in scan(folder(), [Path(place)] if place else None, control):
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
        done = file.expected
    purpose, licence = file.purpose[:MAX_NAME], file.licence[:MAX_NAME]
    return FileInfo(file.name, purpose, licence, file.family, file.expected, done, state)
