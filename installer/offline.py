"""A folder that holds everything, for computers without a network: `wheels/` and, optionally, `models/`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from . import builds, environment, plugin
from .errors import COMMAND, InstallerError
from .pip import Pip
from .progress import Bar, size

BLOCK = 4 * 1024**2
SUFFIXES = (".safetensors", ".json", ".txt")
"""Files of models, and of diffusers folders; no pickled ones, which can run any program when they are opened."""
MARKER = "collected.json"
"""Lists what `collect` has left in the folder; written last, so an interrupted run does not pass for a whole one."""
AGAIN = f"Make it on a computer with a network, or go on with it there: {COMMAND} collect FOLDER."


@dataclass(frozen=True)
class Collected:
    """One file of an offline folder: its size in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


def collect(folder: Path, python: Path, build: builds.Build) -> None:
    """Fetch every package for computers of this kind with this Python into `folder/wheels`, then write the marker.

    Raises `InstallerError` and `OSError`.
    """
    wheels = folder / "wheels"
    (folder / MARKER).unlink(missing_ok=True)
    for wheel in wheels.glob("*.whl"):
        # Where the index announces no sum, pip takes the part that an interrupted run left for the package.
        if not plugin.is_whole(wheel):
            wheel.unlink()
    pip = Pip(python, environment.home())
    needed, _ = environment.requirements()
    if build.name == builds.PLAIN:
        pip.download(needed, wheels)
    else:
        pinned = [f"{name}+{build.name}" if name.startswith("torch==") else name for name in needed]
        pip.download(pinned, wheels, ["--extra-index-url", builds.index(build)])
    plugin.fetch_websockets(pip, wheels)
    seal(folder)


def seal(folder: Path) -> None:
    """Write the marker over the packages and models that lie in `folder`. Raises `OSError`."""
    paths = [*sorted((folder / "wheels").glob("*.whl")), *_files(folder / "models")]
    bar = Bar("Summed up", _total(paths))
    files = {path.relative_to(folder).as_posix(): Collected(path.stat().st_size, _sum(path, bar)) for path in paths}
    bar.end()
    environment.write(folder / MARKER, json.dumps({name: asdict(file) for name, file in files.items()}, indent=1))


def collected(folder: Path) -> dict[str, Collected]:
    """Return what the marker lists, by name relative to the folder; {} when there is none or it is damaged."""
    try:
        listed = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        return {name: Collected(**file) for name, file in listed.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def check(folder: Path) -> None:
    """Raise `InstallerError` when `folder` is none that `collect` has finished, or has lost something since."""
    files = collected(folder)
    if not files:
        raise InstallerError(f"{folder} is no folder that was collected to its end.", AGAIN)
    for name, file in files.items():
        if _size(folder / name) != file.size:
            state = "is not as it was collected" if (folder / name).is_file() else "is missing"
            raise InstallerError(f"{name} in {folder} {state}.", AGAIN)


def check_packages(folder: Path) -> None:
    """Raise `InstallerError` when the content of a package is not what was collected. Reads all of them."""
    files = {folder / name: file for name, file in collected(folder).items() if name.endswith(".whl")}
    bar = Bar("Checked", _total([*files]))
    for path, file in files.items():
        if _sum(path, bar) != file.sha256:
            raise InstallerError(f"{path} is damaged.", AGAIN)
    bar.end()


def models_folder() -> Path:
    """Return where the backend looks for models."""
    chosen = os.environ.get("LAYER_DIFFUSION_MODELS")
    return Path(chosen).expanduser() if chosen else environment.home() / "models"


def copy_models(folder: Path) -> list[Path]:
    """Copy the models in `folder/models` that are not installed yet; return the new files.

    A file becomes visible when all of it is there. Raises `InstallerError`.
    """
    source, target = folder / "models", models_folder()
    sums = {folder / name: file.sha256 for name, file in collected(folder).items()}
    try:
        missing = _missing(source, target, sums)
        if not missing:
            return []
        total = _total(missing)
        target.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target).free
        if free < total:
            raise InstallerError(
                f"The models need {size(total)}, but {target} has only {size(free)} free.",
                "Free some space, or set LAYER_DIFFUSION_MODELS to another folder, then run this again.",
            )
        bar = Bar("Models", total)
        for path in missing:
            _copy(path, target / path.relative_to(source), bar, sums.get(path))
        bar.end()
    except OSError as error:
        raise InstallerError(
            f"The models could not be copied to {target} ({error}).", "Check both disks, then run this again."
        ) from error
    return [target / path.relative_to(source) for path in missing]


def _missing(source: Path, target: Path, sums: dict[Path, str]) -> list[Path]:
    """Return the files of `source` of which `target` has no copy with the same content; reads what has the same size.

    `sums` has the SHA-256 of those that need not be read for it.
    """
    copies = {path: target / path.relative_to(source) for path in _files(source)}
    alike = {path: copy for path, copy in copies.items() if _size(copy) == _size(path)}
    bar = Bar("Compared", _total([*alike.values(), *(path for path in alike if path not in sums)]))
    same = [path for path, copy in alike.items() if _sum(copy, bar) == (sums.get(path) or _sum(path, bar))]
    if alike:
        bar.end()
    return [path for path in copies if path not in same]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES and path.is_file())


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _total(paths: Sequence[Path]) -> int:
    return sum(path.stat().st_size for path in paths)


def _sum(path: Path, bar: Bar) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            bar.add(len(block))
    return digest.hexdigest()


def _copy(source: Path, target: Path, bar: Bar, sha256: str | None) -> None:
    """Copy a file; one whose content has not the sum that is expected, if one is, does not become visible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    digest = hashlib.sha256()
    try:
        with open(source, "rb") as old, open(part, "wb") as new:
            while block := old.read(BLOCK):
                new.write(block)
                digest.update(block)
                bar.add(len(block))
        if sha256 not in (None, digest.hexdigest()):
            raise InstallerError(
                f"{source} is not as it was collected.",
                "Put the model there anew, and run `collect` on that folder again.",
            )
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
