"""Files of the catalogue on this machine: which are there, get the others, check them, remove them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from protocol.errors import ErrorCode, LayerDiffusionError, fail

from . import registry
from .catalogue import BASE, BASES, CATALOGUE, PART, VAE, Entry, gigabytes
from .control import Cancelled, Control
from .identity import identity
from .integrity import fault, known_sha256, sha256_of
from .registry import Known

PARALLEL = 2
"""Downloads at once: enough to fill a line, and polite to the hub."""
Report = Callable[[Entry, int], None]
"""Hears of a file and the bytes of it that are there; from any thread."""


def place(root: Path, file: Entry) -> Path:
    """Where a file of the catalogue belongs in a models' folder."""
    return root / file.folder / file.name


def present(root: Path, file: Entry, control: Control | None = None) -> Path | None:
    """Where the file is, or another spelling of it that does the same; None when it is missing.

    It is looked for in its place, under other names beside that, and elsewhere on this machine as `scan` found it. The
    first time this reads a file with a known sum to its end; the sum is written down. Raises `Cancelled`.
    """
    path = place(root, file)
    return path if _right(root, file, path, control) else next(_others(root, file, control), None)


def _others(root: Path, file: Entry, control: Control | None = None) -> Iterator[Path]:
    """Where a file of the catalogue, or what does the same, is besides its own place."""
    try:
        beside = sorted((root / file.folder).glob("*.safetensors"))
    except OSError:
        beside = []
    for path in beside:
        told = identity(root, path, control) == (file.family, file.mode) if _is_layer(file) else _right(
            root, file, path, control)
        if told and path != place(root, file):
            yield path
    for other in registry.elsewhere(root, file.mode):
        # Another spelling of a layer file has another size.
        another = _is_layer(file) and other.size != file.size
        if other.family == file.family and (another or _right(root, file, Path(other.path), control)):
            yield Path(other.path)


def missing(root: Path, files: Iterable[Entry], control: Control | None = None) -> list[Entry]:
    """Those that are not there, or not the right ones. As `present`."""
    return [file for file in files if present(root, file, control) is None]


def install(root: Path, files: Sequence[Entry], control: Control | None = None, report: Report | None = None) -> None:
    """Download what is missing, `PARALLEL` files at a time; each becomes visible when it is whole and checked.

    Args:
        root: the models' folder.
        files: of the catalogue.
        control: pauses and cancels.
        report: hears of the progress.

    Raises:
        LayerDiffusionError: ``disk_full`` before anything is downloaded when there is no room for all;
            ``download_failed`` and ``disk_full`` for the first file that failed, after the others are done. Those that
            would fail for the same reason are not begun.
        Cancelled: what has come is kept, and taken up by the next call.
    """
    control = control or Control()
    wanted = missing(root, files, control)
    _check_space(root, wanted)
    with ThreadPoolExecutor(PARALLEL) as pool:
        tasks = [pool.submit(_install_one, root, file, control, report) for file in wanted]
        try:
            for task in as_completed(tasks):
                if not task.cancelled() and _hopeless(task.exception()):
                    for other in tasks:
                        other.cancel()
        except BaseException:
            control.cancel()
            raise
    errors = [error for task in tasks if not task.cancelled() and (error := task.exception())]
    for error in sorted(errors, key=lambda error: not isinstance(error, Cancelled)):
        raise error


def verify(root: Path, files: Iterable[Entry], control: Control | None = None) -> Iterator[tuple[Entry, Path, str]]:
    """Read every file that is in its place, or used under another name or elsewhere, once: file, path and `fault`.

    Files that are not there are passed over. Raises `Cancelled`.
    """
    seen: set[Path] = set()
    for file in files:
        others = (Path(other.path) for other in registry.known(root).values() if _same(other, file))
        for path in (place(root, file), *others):
            if path.exists() and path not in seen:
                seen.add(path)
                yield file, path, _fresh_fault(root, file, path, control)


def remove(root: Path, files: Iterable[Entry]) -> int:
    """Delete files and what has come of unfinished ones; forget those elsewhere, which stay. Return the bytes freed.

    Raises:
        LayerDiffusionError: ``missing_file`` when a file cannot be deleted.
    """
    freed = 0
    for file in files:
        path = place(root, file)
        registry.forget(root, [
            os.path.abspath(path), *(o.path for o in registry.elsewhere(root, file.mode) if _same(o, file)),
        ])
        for one in (path, path.with_name(path.name + PART)):
            try:
                size = one.lstat().st_size
                one.unlink()
                freed += size
            except FileNotFoundError:
                continue
            except OSError as error:
                fail(ErrorCode.MISSING_FILE, f"{one} cannot be deleted: {error.strerror}.",
                     "Close the programs that use it, and check its permissions.")
    return freed


def unfinished(root: Path) -> list[tuple[Entry, int]]:
    """The files of which only a part has come, with its bytes."""
    parts = [(file, place(root, file).with_name(file.name + PART)) for file in (*CATALOGUE, *BASES)]
    return [(file, part.stat().st_size) for file, part in parts if part.exists()]


def _install_one(root: Path, file: Entry, control: Control, report: Report | None) -> None:
    # The hub's library takes half a second to import, which lists need not wait for.
    from .download import fetch

    target = place(root, file)
    fetch(file, target, control, lambda done: report(file, done) if report else None)
    # It was checked a moment ago.
    known = registry.look(target)
    registry.remember(root, [replace(known, sha256=file.sha256, family=file.family, mode=file.mode)])


def _hopeless(error: BaseException | None) -> bool:
    """Whether files that are not begun yet would fail as well."""
    from .download import Unreachable

    full = isinstance(error, LayerDiffusionError) and error.code is ErrorCode.DISK_FULL
    return full or isinstance(error, Unreachable)


def _right(root: Path, file: Entry, path: Path, control: Control | None) -> bool:
    try:
        if path.stat().st_size != file.size:
            return False
        return not fault(file, path, control, known_sha256(root, path, control))
    except (OSError, LayerDiffusionError):
        return False


def _fresh_fault(root: Path, file: Entry, path: Path, control: Control | None) -> str:
    """`fault` of the bytes that are on the disk now, whatever the registry knows."""
    try:
        sha256 = sha256_of(path, control)
        wrong = fault(file, path, control, sha256)
        if wrong:
            registry.forget(root, [os.path.abspath(path)])
        else:
            registry.remember(root, [replace(registry.look(path), sha256=sha256)])
        return wrong
    except OSError as error:
        return f"cannot be read ({error.strerror})"


def _same(other: Known, file: Entry) -> bool:
    """Whether a file is this one of the catalogue, by sum or name; not only one that does the same."""
    return other.sha256 == file.sha256 or (other.family == file.family and Path(other.path).name == file.name)


def _is_layer(file: Entry) -> bool:
    return file.mode not in (BASE, VAE)


def _check_space(root: Path, files: Iterable[Entry]) -> None:
    """Whether all together have room; for each file alone `download.fetch` asks again."""
    from .download import SPARE

    begun = {file.name: size for file, size in unfinished(root)}
    needed = sum(max(0, file.size - begun.get(file.name, 0)) for file in files)
    folder = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    if needed and free < needed + SPARE:
        fail(ErrorCode.DISK_FULL, f"{gigabytes(needed)} are to be downloaded and {gigabytes(free)} are free in {root}.",
             f"Free {gigabytes(needed + SPARE - free)}, choose a smaller bundle, "
             "or set LAYER_DIFFUSION_MODELS to a folder on a larger disk.")
