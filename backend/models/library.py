"""What the server tells its clients about the models on this machine, and does with them at their wish."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from protocol.errors import ErrorCode, LayerDiffusionError
from protocol.job import ModelInfo
from protocol.library import BundleInfo, FileInfo, FileState
from protocol.limits import MAX_NAME
from protocol.request import Request

from .bundles import BUNDLES, find
from .catalogue import BASES, CATALOGUE, Entry
from .control import Cancelled, Control
from .install import install, missing, place, present, remove, unfinished
from .installed import folder, installed, lora_names, resolve
from .needs import needed

Bytes = Callable[[int, int], None]
"""Hears of the bytes that are there, and of those in all."""


class Library:
    """The models' folder, the catalogue and what other programs have; every method may take seconds.

    It holds no state, and its methods may be called from any thread.
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
        begun = {file.name: size for file, size in unfinished(folder())}
        bundles = (BundleInfo(one.name, one.purpose, tuple(file.name for file in one.files)) for one in BUNDLES)
        return tuple(bundles), tuple(_info(file, begun.get(file.name, 0)) for file in (*CATALOGUE, *BASES))

    def check(self, names: Sequence[str]) -> None:
        """Raise ``unknown_model`` unless all of these are names of bundles or files."""
        find(names)

    def install(self, names: Sequence[str], control: Control, report: Bytes) -> None:
        """Download what is missing of bundles and files.

        Raises:
            LayerDiffusionError: of `install.install`; ``cancelled_by_user``.
        """
        try:
            wanted = missing(folder(), find(names), control)
            sizes = {file.name: [0, file.size or 0] for file in wanted}

            def hear(file: Entry, done: int, total: int | None) -> None:
                sizes[file.name] = [done, total or sizes[file.name][1]]
                report(sum(one[0] for one in sizes.values()), sum(one[1] for one in sizes.values()))

            install(folder(), wanted, control, hear)
        except Cancelled:
            raise LayerDiffusionError(ErrorCode.CANCELLED_BY_USER) from None

    def remove(self, names: Sequence[str]) -> None:
        """Delete files. Raises `LayerDiffusionError` of `install.remove` and `find`."""
        remove(folder(), find(names))


def _info(file: Entry, begun: int) -> FileInfo:
    path, size = present(folder(), file), file.size or 0
    if path is None:
        state, done = (FileState.PARTIAL if begun else FileState.MISSING), begun
    else:
        state = FileState.INSTALLED if path == place(folder(), file) else FileState.ELSEWHERE
        done = size or path.stat().st_size
    purpose, licence = file.purpose[:MAX_NAME], file.licence[:MAX_NAME]
    return FileInfo(file.name, purpose, licence, file.family, size or (done if path else 0), done, state)
