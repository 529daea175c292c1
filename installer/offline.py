"""A folder that holds everything, for computers without a network: `wheels/` and, optionally, `models/`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from . import builds, environment, plugin
from .errors import InstallerError
from .pip import Pip
from .progress import Bar, size

BLOCK = 4 * 1024**2
SUFFIXES = (".safetensors", ".json", ".txt")
"""Files of models, and of diffusers folders; no pickled ones, which can run any program when they are opened."""


def collect(folder: Path, python: Path, build: builds.Build) -> None:
    """Fetch every package for computers of this kind with this Python into `folder/wheels`. Raises `InstallerError`."""
    wheels = folder / "wheels"
    pip = Pip(python, environment.log())
    needed, _ = environment.requirements()
    if build.name == builds.PLAIN:
        pip.download(needed, wheels)
    else:
        pinned = [f"{name}+{build.name}" if name.startswith("torch==") else name for name in needed]
        pip.download(pinned, wheels, ["--extra-index-url", builds.index(build)])
    plugin.fetch_websockets(pip, wheels)


def check(folder: Path) -> None:
    """Raise `InstallerError` when `folder` is none that `collect` made."""
    if not any((folder / "wheels").glob("*.whl")):
        raise InstallerError(
            f"{folder} has no folder `wheels` with packages.",
            "Make it on a computer with a network: python3 -m installer collect FOLDER.",
        )


def models_folder() -> Path:
    """Return where the backend looks for models."""
    chosen = os.environ.get("LAYER_DIFFUSION_MODELS")
    return Path(chosen).expanduser() if chosen else environment.home() / "models"


def copy_models(folder: Path) -> list[Path]:
    """Copy the models in `folder/models` that are not installed yet; return the new files.

    A file becomes visible when all of it is there. Raises `InstallerError`.
    """
    source, target = folder / "models", models_folder()
    missing = [path for path in _files(source) if not _same(path, target / path.relative_to(source))]
    total = sum(path.stat().st_size for path in missing)
    if not missing:
        return []
    try:
        target.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target).free
        if free < total:
            raise InstallerError(
                f"The models need {size(total)}, but {target} has only {size(free)} free.",
                "Free some space, or set LAYER_DIFFUSION_MODELS to another folder, then run this again.",
            )
        bar = Bar("Models", total)
        for path in missing:
            _copy(path, target / path.relative_to(source), bar)
        bar.end()
    except OSError as error:
        raise InstallerError(
            f"The models could not be copied to {target} ({error}).", "Check both disks, then run this again."
        ) from error
    return [target / path.relative_to(source) for path in missing]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES and path.is_file())


def _same(source: Path, copy: Path) -> bool:
    return copy.is_file() and copy.stat().st_size == source.stat().st_size


def _copy(source: Path, target: Path, bar: Bar) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        with open(source, "rb") as old, open(part, "wb") as new:
            while block := old.read(BLOCK):
                new.write(block)
                bar.add(len(block))
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
